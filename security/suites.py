"""Signature suites of record keys: the suite comes from the registered key, never from a message."""

from __future__ import annotations

import hashlib
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_FIELD_PRIME = 2**255 - 19
_Y_MASK = 2**255 - 1
# y-coordinates of the eight points of small order (RFC 7748 and the curve's equation; the two
# non-canonical encodings of y = 0 and y = 1 are caught by the reduction below).
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"),
        int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"),
    }
)


class UnsoundKey(ValueError):
    """A public key that must not be registered."""


class Suite(IntEnum):
    """Hash and signature used by a record key. SM2/SM3 and ML-DSA have their numbers waiting."""

    ED25519_SHA256 = 1


def sha256(data: bytes) -> bytes:
    """32 bytes."""
    return hashlib.sha256(data).digest()


def fingerprint(suite: Suite, public_key: bytes) -> bytes:
    """Key id, 32 bytes: SHA-256(suite as one byte ‖ raw public key)."""
    return sha256(bytes([suite]) + public_key)


def check_public_key(suite: Suite, public_key: bytes) -> None:
    """Raise UnsoundKey for a key of the wrong length, off the field, or of small order (which verifies anything)."""
    if suite is not Suite.ED25519_SHA256:
        raise UnsoundKey(f"suite {suite} is not supported; use Ed25519 (1)")
    if len(public_key) != 32:
        raise UnsoundKey(f"an Ed25519 public key has 32 bytes, got {len(public_key)}; make a new key")
    y = int.from_bytes(public_key, "little") & _Y_MASK
    if y >= _FIELD_PRIME:
        raise UnsoundKey("the Ed25519 public key is not canonical; make a new key")
    if y in _SMALL_ORDER_Y:
        raise UnsoundKey("the Ed25519 public key has small order; make a new key")


class Verifier:
    """Checks signatures of one registered key. Raises UnsoundKey when made from a bad key."""

    def __init__(self, suite: Suite, public_key: bytes) -> None:
        check_public_key(suite, public_key)
        self.suite = suite
        self.public_key = public_key
        self.key_id = fingerprint(suite, public_key)
        self._key = Ed25519PublicKey.from_public_bytes(public_key)

    def valid(self, signature: bytes, message: bytes) -> bool:
        """True when `signature` (64 bytes) over `message` was made by this key."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True
