"""Bodies sealed for the hub. Data keys live in memory only; what is on disk reads as noise (invariant 7)."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from uuid import UUID

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from security.private_files import write_private
from security.record import SealedBody, WrappedKey
from security.signer import read_key
from security.suites import sha256

KEY_CONTEXT = b"suozhan/data-key/v1\0"
BODY_CONTEXT = b"suozhan/body/v1\0"
BODY_MAX_BYTES = 48 * 1024
DATA_KEY_BYTES = 32
COMPRESSION_LEVEL = 9
NO_DICTIONARY = 0
NEWEST_DICTIONARY = 1  # dictionaries are never changed, only added

_HPKE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class SealBroken(ValueError):
    """A body or key that does not open: wrong key, wrong place, or changed bytes."""


class _Codecs(threading.local):
    """zstd's own, one for each thread: two at a time in one give each other's bytes."""

    def __init__(self) -> None:
        self.compressors: dict[int, zstandard.ZstdCompressor] = {}
        self.decompressors: dict[int, zstandard.ZstdDecompressor] = {}


_codecs = _Codecs()


def _compressor(dictionary: int) -> zstandard.ZstdCompressor:
    if dictionary not in _codecs.compressors:
        _codecs.compressors[dictionary] = _new_compressor(dictionary)
    return _codecs.compressors[dictionary]


def _new_compressor(dictionary: int) -> zstandard.ZstdCompressor:
    if dictionary == NO_DICTIONARY:
        return zstandard.ZstdCompressor(level=COMPRESSION_LEVEL, write_content_size=True)
    data = _dictionary(dictionary)
    # The dictionary's number is in the record; zstd need not repeat its id in every frame.
    parameters = zstandard.ZstdCompressionParameters.from_level(
        COMPRESSION_LEVEL, write_dict_id=False, write_content_size=True, format=zstandard.FORMAT_ZSTD1_MAGICLESS
    )
    return zstandard.ZstdCompressor(dict_data=data, compression_params=parameters)


def _decompressor(dictionary: int) -> zstandard.ZstdDecompressor:
    if dictionary not in _codecs.decompressors:
        _codecs.decompressors[dictionary] = _new_decompressor(dictionary)
    return _codecs.decompressors[dictionary]


def _new_decompressor(dictionary: int) -> zstandard.ZstdDecompressor:
    if dictionary == NO_DICTIONARY:
        return zstandard.ZstdDecompressor()
    return zstandard.ZstdDecompressor(dict_data=_dictionary(dictionary), format=zstandard.FORMAT_ZSTD1_MAGICLESS)


def _decompress(dictionary: int, frame: bytes) -> bytes:
    decompressor = _decompressor(dictionary)
    layout = zstandard.FORMAT_ZSTD1 if dictionary == NO_DICTIONARY else zstandard.FORMAT_ZSTD1_MAGICLESS
    # The library's own limit is not applied to a frame that names its size: a few bytes could ask for gigabytes.
    if zstandard.get_frame_parameters(frame, format=layout).content_size > BODY_MAX_BYTES:  # unknown reads as 2^64 - 1
        raise SealBroken(f"a body may unpack to {BODY_MAX_BYTES} bytes and has to say how many")
    return decompressor.decompress(frame)


@cache
def _dictionary(number: int) -> zstandard.ZstdCompressionDict:
    file = files("security").joinpath(f"dictionaries/{number}.zstd-dictionary")
    if not file.is_file():
        raise SealBroken(f"dictionary {number} is not known here; update this program")
    return zstandard.ZstdCompressionDict(file.read_bytes())


def _body_binding(edge: UUID, journal: UUID, position: int, kind: str) -> bytes:
    return BODY_CONTEXT + edge.bytes + journal.bytes + position.to_bytes(8, "big") + kind.encode()


def _key_binding(edge: UUID, journal: UUID, hub_key_id: bytes) -> bytes:
    return KEY_CONTEXT + edge.bytes + journal.bytes + hub_key_id


def sealing_key_id(public_key: bytes) -> bytes:
    """32 bytes: SHA-256 of the raw X25519 public key."""
    return sha256(public_key)


class DataKey:
    """One key of one start of one journal; its counter never repeats, because it never outlives this object."""

    def __init__(self, edge: UUID, journal: UUID, *, dictionary: int = NEWEST_DICTIONARY) -> None:
        self._edge = edge
        self._journal = journal
        self._dictionary = dictionary
        self._secret = os.urandom(DATA_KEY_BYTES)
        self._cipher = AESGCM(self._secret)
        self._counter = 0

    def wrap(self, hub_public_key: bytes) -> WrappedKey:
        """For the hub's unsealing key (X25519, 32 bytes); bound to edge, journal and hub key."""
        key_id = sealing_key_id(hub_public_key)
        binding = _key_binding(self._edge, self._journal, key_id)
        wrapped = _HPKE.encrypt(self._secret, X25519PublicKey.from_public_bytes(hub_public_key), binding)
        return WrappedKey(key_id, wrapped)

    def seal(self, body: bytes, *, key_position: int, position: int, kind: str) -> SealedBody:
        """Bound to its place: a sealed body moved to another position does not open."""
        if len(body) > BODY_MAX_BYTES:
            raise ValueError(f"body of {len(body)} bytes; at most {BODY_MAX_BYTES}: send large things as attachments")
        self._counter += 1
        binding = _body_binding(self._edge, self._journal, position, kind)
        compressed = _compressor(self._dictionary).compress(body)
        ciphertext = self._cipher.encrypt(self._counter.to_bytes(12, "big"), compressed, binding)
        return SealedBody(key_position, self._counter, self._dictionary, ciphertext)


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """A data key that the hub has unwrapped."""

    edge: UUID
    journal: UUID
    secret: bytes

    def open(self, sealed: SealedBody, *, position: int, kind: str) -> bytes:
        """The body. Raises SealBroken."""
        binding = _body_binding(self.edge, self.journal, position, kind)
        try:
            compressed = AESGCM(self.secret).decrypt(sealed.counter.to_bytes(12, "big"), sealed.ciphertext, binding)
            return _decompress(sealed.dictionary, compressed)
        except (InvalidTag, OverflowError, zstandard.ZstdError) as error:
            raise SealBroken(f"the body at position {position} does not open under its data key") from error


