"""Who signed a bundle: a TLS key whose certificate leads to the hub's root, the hub's own or one machine's."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError

from security.bundle.header import Header
from security.certificates import BadCertificate, edge_of, pin_of

BUNDLE_CONTEXT = b"suozhan/bundle/v1\0"
NUMBER_BYTES = 32
CHAIN = 3  # leaf, intermediate, root

_SECOND = "%Y-%m-%d %H:%M:%SZ"
# Of P-256 (FIPS 186-4, D.1.2.3): with r and s, r and ORDER - s hold as well, so that only the smaller s is taken.
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def sign_bundle(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """64 bytes, r and s: ECDSA with SHA-256 over the context and the SHA-256 of all bytes before the signature's line."""
    r, s = decode_dss_signature(key.sign(BUNDLE_CONTEXT + digest, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(NUMBER_BYTES, "big") + min(s, _ORDER - s).to_bytes(NUMBER_BYTES, "big")


@dataclass(frozen=True, slots=True)
class Exporter:
    """A certificate that was checked up to its root. `edge` is None for the hub; `pin` is the root's; the validity, in Unix
    milliseconds, is the leaf's.
    """

    hub: UUID
    edge: UUID | None
    pin: bytes
    key: ec.EllipticCurvePublicKey
    valid_ms: tuple[int, int]

    def signed(self, digest: bytes, signature: bytes) -> bool:
        """Whether `sign_bundle` made it."""
        r, s = int.from_bytes(signature[:NUMBER_BYTES], "big"), int.from_bytes(signature[NUMBER_BYTES:], "big")
        if len(signature) != 2 * NUMBER_BYTES or s > _ORDER // 2:
            return False
        try:
            self.key.verify(encode_dss_signature(r, s), BUNDLE_CONTEXT + digest, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def exporter_of(header: Header) -> Exporter:
    """Of the header's certificates, as they were when the youngest began: what has expired since says nothing against a
    signature that was made before. Raises BadCertificate.
    """
    chain = _loaded(header.certificates)
    _check_chain(chain, header.hub)
    leaf = chain[0]
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise BadCertificate("the exporter's key is not P-256; ask whoever exported it")
    _check_role(leaf, header)
    valid_ms = (_unix_ms(leaf.not_valid_before_utc), _unix_ms(leaf.not_valid_after_utc))
    return Exporter(header.hub, header.edge, pin_of(chain[-1]), key, valid_ms)


def _loaded(certificates: tuple[bytes, ...]) -> list[x509.Certificate]:
    if len(certificates) != CHAIN:
        raise BadCertificate("a bundle has three certificates: leaf, intermediate, root; ask whoever exported it")
    try:
        return [x509.load_der_x509_certificate(one) for one in certificates]
    except (ValueError, x509.InvalidVersion) as error:
        raise BadCertificate("a certificate cannot be read; get the bundle again from whoever exported it") from error


def _check_chain(chain: list[x509.Certificate], hub: UUID) -> None:
    leaf, intermediate, root = chain
    youngest = max(one.not_valid_before_utc for one in chain)
    if (first_end := min(one.not_valid_after_utc for one in chain)) < youngest:
        raise BadCertificate(f"one of its certificates began at {youngest:{_SECOND}}, when another had ended at "
                             f"{first_end:{_SECOND}}: the clock of whoever issued the last one was probably wrong; ask whoever "
                             "exported it to set the hub's clock, and to export it again")
    policy = PolicyBuilder().store(Store([root])).time(youngest).extension_policies(
        ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
    try:
        policy.build_client_verifier().verify(leaf, [intermediate])
        root.verify_directly_issued_by(root)
    except (VerificationError, InvalidSignature, ValueError, TypeError) as error:
        raise BadCertificate("the exporter's certificate does not lead to the root; ask whoever exported it") from error
    if root.subject.rfc4514_string() != f"CN=Suozhan root {hub}":
        raise BadCertificate(f"the root is not that of hub {hub}; ask whoever exported it")


def _check_role(leaf: x509.Certificate, header: Header) -> None:
    try:
        usage = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except (ValueError, x509.ExtensionNotFound) as error:
        raise BadCertificate("the exporter's certificate is of no use here; ask whoever exported it") from error
    if header.edge is None and usage != {ExtendedKeyUsageOID.SERVER_AUTH}:
        raise BadCertificate("the exporter is not the hub, as the header says; ask whoever exported it")
    if header.edge is not None and (usage != {ExtendedKeyUsageOID.CLIENT_AUTH} or edge_of(header.hub, leaf)[0] != header.edge):
        raise BadCertificate(f"the exporter is not machine {header.edge}, as the header says; ask whoever exported it")


def _unix_ms(moment: dt.datetime) -> int:
    return int(moment.timestamp() * 1000)
