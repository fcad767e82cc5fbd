"""Rows of a journal as they lie in a page, found by their shape: neither the page's header nor its list of cells is believed.

A record header is a size and one type for each column: https://www.sqlite.org/fileformat2.html, section 2.1. The types here
follow from journal_schema.sql; position is the row's id and stands as NULL in its own column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from edge.journal_store import Head, JournalIdentity, Standing
from edge.sqlite_log import PAGE_BYTES
from edge.sqlite_pages import local_bytes, varint
from security.chain import Genesis
from security.suites import Suite

SIGNATURE_BYTES = 64  # of suite 1, the only one so far
_ID, _DIGEST, _SIGNATURE = 12 + 2 * 16, 12 + 2 * 32, b"\x81\x0c"  # types of BLOBs: 12 + 2 * length, as varints

# Size of the row, position, header (position, id, digest, tag), id, digest, tag.
_DIGEST_ROW = re.compile(rb"\x05\x00\x2c\x4c(?:\x00.{48}|\x2c.{64})", re.DOTALL)
_JOURNAL_ROW = re.compile(rb"\x01\x09\x00[\x01\x09]([\x0d-\x7f])\x2c\x2c[\x01\x09]\x4c([\x00\x2c])", re.DOTALL)
_HEAD_ROW = re.compile(rb"\x01\x04\x00([\x01-\x06\x08\x09])\x4c", re.DOTALL)
_STANDING_ROW = re.compile(rb"\x01\x05\x00([\x01-\x06\x08\x09])([\x01-\x06\x08\x09])([\x01-\x06\x08\x09])", re.DOTALL)
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}  # section 2.1; 8 and 9 are the numbers 0 and 1
SINGLE_ROW_MAX_BYTES = 512  # a page of a table with one row is nearly empty


@dataclass(frozen=True, slots=True)
class DigestRow:
    """A row of `digests`; `start` is where its cell begins in the page."""

    start: int
    position: int
    id: UUID
    digest: bytes
    tag: bytes | None


@dataclass(frozen=True, slots=True)
class EnvelopeCell:
    """A row of `envelopes`: `local` is its payload and signature as far as they lie on this page, `overflow` where they go on.

    The payload begins at `at`; `position` is what it says. `start` is -1 when what stands before it is damaged.
    """

    at: int
    start: int
    position: int
    id: UUID
    payload_bytes: int
    local: bytes
    overflow: int

    @property
    def missing_bytes(self) -> int:
        return self.payload_bytes + SIGNATURE_BYTES - len(self.local)


def digest_rows(page: bytes) -> Iterator[DigestRow]:
    """Every row of that shape, in or out of use."""
    for found in _DIGEST_ROW.finditer(page):
        at = found.start()
        values = found[0][5:]
        place = _place_before(page, at, len(found[0]))
        if place is not None:
            start, position = place
            yield DigestRow(start, position, UUID(bytes=values[:16]), values[16:48], values[48:] or None)


def envelope_cells(page: bytes, genesis: Genesis) -> Iterator[EnvelopeCell]:
    """Rows whose payload begins as a record of this journal (docs/record-format.md, section 3)."""
    for found in _owner_pattern(genesis).finditer(page):
        cell = envelope_at(page, found.start())
        if cell is not None:
            yield cell


def _owner_pattern(genesis: Genesis) -> re.Pattern[bytes]:
    owner = b"\x12\x10" + genesis.edge.bytes + b"\x1a\x10" + genesis.journal.bytes + b"\x20"
    return re.compile(rb"\x0a\x10(.{16})" + re.escape(owner), re.DOTALL)


def envelope_at(page: bytes, at: int) -> EnvelopeCell | None:
    """The row whose payload begins at `at`."""
    try:
        position = _protobuf_varint(page, at + 18 + 37)
        header, payload_bytes = _header_before(page, at)
    except (IndexError, ValueError):
        return None
    row_bytes = at - header + payload_bytes + SIGNATURE_BYTES
    local = local_bytes(row_bytes)
    end = header + local
    overflow = int.from_bytes(page[end:end + 4], "big") if local < row_bytes else 0
    if end + (4 if overflow else 0) > len(page):
        return None
    place = _place_before(page, header, row_bytes)
    start = place[0] if place and place[1] == position else -1
    return EnvelopeCell(at, start, position, UUID(bytes=page[at + 2:at + 18]), payload_bytes, page[at:end], overflow)


def _header_before(page: bytes, at: int) -> tuple[int, int]:
    """Where the record header before a payload begins, and the payload's length. Raises ValueError."""
    if page[at - 2:at] != _SIGNATURE:
        raise ValueError("no signature's type before the payload")
    for width in (1, 2, 3):
        header = at - 2 - width - 2
        if header >= 0 and page[header] == width + 4 and page[header + 1] == 0:
            kind, end = varint(page, header + 2)
            if end == at - 2 and kind >= 12 and kind % 2 == 0:
                return header, (kind - 12) // 2
    raise ValueError("no record header before the payload")


