"""The machine's TLS key and certificate: a pair that belongs together, whatever moment the machine dies at (invariant 11).

The first lies in keys/tls.key and identity.json, as enrolment left it; each renewal replaces keys/tls.pem, which holds both,
in one rename. The key of the next lies in keys/tls.next with its request from before the hub is first asked, so that a crash
anywhere repeats the same request: another one would look like a second machine with the same keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from edge.diagnosis import Validity
from edge.identity import Identity
from edge.state import IdentityFolder
from security.certificates import (
    UNREADABLE,
    BadCertificate,
    edge_of,
    key_pem,
    load_key,
    new_csr,
    new_key,
    pem,
    validity_ms,
)
from security.private_files import read_private, write_private
from security.signer import BadKey

RENEW_FROM, RENEW_UNTIL = 0.5, 0.6  # of its life; in between lies the jitter, so that a city does not renew at once

_CERTIFICATE, _REQUEST = b"-----BEGIN CERTIFICATE-----", b"-----BEGIN CERTIFICATE REQUEST-----"

log = structlog.get_logger()


@dataclass(frozen=True)
class TlsPair:
    """PEM: the private key; the machine's certificate and the intermediate's."""

    key_pem: bytes
    chain_pem: bytes

    @cached_property
    def leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.chain_pem)

    @cached_property
    def key(self) -> ec.EllipticCurvePrivateKey:
        return load_key(self.key_pem)

    @property
    def validity(self) -> Validity:
        return Validity(*validity_ms(self.leaf))

    @property
    def renew_at_ms(self) -> int:
        """At half of its life, a little later; always the same moment for the same certificate."""
        first, last = validity_ms(self.leaf)
        draw = int.from_bytes(hashlib.sha256(self.chain_pem).digest()[:4], "big") / 2**32
        return first + int((last - first) * (RENEW_FROM + (RENEW_UNTIL - RENEW_FROM) * draw))

    def check(self, identity: Identity) -> int:
        """The generation. Raises BadCertificate for a pair that is damaged, does not belong together, or to this machine."""
        try:
            chain = x509.load_pem_x509_certificates(self.chain_pem)
            _check_chain(identity, chain)
            together = chain[0].public_key() == self.key.public_key()
            edge, generation = edge_of(identity.hub_id, chain[0])
        except (*UNREADABLE, InvalidSignature) as error:
            raise BadCertificate(str(error) or "the certificate is not what the hub has signed") from error
        if not together:
            raise BadCertificate("the certificate is not of this key")
        if edge != identity.edge_id:
            raise BadCertificate(f"the certificate is of machine {edge}")
        return generation


@dataclass(frozen=True)
class NextRequest:
    """The next key (PEM) and its certificate request (DER)."""

    key_pem: bytes
    csr_der: bytes


class TlsFiles:
    """`pair` is the present one. File work: call in a thread where it matters."""

    def __init__(self, folder: IdentityFolder, identity: Identity) -> None:
        """Reads nothing."""
        self._folder = folder
        self._identity = identity

    @cached_property
    def pair(self) -> TlsPair:
        """Raises BadKey, ExposedSecret, FileNotFoundError."""
        return load_pair(self._folder, self._identity)

    @property
    def generation(self) -> int:
        return edge_of(self._identity.hub_id, self.pair.leaf)[1]

    def next_request(self) -> NextRequest:
        """Made once, durable before it is returned. Raises OSError."""
        held = self._held_request()
        if held is not None and held.key_pem != self.pair.key_pem:  # else a crash left the request of the present pair
            return held
        key = new_key()
        request = NextRequest(key_pem(key), new_csr(key, self._identity.edge))
        csr_pem = x509.load_der_x509_csr(request.csr_der).public_bytes(Encoding.PEM)
        write_private(self._folder.tls_next, request.key_pem + csr_pem)
        return request

    def _held_request(self) -> NextRequest | None:
        path = self._folder.tls_next
        if not path.exists():
            return None
        try:
            return _request(read_private(path))
        except UNREADABLE as error:
            # Had the hub answered it already, the new one will be taken for a clone's: a person decides then.
            log.warning("the next key is damaged, another one is made", file=str(path), error=str(error))
            return None

    def promote(self, request: NextRequest, chain_der: Sequence[bytes]) -> None:
        """The next pair becomes the present one. Raises BadCertificate for an answer that does not fit, OSError."""
        pair = TlsPair(request.key_pem, checked_chain(self._identity, chain_der))
        try:
            generation = pair.check(self._identity)
        except BadCertificate as error:
            raise BadCertificate(f"the hub answered with another certificate ({error}); call the city's IT desk") from error
        if generation != self.generation + 1:
            raise BadCertificate(f"the hub answered with certificate {generation}; call the city's IT desk")
        # A crash before the rename in it repeats the request; behind it the new pair is the present one.
        write_private(self._folder.tls_pair, pair.key_pem + pair.chain_pem)
        self.pair = pair
        self._folder.tls_next.unlink(missing_ok=True)


def load_pair(folder: IdentityFolder, identity: Identity) -> TlsPair:
    """Raises BadKey, which names the file, ExposedSecret, FileNotFoundError."""
    renewed = folder.tls_pair.exists()
    path = folder.tls_pair if renewed else folder.tls_key
    data = read_private(path)
    key, _, chain = data.partition(_CERTIFICATE)
    pair = TlsPair(key, _CERTIFICATE + chain if renewed else identity.chain.encode())
    try:
        pair.check(identity)
    except BadCertificate as error:
        raise BadKey(f"{path} is damaged or of another machine ({error}); restore it from a copy, or ask for an invitation: "
                     f"suozhan-hub invite SITE --replaces {identity.edge}, and run: suozhan-edge rejoin TOKEN") from error
    return pair


def _request(data: bytes) -> NextRequest:
    """Raises what is UNREADABLE."""
    key, mark, rest = data.partition(_REQUEST)
    csr = x509.load_pem_x509_csr(mark + rest)
    if csr.public_key() != load_key(key).public_key():
        raise ValueError("key and request do not belong together")
    return NextRequest(key, csr.public_bytes(Encoding.DER))


def checked_chain(identity: Identity, chain_der: Sequence[bytes]) -> bytes:
    """As PEM. Raises BadCertificate unless it leads to the root that this machine trusts."""
    try:
        chain = [x509.load_der_x509_certificate(der) for der in chain_der]
        _check_chain(identity, chain)
    except (*UNREADABLE, InvalidSignature) as error:
        raise BadCertificate("the hub's answer holds no certificate of its CA; call the city's IT desk") from error
    return pem(*chain)


def _check_chain(identity: Identity, chain: Sequence[x509.Certificate]) -> None:
    """Raises InvalidSignature, or what is UNREADABLE."""
    if not chain:
        raise BadCertificate("there is no certificate")
    issuers = [*chain[1:], x509.load_pem_x509_certificate(identity.root.encode())]
    for certificate, issuer in zip(chain, issuers, strict=True):
        certificate.verify_directly_issued_by(issuer)
