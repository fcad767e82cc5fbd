"""Keys of virtual cards and of the PSAM that goes with them: made up, and what is made of them.

The algorithms are those that real cards name, 3DES (two keys) and SM4. How a real card makes its keys and proofs with
them is not public: here after JR/T 0025, a key from a key and a factor by encrypting the factor and its complement.
"""

from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4

from devices.card_authentication import HALF_BYTES, Algorithm

FILLED = b"\x80".ljust(HALF_BYTES, b"\x00")


@dataclass(frozen=True)
class IssuerKeys:
    """16 bytes each."""

    internal: bytes
    external: bytes


ISSUER = IssuerKeys(bytes.fromhex("000102030405060708090A0B0C0D0E0F"), bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF"))
FORGER = IssuerKeys(bytes.fromhex("11223344556677889900AABBCCDDEEFF"), bytes.fromhex("FFEEDDCCBBAA00998877665544332211"))


def made_from(algorithm: Algorithm, key: bytes, factor: bytes) -> bytes:
    """The key of 16 bytes that `key` gives for a factor of 8."""
    complement = bytes(byte ^ 0xFF for byte in factor)
    return _encrypted(algorithm, key, factor + complement)


def proof(algorithm: Algorithm, key: bytes, factor: bytes, source: bytes) -> bytes:
    """Eight bytes that show who has `key`: the source data under the key of this process."""
    process_key = made_from(algorithm, key, factor)
    if algorithm is Algorithm.TDES:
        return _encrypted(algorithm, process_key, source)
    block = _encrypted(algorithm, process_key, source + FILLED)
    return bytes(left ^ right for left, right in zip(block[:HALF_BYTES], block[HALF_BYTES:], strict=True))


def _encrypted(algorithm: Algorithm, key: bytes, data: bytes) -> bytes:
    if algorithm is Algorithm.SSF33:
        raise ValueError("SSF33 is not public: a virtual chip has SM4 or 3DES")
    cipher: BlockCipherAlgorithm = SM4(key) if algorithm is Algorithm.SM4 else TripleDES(key + key[:HALF_BYTES])
    encryptor = Cipher(cipher, modes.ECB()).encryptor()  # noqa: S305  # single blocks of random data
    return encryptor.update(data) + encryptor.finalize()
