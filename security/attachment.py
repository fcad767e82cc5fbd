"""Scans and photos, sealed in chunks under a key of their own, which stands in the sealed body of a record and nowhere else.

STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, 2015): each nonce says the chunk's number and whether it is the last one, so that
chunks cannot be cut off, swapped or repeated, and nobody has to know the size before the end (docs/record-format.md, 7b).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from security.sealing import SealBroken
from security.suites import sha256

CONTEXT = b"suozhan/attachment/v1\0"
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
KEY_BYTES = 32
ATTACHMENT_MAX_BYTES = 16 * 1024 * 1024  # before sealing


@dataclass(frozen=True, slots=True)
class AttachmentSeal:
    """What a record says of one: SHA-256 of the sealed bytes (its address), the key, SHA-256 and size of the content."""

    address: bytes
    key: bytes = field(repr=False)
    sha256: bytes
    size: int

    @property
    def sealed_size(self) -> int:
        return sealed_size(self.size)


def sealed_size(size: int) -> int:
    """Of content of that size: each chunk has a tag, and the last one is there even when it is empty."""
    return size + TAG_BYTES * max(-(-size // CHUNK_BYTES), 1)


SEALED_MAX_BYTES = sealed_size(ATTACHMENT_MAX_BYTES)


class TooLarge(ValueError):
    """More than ATTACHMENT_MAX_BYTES."""


class AttachmentSealer:
    """Content comes in parts of any size; sealed bytes go out as they are ready. For one attachment: the key is used once."""

    def __init__(self) -> None:
        self._key = os.urandom(KEY_BYTES)
        self._cipher = AESGCM(self._key)
        self._open = bytearray()
        self._number = 0
        self._plain, self._sealed = hashlib.sha256(), hashlib.sha256()
        self._size = 0

    def add(self, part: bytes) -> bytes:
        """Sealed bytes, maybe none. Raises TooLarge."""
        self._size += len(part)
        if self._size > ATTACHMENT_MAX_BYTES:
            raise TooLarge(f"an attachment has at most {ATTACHMENT_MAX_BYTES} bytes")
        self._plain.update(part)
        self._open += part
        ready = bytearray()
        while len(self._open) > CHUNK_BYTES:  # a whole chunk may still be the last one
            ready += self._seal(bytes(self._open[:CHUNK_BYTES]), last=False)
            del self._open[:CHUNK_BYTES]
        return bytes(ready)

    def end(self) -> tuple[bytes, AttachmentSeal]:
        """The last sealed bytes, and what the record has to say."""
        sealed = self._seal(bytes(self._open), last=True)
        self._open.clear()
        return sealed, AttachmentSeal(self._sealed.digest(), self._key, self._plain.digest(), self._size)

    def _seal(self, chunk: bytes, *, last: bool) -> bytes:
        sealed = self._cipher.encrypt(_nonce(self._number, last=last), chunk, CONTEXT)
        self._number += 1
        self._sealed.update(sealed)
        return sealed


def seal_attachment(content: bytes) -> tuple[bytes, AttachmentSeal]:
    """All at once. Raises TooLarge."""
    sealer = AttachmentSealer()
    begun = sealer.add(content)
    rest, seal = sealer.end()
    return begun + rest, seal


def open_attachment(seal: AttachmentSeal, sealed: bytes) -> bytes:
    """The content, whole and as the record says, or SealBroken."""
    if len(seal.key) != KEY_BYTES or not 0 <= seal.size <= ATTACHMENT_MAX_BYTES or len(sealed) != seal.sealed_size:
        raise SealBroken("the attachment does not have the size that its record says")
    if sha256(sealed) != seal.address:
        raise SealBroken("the attachment's sealed bytes are not those that its record names")
    try:
        content = b"".join(_opened(AESGCM(seal.key), sealed))
    except InvalidTag as error:
        raise SealBroken("the attachment does not open under the key in its record") from error
    if sha256(content) != seal.sha256:
        raise SealBroken("the attachment's content is not what its record says")
    return content


def _opened(cipher: AESGCM, sealed: bytes) -> Iterator[bytes]:
    step = CHUNK_BYTES + TAG_BYTES
    for number, start in enumerate(range(0, len(sealed), step)):
        yield cipher.decrypt(_nonce(number, last=start + step >= len(sealed)), sealed[start:start + step], CONTEXT)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