class Unsealer:
    """The hub's private sealing keys, old ones kept: a journal may return after years."""

    def __init__(self, keys: list[X25519PrivateKey]) -> None:
        self._keys = {sealing_key_id(key.public_key().public_bytes_raw()): key for key in keys}

    @classmethod
    def load(cls, folder: Path) -> Unsealer:
        """All `sealing-*.key` files (32 raw bytes, 0600) of a folder. Raises ExposedSecret, BadKey."""
        return cls([X25519PrivateKey.from_private_bytes(read_key(path)) for path in folder.glob("sealing-*.key")])

    def unwrap(self, edge: UUID, journal: UUID, key: WrappedKey) -> OpenedKey:
        """Raises SealBroken when the key was wrapped for another hub, edge or journal."""
        private = self._keys.get(key.hub_key_id)
        if private is None:
            raise SealBroken("the data key is wrapped for a sealing key that this hub does not hold; restore it")
        try:
            secret = _HPKE.decrypt(key.wrapped, private, _key_binding(edge, journal, key.hub_key_id))
        except (InvalidTag, ValueError) as error:
            raise SealBroken("the data key does not open: it was changed, or made for another edge or journal") from error
        if len(secret) != DATA_KEY_BYTES:
            raise SealBroken(f"a data key has {DATA_KEY_BYTES} bytes, this one {len(secret)}")
        return OpenedKey(edge, journal, secret)


def create_sealing_key(path: Path) -> bytes:
    """A new X25519 key in a file; returns the public key, 32 bytes. Raises FileExistsError rather than lose an old one."""
    if path.exists():
        raise FileExistsError(f"{path} exists already; a key is never overwritten")
    private = X25519PrivateKey.generate()
    write_private(path, private.private_bytes_raw())
    return private.public_key().public_bytes_raw()
