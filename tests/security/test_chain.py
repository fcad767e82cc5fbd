"""The chain: nothing can be changed, moved, left out or put in without its digest or signature showing it."""

from __future__ import annotations

import dataclasses
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from security.chain import Genesis, digests_after, leaf_hash, leaf_hashes, next_digest
from security.record import (
    KIND_MAX_CHARS,
    PAYLOAD_MAX_BYTES,
    CarriedRecord,
    ClearBody,
    Content,
    Link,
    MalformedRecord,
    PlaceCheck,
    Record,
    SealedBody,
    Times,
    WrappedKey,
    parse_record,
    sign_link,
    signature_holds,
)
from security.signer import Ed25519Signer
from security.suites import Suite, Verifier

EDGE, JOURNAL, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
SIGNER = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
VERIFIER = Verifier(SIGNER.suite, SIGNER.public_key)
GENESIS = Genesis(EDGE, JOURNAL, SIGNER.suite, SIGNER.public_key)
TIMES = Times(1_767_225_600_000, 0, bytes(16), 1)
RECORD = Record(UUID(int=9), EDGE, JOURNAL, 1, "note", TIMES, simulated=False, content=ClearBody(b"{}"))

payload_lists = st.lists(st.binary(max_size=40), min_size=1, max_size=8)


def _links(payloads: list[bytes], genesis: Genesis = GENESIS) -> list[Link]:
    links: list[Link] = []
    for payload in payloads:
        links.append(sign_link(SIGNER, links[-1].digest if links else genesis.digest(), payload))
    return links


def _last_digest(payloads: list[bytes]) -> bytes:
    digest = GENESIS.digest()
    for payload in payloads:
        digest = next_digest(digest, payload)
    return digest


@pytest.mark.parametrize("change", [
    {"edge": OTHER}, {"journal": OTHER}, {"public_key": SIGNER.public_key[:-1]}, {"public_key": bytes(32)},
    {"predecessor": OTHER}, {"suite": 2},
])
def test_the_genesis_digest_covers_every_field(change: dict[str, object]) -> None:
    assert dataclasses.replace(GENESIS, **change).digest() != GENESIS.digest()


def test_no_predecessor_reads_as_sixteen_zero_bytes() -> None:
    assert dataclasses.replace(GENESIS, predecessor=UUID(int=0)).digest() == GENESIS.digest()
    assert GENESIS.suite is Suite.ED25519_SHA256


@given(payload_lists, st.data())
def test_a_changed_byte_anywhere_breaks_every_later_signature(payloads: list[bytes], data: st.DataObject) -> None:
    links = _links(payloads)
    at = data.draw(st.integers(0, len(payloads) - 1))
    forged = [*payloads[:at], payloads[at] + b"!", *payloads[at + 1:]]
    digest = GENESIS.digest()
    for number, (payload, link) in enumerate(zip(forged, links, strict=True)):
        digest = next_digest(digest, payload)
        assert signature_holds(VERIFIER, link.signature, digest) == (number < at)


@given(payload_lists, st.data())
def test_leaving_out_a_record_changes_the_last_digest(payloads: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(payloads) - 1))
    assert _last_digest(payloads[:at] + payloads[at + 1:]) != _last_digest(payloads)


@given(st.lists(st.binary(max_size=20), min_size=2, max_size=6, unique=True), st.data())
def test_another_order_changes_the_last_digest(payloads: list[bytes], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(payloads).filter(lambda order: list(order) != payloads))
    assert _last_digest(shuffled) != _last_digest(payloads)


def test_equal_payloads_at_two_positions_have_different_digests() -> None:
    first, second = _links([b"card removed", b"card removed"])
    assert first.digest != second.digest
    assert first.signature != second.signature


def test_a_signature_of_one_journal_does_not_hold_in_another() -> None:
    link = _links([b"x"])[0]
    elsewhere = next_digest(dataclasses.replace(GENESIS, journal=OTHER).digest(), b"x")
    assert signature_holds(VERIFIER, link.signature, link.digest)
    assert not signature_holds(VERIFIER, link.signature, elsewhere)


def test_a_bare_digest_signed_without_context_is_no_record() -> None:
    link = _links([b"x"])[0]
    assert not signature_holds(VERIFIER, SIGNER.sign(link.digest), link.digest)


