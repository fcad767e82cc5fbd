"""Renewing a machine's certificate: what its present TLS key signs to get the next one."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from security.suites import sha256

RENEW_CONTEXT = b"suozhan/renew/v1\0"
REJOIN_CONTEXT = b"suozhan/rejoin/v1\0"
NONCE_BYTES = 32

_ECDSA = ec.ECDSA(hashes.SHA256())


def renewal_statement(hub: UUID, edge: UUID, nonce: bytes, csr_der: bytes) -> bytes:
    """Bound to this hub, this machine, one nonce of the hub's, and one request."""
    assert len(nonce) == NONCE_BYTES
    return RENEW_CONTEXT + hub.bytes + edge.bytes + nonce + sha256(csr_der)


def rejoin_statement(hub: UUID, old_edge: UUID, nonce: bytes, csr_der: bytes, edge: UUID, journals: Sequence[UUID]) -> bytes:
    """What a machine's old TLS key signs for the identity that follows it, and all of its journals."""
    assert len(nonce) == NONCE_BYTES
    new = b"".join([edge.bytes, *[one.bytes for one in journals]])
    return REJOIN_CONTEXT + hub.bytes + old_edge.bytes + nonce + sha256(csr_der) + new


def rejoin_proof_name(old_edge: UUID) -> str:
    """Stands for the invitation in the proof that the machine holds its new record key."""
    return f"rejoin:{old_edge}"


def sign_renewal(key: ec.EllipticCurvePrivateKey, statement: bytes) -> bytes:
    """ECDSA with SHA-256, DER."""
    return key.sign(statement, _ECDSA)


def renewal_holds(certificate: x509.Certificate, signature: bytes, statement: bytes) -> bool:
    """True when the key of this certificate signed the statement."""
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(signature, statement, _ECDSA)
    except InvalidSignature:
        return False
    return True
