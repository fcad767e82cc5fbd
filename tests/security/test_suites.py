"""Which record keys may be registered, and what a signature has to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.signer import Ed25519Signer
from security.suites import Suite, UnsoundKey, Verifier, check_public_key, fingerprint

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
ED25519 = Suite.ED25519_SHA256
ORDER = 2**252 + 27742317777372353535851937790883648493

Point = tuple[int, int]


def _add(a: Point, b: Point) -> Point:
    """The Edwards curve's addition law, RFC 8032 section 5.1."""
    (x1, y1), (x2, y2) = a, b
    product = D * x1 * x2 * y1 * y2
    return ((x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P)


def _times(count: int, point: Point) -> Point:
    total: Point = (0, 1)
    while count:
        total = _add(total, point) if count & 1 else total
        point, count = _add(point, point), count >> 1
    return total


def _x_of(y: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    return root if root * root % P == square else None


def _small_order_points() -> set[Point]:
    """All eight, found by computation: the prime order times any point leaves its part of small order."""
    for y in range(2, 100):
        if (x := _x_of(y)) is not None:
            torsion = _times(ORDER, (x, y))
            if len(points := {_times(n, torsion) for n in range(8)}) == 8:
                return points
    raise AssertionError("no point of order 8 found")


def _encodings() -> list[bytes]:
    """Every 32 bytes that some library may read as a point of small order: both signs, reduced or not."""
    values = {y + extra for _, y in _small_order_points() for extra in (0, P) if y + extra < 2**255}
    return [(value | sign << 255).to_bytes(32, "little") for value in sorted(values) for sign in (0, 1)]


@pytest.mark.parametrize("key", _encodings(), ids=bytes.hex)
def test_every_encoding_of_a_point_of_small_order_is_refused(key: bytes) -> None:
    with pytest.raises(UnsoundKey):
        check_public_key(ED25519, key)
    with pytest.raises(UnsoundKey):
        Verifier(ED25519, key)


def test_there_are_fourteen_such_encodings() -> None:
    assert len(_small_order_points()) == 8
    assert len(_encodings()) == 14  # 5 values of y below p, 2 above; 2 signs each


@pytest.mark.parametrize("above", range(19))
def test_a_y_that_is_not_reduced_is_refused(above: int) -> None:
    with pytest.raises(UnsoundKey):
        check_public_key(ED25519, (P + above).to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(UnsoundKey, match="32 bytes"):
        check_public_key(ED25519, b"\x05" * length)


@pytest.mark.parametrize("suite", [0, 2, 255])
def test_a_suite_we_do_not_know_is_refused(suite: int) -> None:
    with pytest.raises(UnsoundKey, match="not supported"):
        check_public_key(suite, bytes(range(32)))  # type: ignore[arg-type]


def test_honest_keys_are_taken() -> None:
    for seed in range(200):
        key = Ed25519PrivateKey.from_private_bytes(seed.to_bytes(32, "big")).public_key().public_bytes_raw()
        check_public_key(ED25519, key)


def test_the_key_id_covers_the_suite() -> None:
    signer = Ed25519Signer(Ed25519PrivateKey.generate())
    assert signer.key_id == fingerprint(ED25519, signer.public_key)
    assert fingerprint(2, signer.public_key) != signer.key_id  # type: ignore[arg-type]


def test_only_the_signature_of_this_key_over_this_message_is_valid() -> None:
    signer, other = (Ed25519Signer(Ed25519PrivateKey.generate()) for _ in range(2))
    verifier = Verifier(signer.suite, signer.public_key)
    signature = signer.sign(b"message")
    assert verifier.valid(signature, b"message")
    assert not verifier.valid(signature, b"message.")
    assert not verifier.valid(other.sign(b"message"), b"message")
    for wrong in (b"", signature[:-1], signature + b"\0", bytes(64)):
        assert not verifier.valid(wrong, b"message")


def test_a_signature_with_s_beyond_the_order_is_not_valid() -> None:
    signer = Ed25519Signer(Ed25519PrivateKey.generate())
    signature = signer.sign(b"message")
    s = int.from_bytes(signature[32:], "little") + ORDER
    malleated = signature[:32] + s.to_bytes(32, "little")
    assert not Verifier(signer.suite, signer.public_key).valid(malleated, b"message")


def test_a_signing_key_is_never_overwritten_and_a_damaged_one_not_used(tmp_path: Path) -> None:
    path = tmp_path / "record.key"
    signer = Ed25519Signer.create(path)
    assert Ed25519Signer.load(path).key_id == signer.key_id
    with pytest.raises(FileExistsError):
        Ed25519Signer.create(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="damaged"):
        Ed25519Signer.load(path)


def test_a_verifier_says_whose_signatures_it_checks() -> None:
    key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    verifier = Verifier(Suite.ED25519_SHA256, key)
    assert (verifier.suite, verifier.public_key) == (Suite.ED25519_SHA256, key)
    assert verifier.key_id == fingerprint(Suite.ED25519_SHA256, key)