def test_the_leaf_covers_each_of_its_fields() -> None:
    base = (bytes(32), bytes(16), 1, bytes(32), bytes(64), 1)
    changed = [
        (b"\1" * 32, *base[1:]), (base[0], b"\1" * 16, *base[2:]), (*base[:2], 2, *base[3:]),
        (*base[:3], b"\1" * 32, *base[4:]), (*base[:4], b"\1" * 64, base[5]), (*base[:5], 2),
    ]
    assert len({leaf_hash(*base), *(leaf_hash(*fields) for fields in changed)}) == 7


# ---- payloads ----

@pytest.mark.parametrize("content", [
    ClearBody(b""), ClearBody("{\"名\":1}".encode()), WrappedKey(bytes(32), bytes(80)),
    SealedBody(1, 2**64 - 1, 1, bytes(16)), SealedBody(0, 0, 0, b""),
    CarriedRecord(bytes([1]) * 32, bytes([2]) * 32, b"payload", bytes([3]) * 64),
    CarriedRecord(bytes([1]) * 32, bytes([2]) * 32, b"payload", bytes([3]) * 64, WrappedKey(bytes([4]) * 32, bytes([5]) * 80)),
], ids=str)
def test_a_record_reads_back_as_it_was_written(content: Content) -> None:
    record = dataclasses.replace(RECORD, content=content, simulated=True)
    assert parse_record(record.payload()) == record


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_malformed_and_nothing_else(payload: bytes) -> None:
    try:
        parse_record(payload)
    except MalformedRecord:
        return


@given(st.data())
def test_a_cut_payload_is_never_taken_for_the_whole(data: st.DataObject) -> None:
    payload = RECORD.payload()
    cut = payload[:data.draw(st.integers(0, len(payload) - 1))]
    try:
        assert parse_record(cut) != RECORD
    except MalformedRecord:
        return


@pytest.mark.parametrize("kind", ["", "k" * (KIND_MAX_CHARS + 1)])
def test_a_kind_out_of_bounds_is_malformed(kind: str) -> None:
    with pytest.raises(MalformedRecord, match="kind"):
        parse_record(dataclasses.replace(RECORD, kind=kind).payload())


def test_a_kind_that_is_not_utf8_is_malformed() -> None:
    broken = RECORD.payload().replace(b"note", b"no\xff\xfe")
    with pytest.raises(MalformedRecord):
        parse_record(broken)


@pytest.mark.parametrize("field", [b"\x0a\x10", b"\x12\x10", b"\x1a\x10"])
def test_a_uuid_of_another_length_is_malformed(field: bytes) -> None:
    payload = RECORD.payload()
    at = payload.index(field)
    with pytest.raises(MalformedRecord, match="16 bytes"):
        parse_record(payload[:at] + field[:1] + b"\x0f" + payload[at + 2:at + 17] + payload[at + 18:])


def test_the_longest_payload_is_taken_and_one_byte_more_is_not() -> None:
    room = PAYLOAD_MAX_BYTES - len(dataclasses.replace(RECORD, content=ClearBody(bytes(60_000))).payload()) + 60_000
    longest = dataclasses.replace(RECORD, content=ClearBody(bytes(room))).payload()
    assert len(longest) == PAYLOAD_MAX_BYTES
    parse_record(longest)
    with pytest.raises(MalformedRecord, match="at most"):
        parse_record(dataclasses.replace(RECORD, content=ClearBody(bytes(room + 1))).payload())


def test_a_record_is_taken_only_at_its_own_place() -> None:
    payload = RECORD.payload()
    assert PlaceCheck(EDGE, JOURNAL).holds(payload, 1)
    for edge, journal, position in ((OTHER, JOURNAL, 1), (EDGE, OTHER, 1), (EDGE, JOURNAL, 2), (EDGE, JOURNAL, 0)):
        assert not PlaceCheck(edge, journal).holds(payload, position)


