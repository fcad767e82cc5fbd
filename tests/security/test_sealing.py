"""Sealed bodies open at their own place, under their own key, for their own hub, and nowhere else."""

from __future__ import annotations

import dataclasses
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM
from cryptography.hazmat.primitives.hpke import Suite as HpkeSuite
from hypothesis import given
from hypothesis import strategies as st

from security.private_files import ExposedSecret
from security.record import PAYLOAD_MAX_BYTES, Record, SealedBody, Times, WrappedKey
from security.sealing import (
    BODY_MAX_BYTES,
    NEWEST_DICTIONARY,
    NO_DICTIONARY,
    DataKey,
    OpenedKey,
    SealBroken,
    Unsealer,
    create_sealing_key,
    sealing_key_id,
)
from tests.bench.bodies import body as transaction

EDGE, JOURNAL, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
HUB = X25519PrivateKey.from_private_bytes(bytes(range(32)))
HUB_PUBLIC = HUB.public_key().public_bytes_raw()
BODY = '{"resident":{"name":"测试居民"}}'.encode()
POSITION, KIND = 7, "transaction"
THREADS, OPENED_OFTEN = 4, 8_000

dictionaries = pytest.mark.parametrize("dictionary", [NO_DICTIONARY, NEWEST_DICTIONARY])


def _pair(dictionary: int = NEWEST_DICTIONARY) -> tuple[DataKey, OpenedKey]:
    key = DataKey(EDGE, JOURNAL, dictionary=dictionary)
    return key, Unsealer([HUB]).unwrap(EDGE, JOURNAL, key.wrap(HUB_PUBLIC))


def _seal(key: DataKey, body: bytes = BODY) -> SealedBody:
    return key.seal(body, key_position=1, position=POSITION, kind=KIND)


def _forge(frame: bytes, dictionary: int) -> tuple[OpenedKey, SealedBody]:
    """What an edge with a data key of its own can seal, whatever our code would have refused to."""
    binding = b"suozhan/body/v1\0" + EDGE.bytes + JOURNAL.bytes + POSITION.to_bytes(8, "big") + KIND.encode()
    ciphertext = AESGCM(bytes(32)).encrypt((1).to_bytes(12, "big"), frame, binding)
    return OpenedKey(EDGE, JOURNAL, bytes(32)), SealedBody(1, 1, dictionary, ciphertext)


@dictionaries
@given(body=st.binary(max_size=3_000))
def test_a_sealed_body_opens_at_its_place(dictionary: int, body: bytes) -> None:
    key, opened = _pair(dictionary)
    assert opened.open(_seal(key, body), position=POSITION, kind=KIND) == body


@dictionaries
def test_a_body_moved_to_another_position_does_not_open(dictionary: int) -> None:
    key, opened = _pair(dictionary)
    sealed = _seal(key)
    for position in (0, POSITION - 1, POSITION + 1, POSITION << 8):
        with pytest.raises(SealBroken):
            opened.open(sealed, position=position, kind=KIND)


def test_a_body_under_another_kind_journal_or_edge_does_not_open() -> None:
    key, opened = _pair()
    sealed = _seal(key)
    for kind in ("", "transactio", "transaction2", "Transaction"):
        with pytest.raises(SealBroken):
            opened.open(sealed, position=POSITION, kind=kind)
    for change in ({"journal": OTHER}, {"edge": OTHER}):
        with pytest.raises(SealBroken):
            dataclasses.replace(opened, **change).open(sealed, position=POSITION, kind=KIND)


