"""Who signs for this machine where no hub is in reach: the newest identity that has a certificate, and its TLS key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from edge.identity import Identity, NotEnrolled, load_identity
from edge.state import IdentityFolder, StateFolder
from edge.tls_pair import TlsPair, load_pair
from security.certificates import BadCertificate, der
from security.file_trouble import advised
from security.private_files import read_private
from security.signer import BadKey


class ExportRefused(Exception):
    """Nothing was written; the text says what to do."""


@dataclass(frozen=True)
class Signatory:
    """`faults`: why newer identities or certificates do not sign."""

    identity: Identity
    pair: TlsPair
    faults: tuple[str, ...]

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        return self.pair.key

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """DER: leaf, intermediate, root."""
        chain = x509.load_pem_x509_certificates(self.pair.chain_pem)
        return (*map(der, chain), der(x509.load_pem_x509_certificate(self.identity.root.encode())))


def signatory(state: StateFolder) -> Signatory:
    """An expired certificate is one, too. Raises NotEnrolled, ExportRefused."""
    faults: list[str] = []
    folders = state.identities()
    for folder in reversed(folders):
        for load in (load_pair, _first_pair):
            try:
                identity = load_identity(folder.identity)
                if identity.certified:
                    return Signatory(identity, load(folder, identity), tuple(dict.fromkeys(faults)))
            except (BadKey, OSError) as error:
                faults.append(advised(error))
            except NotEnrolled as error:
                if len(folders) == 1:
                    raise
                faults.append(str(error))
    raise ExportRefused(f"no key of this machine can sign: {'; '.join(dict.fromkeys(faults))}. Copy {state.root} whole and call "
                        "the city's IT desk")


def _first_pair(folder: IdentityFolder, identity: Identity) -> TlsPair:
    """As enrolment left it: where the renewed pair is damaged. Raises BadKey, OSError."""
    path: Path = folder.tls_key
    pair = TlsPair(read_private(path), identity.chain.encode())
    try:
        pair.check(identity)
    except BadCertificate as error:
        raise BadKey(f"{path} is damaged ({error})") from error
    return pair