@pytest.mark.parametrize("position", [1, 127, 128, 300, 2**14, 2**32, 2**63 - 1])
def test_the_place_is_read_from_the_first_bytes_of_a_payload(position: int) -> None:
    payload = dataclasses.replace(RECORD, position=position).payload()
    assert PlaceCheck(EDGE, JOURNAL).holds(payload, position)
    assert not PlaceCheck(EDGE, JOURNAL).holds(payload[1:], position)
    assert not PlaceCheck(EDGE, JOURNAL).holds(payload + bytes(PAYLOAD_MAX_BYTES), position)


# ---- many at once are as many one by one ----

@given(first=st.sampled_from([1, 120, 126, 128, 16_380, 2**21 - 3, 2**35 - 2]), count=st.integers(1, 300), data=st.data())
def test_the_places_of_a_run_are_checked_as_one_by_one(first: int, count: int, data: st.DataObject) -> None:
    payloads = [dataclasses.replace(RECORD, position=first + number).payload() for number in range(count)]
    check = PlaceCheck(EDGE, JOURNAL)
    assert check.holding(payloads, first) == count
    at = data.draw(st.integers(0, count - 1))
    wrong = data.draw(st.sampled_from([
        dataclasses.replace(RECORD, position=first + at + 1).payload(), payloads[at][:-30], b"",
        *[dataclasses.replace(RECORD, position=first + at + step).payload() for step in (2**7, 2**14, 2**21, 2**28, 2**35)],
        payloads[at] + bytes(PAYLOAD_MAX_BYTES), dataclasses.replace(RECORD, edge=OTHER, position=first + at).payload(),
    ]))
    payloads[at] = wrong
    one_by_one = [check.holds(payload, first + number) for number, payload in enumerate(payloads)]
    assert check.holding(payloads, first) == [*one_by_one, False].index(False)


@given(payload_lists)
def test_digests_and_leaves_of_a_run_are_those_of_its_records(payloads: list[bytes]) -> None:
    links = _links(payloads)
    digests = digests_after(GENESIS.digest(), payloads)
    assert digests == [link.digest for link in links]
    signatures = [link.signature for link in links]
    assert leaf_hashes(SIGNER.key_id, JOURNAL.bytes, 5, digests, signatures, 7) == [
        leaf_hash(SIGNER.key_id, JOURNAL.bytes, number, link.digest, link.signature, 7)
        for number, link in enumerate(links, start=5)]


@pytest.mark.parametrize("at", [127, 128, 16_383, 16_384, 2**21 - 1, 2**21, 2**28])
def test_a_place_is_compared_to_the_last_byte_of_its_position(at: int) -> None:
    check = PlaceCheck(EDGE, JOURNAL)
    assert check.holds(dataclasses.replace(RECORD, position=at).payload(), at)
    for step in (1, 2**7, 2**14, 2**21, 2**28, 2**35):
        assert not check.holds(dataclasses.replace(RECORD, position=at + step).payload(), at)


def test_the_longest_payload_is_in_its_place_beside_a_broken_one_too() -> None:
    check, start = PlaceCheck(EDGE, JOURNAL), RECORD.payload()
    longest = start + bytes(PAYLOAD_MAX_BYTES - len(start))
    assert check.holding([longest], 1) == 1
    assert check.holding([longest, b""], 1) == 1
    assert check.holding([longest + b"x", b""], 1) == 0


@pytest.mark.parametrize("first", [1, 100, 200, 130])
def test_a_broken_record_is_found_wherever_its_run_begins(first: int) -> None:
    payloads = [dataclasses.replace(RECORD, position=first + number).payload() for number in range(5)]
    assert PlaceCheck(EDGE, JOURNAL).holding([*payloads[:3], b"", payloads[4]], first) == 3


def test_leaves_are_made_of_as_many_signatures_as_digests() -> None:
    for digests, signatures in (([bytes(32)], []), ([bytes(32)], [bytes(64)] * 2)):
        with pytest.raises(ValueError, match=r"shorter|longer"):
            leaf_hashes(SIGNER.key_id, JOURNAL.bytes, 1, digests, signatures, 7)


def test_a_carried_record_has_the_digest_that_it_had_in_its_own_journal() -> None:
    link = sign_link(SIGNER, GENESIS.digest(), RECORD.payload())
    assert CarriedRecord(GENESIS.digest(), SIGNER.key_id, link.payload, link.signature).digest == link.digest
