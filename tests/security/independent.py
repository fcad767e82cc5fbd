"""The record format a second time, from docs/record-format.md and the RFCs alone: nothing of ours is imported here."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_KEM = b"KEM" + bytes.fromhex("0020")
_HPKE = b"HPKE" + bytes.fromhex("0020" "0001" "0002")
_BASE_MODE = b"\0"
TAG_BYTES = 16


def digest_of(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


# ---- protobuf ----

def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """(field number, value) in order; varints as int, everything of a length as bytes."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        value, at = read_varint(message, at)
        if tag & 7 == 2:
            assert at + value <= len(message)
            found.append((tag >> 3, message[at:at + value]))
            at += value
        else:
            assert tag & 7 == 0, f"wire type {tag & 7} is not used"
            found.append((tag >> 3, value))
    return found


def length_field(tag: int, value: bytes) -> bytes:
    return bytes([tag]) + varint(len(value)) + value


# ---- AES-GCM and HPKE (RFC 9180), base mode, single shot ----

def gcm_seal(key: bytes, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    cipher.authenticate_additional_data(aad)
    return cipher.update(plain) + cipher.finalize() + cipher.tag


def gcm_open(key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.GCM(nonce, sealed[-TAG_BYTES:])).decryptor()
    cipher.authenticate_additional_data(aad)
    return cipher.update(sealed[:-TAG_BYTES]) + cipher.finalize()


def _extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + secret, "sha256")


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand; one block is enough for all that is asked here."""
    labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, labelled + b"\x01", "sha256")[:length]


def _key_and_nonce(shared_point: bytes, enc: bytes, public: bytes, info: bytes) -> tuple[bytes, bytes]:
    shared = _expand(_KEM, _extract(_KEM, b"", b"eae_prk", shared_point), b"shared_secret", enc + public, 32)
    context = _BASE_MODE + _extract(_HPKE, b"", b"psk_id_hash", b"") + _extract(_HPKE, b"", b"info_hash", info)
    secret = _extract(_HPKE, shared, b"secret", b"")
    return _expand(_HPKE, secret, b"key", context, 32), _expand(_HPKE, secret, b"base_nonce", context, 12)


def hpke_seal(ephemeral: X25519PrivateKey, public: bytes, info: bytes, plain: bytes) -> bytes:
    """enc ‖ ciphertext ‖ tag. A fixed ephemeral key is for test vectors only."""
    enc = ephemeral.public_key().public_bytes_raw()
    point = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    return enc + gcm_seal(*_key_and_nonce(point, enc, public, info), plain, b"")


def hpke_open(private: X25519PrivateKey, info: bytes, wrapped: bytes) -> bytes:
    enc, sealed = wrapped[:32], wrapped[32:]
    point = private.exchange(X25519PublicKey.from_public_bytes(enc))
    return gcm_open(*_key_and_nonce(point, enc, private.public_key().public_bytes_raw(), info), sealed, b"")


# ---- attachments ----

def attachment_sealed(key: bytes, content: bytes) -> bytes:
    """Section 7b."""
    chunks = [content[at:at + 65_536] for at in range(0, len(content), 65_536)] or [b""]
    sealed = b""
    for number, chunk in enumerate(chunks):
        nonce = number.to_bytes(11, "big") + (b"\1" if number == len(chunks) - 1 else b"\0")
        gcm = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
        gcm.authenticate_additional_data(b"suozhan/attachment/v1\0")
        sealed += gcm.update(chunk) + gcm.finalize() + gcm.tag
    return sealed