def _place_before(page: bytes, header: int, row_bytes: int) -> tuple[int, int] | None:
    """Start and row id of the cell whose record header begins at `header`: size and id stand before it."""
    for width in range(1, 10):
        at = header - width
        size = _varint_bytes(row_bytes)
        if at < len(size):
            return None
        number, end = varint(page, at)
        if end == header and page[at - len(size):at] == size:
            return at - len(size), number
    return None


def journal_rows(page: bytes) -> Iterator[JournalIdentity]:
    """Whose journal it says to be."""
    for found in _JOURNAL_ROW.finditer(page):
        at = found.end() + (0 if page[found.start() + 3] == 9 else 1)  # version
        name_bytes = (found[1][0] - 13) // 2
        name = page[at:at + name_bytes]
        at += name_bytes
        edge, journal = page[at:at + 16], page[at + 16:at + 32]
        suite = 1 if page[found.end() - 3] == 9 else page[at + 32]
        at += 32 + (0 if page[found.end() - 3] == 9 else 1)
        key, predecessor = page[at:at + 32], page[at + 32:at + 48] if found[2] == b"\x2c" else b""
        if suite == Suite.ED25519_SHA256 and len(key) == 32 and name.isascii():
            yield JournalIdentity(name.decode(), Genesis(UUID(bytes=edge), UUID(bytes=journal), Suite(suite), key,
                                                         UUID(bytes=predecessor) if predecessor else None))


def heads(page: bytes) -> Iterator[Head]:
    """In pages that hold one row only: the shape alone is too common."""
    for found in _HEAD_ROW.finditer(page) if _nearly_empty(page) else ():
        position, at = _integer(page, found.end(), found[1][0])
        yield Head(position, page[at:at + 32])


def standings(page: bytes) -> Iterator[Standing]:
    """Those that can be one, in pages that hold one row only."""
    for found in _STANDING_ROW.finditer(page) if _nearly_empty(page) else ():
        at, numbers = found.end(), []
        for group in (1, 2, 3):
            number, at = _integer(page, at, found[group][0])
            numbers.append(number)
        if 0 <= numbers[1] <= numbers[0] and numbers[2] >= 0:
            yield Standing(*numbers)


def _nearly_empty(page: bytes) -> bool:
    return page.count(0) > PAGE_BYTES - SINGLE_ROW_MAX_BYTES


def _integer(page: bytes, at: int, kind: int) -> tuple[int, int]:
    width = _INTEGER_BYTES[kind]
    number = int.from_bytes(page[at:at + width], "big", signed=True) if width else kind - 8
    return number, at + width


def _varint_bytes(number: int) -> bytes:
    """SQLite's, of a number below 2^56."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


def _protobuf_varint(data: bytes, at: int) -> int:
    number = shift = 0
    while data[at] & 0x80 and shift < 63:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return number | data[at] << shift