@given(st.data())
def test_a_changed_byte_does_not_open(data: st.DataObject) -> None:
    key, opened = _pair()
    sealed = _seal(key)
    at = data.draw(st.integers(0, len(sealed.ciphertext) - 1))
    flipped = bytearray(sealed.ciphertext)
    flipped[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        opened.open(dataclasses.replace(sealed, ciphertext=bytes(flipped)), position=POSITION, kind=KIND)


@given(cut=st.integers(0, 60), counter=st.integers(0, 2**64 - 1).filter(lambda counter: counter != 1))
def test_a_cut_body_or_another_counter_does_not_open(cut: int, counter: int) -> None:
    key, opened = _pair()
    sealed = _seal(key)
    cut = min(cut, len(sealed.ciphertext) - 1)
    for wrong in (dataclasses.replace(sealed, ciphertext=sealed.ciphertext[:cut]),
                  dataclasses.replace(sealed, counter=counter)):
        with pytest.raises(SealBroken):
            opened.open(wrong, position=POSITION, kind=KIND)


def test_a_body_does_not_open_under_another_data_key() -> None:
    (key, _), (_, other) = _pair(), _pair()
    with pytest.raises(SealBroken):
        other.open(_seal(key), position=POSITION, kind=KIND)


@pytest.mark.parametrize("dictionary", [2, 99, 2**32 - 1])
def test_an_unknown_dictionary_says_to_update(dictionary: int) -> None:
    opened, sealed = _forge(b"x", dictionary)
    with pytest.raises(SealBroken, match="update"):
        opened.open(sealed, position=POSITION, kind=KIND)


def test_the_wrong_one_of_two_known_dictionaries_does_not_open() -> None:
    key, opened = _pair(NEWEST_DICTIONARY)
    with pytest.raises(SealBroken):
        opened.open(dataclasses.replace(_seal(key), dictionary=NO_DICTIONARY), position=POSITION, kind=KIND)


# ---- data keys ----

def test_a_counter_never_repeats_under_one_data_key() -> None:
    key, _ = _pair()
    counters = [_seal(key).counter for _ in range(2_000)]
    assert counters == list(range(1, 2_001))


def test_a_refused_body_takes_no_counter_and_repeats_none() -> None:
    key, _ = _pair()
    first = _seal(key)
    with pytest.raises(ValueError, match="attachments"):
        _seal(key, bytes(BODY_MAX_BYTES + 1))
    assert _seal(key).counter == first.counter + 1


def test_every_data_key_has_its_own_secret() -> None:
    secrets = {_pair()[1].secret for _ in range(50)}
    assert len(secrets) == 50
    assert {len(secret) for secret in secrets} == {32}


def test_equal_bodies_do_not_look_equal() -> None:
    key, _ = _pair()
    assert _seal(key).ciphertext != _seal(key).ciphertext


def test_neither_body_nor_key_stands_in_the_clear() -> None:
    key, opened = _pair(NO_DICTIONARY)
    assert b"resident" not in _seal(key).ciphertext
    assert opened.secret not in key.wrap(HUB_PUBLIC).wrapped


def test_a_wrapped_key_opens_for_its_hub_edge_and_journal_only() -> None:
    wrapped = DataKey(EDGE, JOURNAL).wrap(HUB_PUBLIC)
    unsealer = Unsealer([HUB])
    unsealer.unwrap(EDGE, JOURNAL, wrapped)
    for edge, journal in ((OTHER, JOURNAL), (EDGE, OTHER), (JOURNAL, EDGE)):
        with pytest.raises(SealBroken, match="another edge or journal"):
            unsealer.unwrap(edge, journal, wrapped)
    stranger = X25519PrivateKey.generate()
    with pytest.raises(SealBroken, match="restore"):
        Unsealer([stranger]).unwrap(EDGE, JOURNAL, wrapped)
    renamed = WrappedKey(sealing_key_id(stranger.public_key().public_bytes_raw()), wrapped.wrapped)
    with pytest.raises(SealBroken):
        Unsealer([HUB, stranger]).unwrap(EDGE, JOURNAL, renamed)


@given(st.data())
def test_a_changed_or_cut_wrapped_key_does_not_open(data: st.DataObject) -> None:
    wrapped = DataKey(EDGE, JOURNAL).wrap(HUB_PUBLIC)
    at = data.draw(st.integers(0, len(wrapped.wrapped) - 1))
    flipped = bytearray(wrapped.wrapped)
    # X25519 ignores the top bit of a point, yet the key schedule covers the bytes as they were sent.
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    for changed in (bytes(flipped), wrapped.wrapped[:at], wrapped.wrapped + b"\0", bytes(32) + wrapped.wrapped[32:]):
        with pytest.raises(SealBroken):
            Unsealer([HUB]).unwrap(EDGE, JOURNAL, WrappedKey(wrapped.hub_key_id, changed))


@pytest.mark.parametrize("length", [0, 5, 16, 24, 31, 33])
def test_a_data_key_of_another_length_is_refused_though_aes_would_take_some(length: int) -> None:
    key_id = sealing_key_id(HUB_PUBLIC)
    info = b"suozhan/data-key/v1\0" + EDGE.bytes + JOURNAL.bytes + key_id
    suite = HpkeSuite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    wrapped = WrappedKey(key_id, suite.encrypt(os.urandom(length), HUB.public_key(), info))
    with pytest.raises(SealBroken, match="32 bytes"):
        Unsealer([HUB]).unwrap(EDGE, JOURNAL, wrapped)


# ---- sizes ----

@dictionaries
def test_the_longest_body_fits_into_a_record_even_when_it_does_not_compress(dictionary: int) -> None:
    key, opened = _pair(dictionary)
    body = os.urandom(BODY_MAX_BYTES)
    sealed = _seal(key, body)
    assert opened.open(sealed, position=POSITION, kind=KIND) == body
    times = Times(2**63, 2**63, bytes(16), 2**63)
    record = Record(OTHER, EDGE, JOURNAL, 2**63, "张" * 64, times, simulated=True, content=sealed)
    assert len(record.payload()) <= PAYLOAD_MAX_BYTES


def test_the_dictionary_halves_what_a_transaction_takes() -> None:
    """What it is for: a line of 32 kbit/s."""
    bodies = [transaction(Random(seed)) for seed in range(20)]
    sizes = {dictionary: sum(len(_seal(_pair(dictionary)[0], one).ciphertext) for one in bodies)
             for dictionary in (NO_DICTIONARY, NEWEST_DICTIONARY)}
    assert sizes[NEWEST_DICTIONARY] < sizes[NO_DICTIONARY] / 2, sizes


def test_an_oversized_body_is_not_sealed() -> None:
    key, _ = _pair()
    with pytest.raises(ValueError, match="attachments"):
        _seal(key, bytes(BODY_MAX_BYTES + 1))


def _frame(body: bytes, dictionary: int, *, sized: bool) -> bytes:
    layout = zstandard.FORMAT_ZSTD1 if dictionary == NO_DICTIONARY else zstandard.FORMAT_ZSTD1_MAGICLESS
    parameters = zstandard.ZstdCompressionParameters.from_level(9, write_content_size=sized, format=layout)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(body)


@dictionaries
@pytest.mark.parametrize("length", [BODY_MAX_BYTES + 1, 64 * 1024 * 1024])
def test_a_small_frame_that_unpacks_to_too_much_is_refused_before_unpacking(dictionary: int, length: int) -> None:
    frame = _frame(bytes(length), dictionary, sized=True)
    assert len(frame) < 4_096
    with pytest.raises(SealBroken, match="unpack"):
        _open_forged(frame, dictionary)


@dictionaries
def test_a_frame_that_does_not_say_its_size_is_refused(dictionary: int) -> None:
    with pytest.raises(SealBroken, match="how many"):
        _open_forged(_frame(b"body", dictionary, sized=False), dictionary)


@dictionaries
@given(frame=st.binary(max_size=64))
def test_a_well_sealed_body_that_is_no_frame_breaks_and_nothing_else(dictionary: int, frame: bytes) -> None:
    try:
        assert len(_open_forged(frame, dictionary)) <= BODY_MAX_BYTES
    except SealBroken:
        return


def _open_forged(frame: bytes, dictionary: int) -> bytes:
    opened, sealed = _forge(frame, dictionary)
    return opened.open(sealed, position=POSITION, kind=KIND)


# ---- the hub's keys ----

def test_old_sealing_keys_are_kept_and_still_open(tmp_path: Path) -> None:
    old = create_sealing_key(tmp_path / "sealing-1.key")
    wrapped = DataKey(EDGE, JOURNAL).wrap(old)
    new = create_sealing_key(tmp_path / "sealing-2.key")
    assert old != new
    unsealer = Unsealer.load(tmp_path)
    unsealer.unwrap(EDGE, JOURNAL, wrapped)
    unsealer.unwrap(EDGE, JOURNAL, DataKey(EDGE, JOURNAL).wrap(new))


def test_a_sealing_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "sealing-1.key"
    create_sealing_key(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        create_sealing_key(path)
    assert path.read_bytes() == before


def test_a_sealing_key_is_private_and_not_used_once_exposed(tmp_path: Path) -> None:
    path = tmp_path / "sealing-1.key"
    create_sealing_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(ExposedSecret, match="chmod 600"):
        Unsealer.load(tmp_path)


@dictionaries
def test_threads_that_open_bodies_at_once_get_each_their_own(dictionary: int) -> None:
    """Projector and auditor do. zstd's objects serve one thread at a time: two got each other's residents."""
    key = DataKey(EDGE, JOURNAL, dictionary=dictionary)
    bodies = [BODY + str(number).encode() * 200 for number in range(THREADS)]
    sealed = [key.seal(body, key_position=1, position=POSITION, kind=KIND) for body in bodies]
    opened = OpenedKey(EDGE, JOURNAL, key._secret)

    def open_often(number: int) -> bool:
        return all(opened.open(sealed[number], position=POSITION, kind=KIND) == bodies[number] for _ in range(OPENED_OFTEN))

    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(open_often, range(THREADS)))
