"""IPP messages: what is asked, and answers whole, strange, damaged and hostile."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyipp.enums import IppOperation
from pyipp.parser import parse

from devices.ipp_message import NotIpp, answer, request

HEAD = b"\x02\x00\x00\x00\x00\x00\x00\x01"
PRINTER, JOB, END = b"\x04", b"\x02", b"\x03"
INTEGER, BOOLEAN, ENUM, OCTETS, DATE, COLLECTION, TEXT_LANGUAGE, COLLECTION_END = (
    0x21, 0x22, 0x23, 0x30, 0x31, 0x34, 0x35, 0x37,
)  # fmt: skip
TEXT, KEYWORD, MEMBER = 0x41, 0x44, 0x4A


def one(tag: int, name: str, value: bytes) -> bytes:
    return struct.pack(">BH", tag, len(name)) + name.encode() + struct.pack(">H", len(value)) + value


def number(value: int) -> bytes:
    return struct.pack(">i", value)


def test_a_request_begins_as_the_standard_wants_and_ends_with_the_document() -> None:
    body = request(IppOperation.SEND_DOCUMENT, "ipp://h/p", {"job-id": 7, "last-document": True}, b"%PDF-")
    assert body[:4] == b"\x02\x00\x00\x06"
    names = ["attributes-charset", "attributes-natural-language", "printer-uri", "job-id", "last-document"]
    places = [body.index(name.encode()) for name in names]
    assert places == sorted(places)
    assert body.endswith(END + b"%PDF-")
    told = parse(body, contains_data=True)
    assert told["operation-attributes"]["job-id"] == 7
    assert told["data"] == b"%PDF-"


def test_an_answer_is_read_by_group_with_all_values_of_an_attribute() -> None:
    body = (
        HEAD + b"\x01" + one(0x47, "attributes-charset", b"utf-8")
        + PRINTER + one(ENUM, "printer-state", number(5)) + one(BOOLEAN, "printer-is-accepting-jobs", b"\x01")
        + one(KEYWORD, "printer-state-reasons", b"media-jam-error") + one(KEYWORD, "", b"toner-low-warning")
        + one(TEXT_LANGUAGE, "printer-info", b"\x00\x02zh\x00\x06" + "前台".encode()) + END
    )  # fmt: skip
    told = answer(body)
    assert told.status == 0
    assert told.printer == {
        "printer-state": [5], "printer-is-accepting-jobs": [True], "printer-info": ["前台"],
        "printer-state-reasons": ["media-jam-error", "toner-low-warning"],
    }  # fmt: skip
    assert told.job == {}


def test_of_several_jobs_the_first_is_taken() -> None:
    body = HEAD + JOB + one(INTEGER, "job-id", number(7)) + JOB + one(INTEGER, "job-id", number(8)) + END
    assert answer(body).job == {"job-id": [7]}


def test_a_number_that_nobody_has_heard_of_costs_nothing() -> None:
    body = (
        HEAD
        + PRINTER
        + one(ENUM, "printer-state", number(99))
        + one(ENUM, "operations-supported", number(0x7FFF))
        + END
    )
    assert answer(body).printer == {"printer-state": [99], "operations-supported": [0x7FFF]}


def test_collections_and_types_that_nobody_needs_are_passed_over() -> None:
    nested = (
        one(COLLECTION, "", b"") + one(MEMBER, "", b"x") + one(INTEGER, "", number(1)) + one(COLLECTION_END, "", b"")
    )
    body = (
        HEAD + PRINTER
        + one(COLLECTION, "media-col", b"") + one(MEMBER, "", b"size") + nested + one(COLLECTION_END, "", b"")
        + one(COLLECTION, "", b"") + one(COLLECTION_END, "", b"")
        + one(DATE, "when", bytes(11)) + one(0x13, "nothing", b"") + one(INTEGER, "queued-job-count", number(2)) + END
    )  # fmt: skip
    assert answer(body).printer == {"queued-job-count": [2]}


@pytest.mark.parametrize(
    "damaged",
    [
        b"", b"HTTP/1.1", HEAD, HEAD + PRINTER,
        HEAD + PRINTER + b"\x44\x00\x03abc\xff\xf8" + END,  # a length that is -8 to who takes it as signed
        HEAD + PRINTER + one(INTEGER, "a", b"\x01") + END,
        HEAD + PRINTER + one(BOOLEAN, "a", b"") + END,
        HEAD + PRINTER + one(TEXT_LANGUAGE, "a", b"\x00\x09zh") + END,
        HEAD + PRINTER + one(COLLECTION, "a", b"") + END,
        HEAD + PRINTER + one(COLLECTION_END, "", b"") + END,
        HEAD + PRINTER + one(COLLECTION, "a", b"") * 17 + one(COLLECTION_END, "", b"") * 17 + END,
    ],
)  # fmt: skip
def test_damage_is_refused(damaged: bytes) -> None:
    with pytest.raises(NotIpp):
        answer(damaged)


WHOLE = (
    HEAD + b"\x01" + one(0x47, "attributes-charset", b"utf-8") + PRINTER + one(TEXT, "printer-info", "打印".encode())
    + one(COLLECTION, "c", b"") + one(COLLECTION_END, "", b"") + JOB + one(INTEGER, "job-id", number(1)) + END
)  # fmt: skip


def test_no_beginning_of_an_answer_is_one() -> None:
    answer(WHOLE)
    for length in range(len(WHOLE)):
        with pytest.raises(NotIpp):
            answer(WHOLE[:length])


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=4), st.binary(max_size=80))
def test_noise_ends_and_raises_nothing_else(place: int, other: bytes, noise: bytes) -> None:
    for body in (WHOLE[:place] + other + WHOLE[place + len(other) :], HEAD + noise, HEAD + PRINTER + noise + END):
        try:
            answer(body)
        except NotIpp:
            continue
