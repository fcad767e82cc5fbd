"""The seam behind which a signing key lives: a file today, a token or HSM tomorrow."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.private_files import read_private, write_private
from security.suites import Suite, fingerprint


class BadKey(ValueError):
    """A key file that holds no key; the text names it."""


class Signer(Protocol):
    """A private key that signs and never shows itself."""

    @property
    def suite(self) -> Suite: ...

    @property
    def public_key(self) -> bytes: ...

    @property
    def key_id(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


class Ed25519Signer:
    """A key held in memory; `load` and `create` keep it in a file of 32 raw bytes, mode 0600."""

    suite = Suite.ED25519_SHA256

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()
        self.key_id = fingerprint(self.suite, self.public_key)

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._private.sign(message)

    @classmethod
    def create(cls, path: Path) -> Ed25519Signer:
        """A new key, written durably before it is used. Raises FileExistsError rather than lose an old one."""
        if path.exists():
            raise FileExistsError(f"{path} exists already; a key is never overwritten")
        private = Ed25519PrivateKey.generate()
        write_private(path, private.private_bytes_raw())
        return cls(private)

    @classmethod
    def load(cls, path: Path) -> Ed25519Signer:
        """Raises FileNotFoundError, ExposedSecret, BadKey."""
        return cls(Ed25519PrivateKey.from_private_bytes(read_key(path)))


def read_key(path: Path) -> bytes:
    """32 raw bytes. Raises FileNotFoundError, ExposedSecret, BadKey."""
    raw = read_private(path)
    if len(raw) != 32:
        raise BadKey(f"{path} has {len(raw)} bytes instead of 32: the key file is damaged; put it back from a copy")
    if not any(raw):
        raise BadKey(f"{path} holds nothing but zeros: the key file is damaged; put it back from a copy")
    return raw
