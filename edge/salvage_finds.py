"""What was found in the pages of a damaged journal, kept in a temporary file: a journal may hold more than memory does."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Any
from uuid import UUID

from edge.journal_rows import (
    SIGNATURE_BYTES,
    DigestRow,
    EnvelopeCell,
    digest_rows,
    envelope_at,
    envelope_cells,
    heads,
    standings,
)
from edge.journal_store import Head, Standing
from edge.sqlite_log import PAGE_BYTES
from edge.sqlite_pages import FILE_HEADER_BYTES, FIRST_BYTES, MAGIC, TABLE_LEAF, Image, PageFile, cell_starts
from security.chain import Genesis
from security.suites import sha256

POSITION_MAX = 2**48  # what a damaged number says beyond is no position

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE digests (position INTEGER, trusted INTEGER, id BLOB, digest BLOB, UNIQUE (position, id, digest));
CREATE TABLE envelopes (position INTEGER, trusted INTEGER, id BLOB, number INTEGER, source INTEGER, offset INTEGER,
                        at INTEGER, sum BLOB, UNIQUE (position, sum));
BEGIN;
"""
# What SQLite would read goes before what lies beside it: the same row may be found in both.
_DIGEST = """INSERT INTO digests VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET trusted = max(trusted, excluded.trusted)"""
_ENVELOPE = """INSERT INTO envelopes VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET trusted = max(trusted, excluded.trusted)"""


_DIGESTS_AFTER = "SELECT position, trusted, id, digest FROM digests WHERE position > ? ORDER BY position, trusted DESC"
_ENVELOPES_AFTER = """SELECT position, trusted, id, number, source, offset, at FROM envelopes WHERE position > ?
    ORDER BY position, trusted DESC, source DESC, offset DESC"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a payload begins: `at` in the page at `offset` of file `source`."""

    number: int
    source: int
    offset: int
    at: int


@dataclass(frozen=True, slots=True)
class FoundDigest:
    """A row of `digests`; `trusted` when SQLite would read it, too, and it is in sequence there."""

    trusted: bool
    id: UUID
    digest: bytes


@dataclass(frozen=True, slots=True)
class FoundEnvelope:
    """A row of `envelopes`."""

    trusted: bool
    id: UUID
    place: Place


@dataclass(frozen=True, slots=True)
class Finds:
    """All that says something of one position, the trusted first."""

    position: int
    digests: Sequence[FoundDigest]
    envelopes: Sequence[FoundEnvelope]


class SalvageFinds:
    """`with SalvageFinds(pages, genesis) as finds`, then `gather`. Not thread-safe."""

    def __init__(self, pages: PageFile, genesis: Genesis) -> None:
        self._pages = pages
        self._genesis = genesis
        self.of_database = pages.count > 0  # else of logs alone
        self.heads: list[tuple[bool, Head]] = []  # the current one first, if it is there
        self.standings: list[tuple[bool, Standing]] = []
        self.damaged: dict[int, str] = {}  # by page

    def __enter__(self) -> SalvageFinds:
        self.index = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # a file that has no name
        self.index.executescript(_SCHEMA)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.index.close()

    def gather(self, images: Iterable[Image]) -> None:
        """Look at each copy of a page once."""
        for image in images:
            page = self._pages.read(image)
            if len(page) < PAGE_BYTES:
                self.damaged[image.number] = f"{len(page)} of {PAGE_BYTES} bytes can be read"
            self._look_at(image, page)
        self.heads.sort(key=lambda found: (found[0], found[1].position), reverse=True)
        self.standings.sort(key=lambda found: (found[0], found[1].position), reverse=True)

    def _look_at(self, image: Image, page: bytes) -> None:
        starts = cell_starts(page, image.number) if image.current else ()
        rows, cells = list(digest_rows(page)), list(envelope_cells(page, self._genesis))
        if image.current:
            self._judge(image.number, page, starts, rows, cells)
        positions = _positions(starts, rows)
        self.index.executemany(_DIGEST, [
            (positions.get(row.start, row.position), row.start in positions, row.id.bytes, row.digest)
            for row in rows if 0 < row.position < POSITION_MAX])
        self.index.executemany(_ENVELOPE, [
            (cell.position, cell.start in starts, cell.id.bytes, image.number, image.source, image.offset, cell.at, _sum(cell))
            for cell in cells if 0 < cell.position < POSITION_MAX])
        self.heads += [(image.current, head) for head in heads(page)]
        self.standings += [(image.current, standing) for standing in standings(page)]

    def _judge(self, number: int, page: bytes, starts: Sequence[int], rows: Sequence[DigestRow],
               cells: Sequence[EnvelopeCell]) -> None:
        """Name a page whose header or rows are not what SQLite writes."""
        found = {row.start for row in rows} | {cell.start for cell in cells}
        held = "digests" if rows else "records"
        at = FILE_HEADER_BYTES if number == 1 else 0
        kind = page[at] if at < len(page) else 0
        if number == 1 and not page.startswith(MAGIC):
            self.damaged[number] = "the file does not begin as a database of SQLite"
        elif kind not in (FIRST_BYTES if not found else (0, TABLE_LEAF)):
            self.damaged[number] = (f"the header of a page of {held} is damaged" if found else
                                    "its header is damaged, and what it held cannot be told")
        elif found and kind == TABLE_LEAF and found != set(starts):
            self.damaged[number] = f"rows, or the list of rows, in a page of {held} are damaged"
        elif any(row.position != position for row, position in _with_positions(starts, rows)):
            self.damaged[number] = "a row in a page of digests says another position than its place"

    def in_order(self, after: int) -> Iterator[Finds]:
        """By position, those behind `after` that anything was found of."""
        digests = _grouped(self.index.execute(_DIGESTS_AFTER, (after,)))
        envelopes = _grouped(self.index.execute(_ENVELOPES_AFTER, (after,)))
        digest, envelope = next(digests, None), next(envelopes, None)
        while digest or envelope:
            position = min(one[0] for one in (digest, envelope) if one)
            here = digest[1] if digest and digest[0] == position else []
            there = envelope[1] if envelope and envelope[0] == position else []
            yield Finds(position, [FoundDigest(bool(row[1]), UUID(bytes=row[2]), row[3]) for row in here],
                        [FoundEnvelope(bool(row[1]), UUID(bytes=row[2]), Place(*row[3:])) for row in there])
            digest = next(digests, None) if here else digest
            envelope = next(envelopes, None) if there else envelope

    def read(self, place: Place) -> list[tuple[bytes, bytes]]:
        """Payload and signature that begin there; more than one when it is not clear which pages they go on in."""
        image = Image(place.number, place.source, place.offset, current=False)
        cell = envelope_at(self._pages.read(image), place.at)
        if cell is None:
            return []
        rests = self._pages.overflow(image, cell.overflow, cell.missing_bytes) if cell.overflow else [b""]
        whole = [cell.local + rest for rest in dict.fromkeys(rests)]
        return [(data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]) for data in whole]


def _grouped(rows: sqlite3.Cursor) -> Iterator[tuple[int, list[Any]]]:
    for position, group in groupby(rows, key=lambda row: row[0]):
        yield position, list(group)


def _positions(starts: Sequence[int], rows: Sequence[DigestRow]) -> dict[int, int]:
    """Position by start of cell. None is missing in `digests`, so a row's place in its page says the position once more."""
    return {row.start: position for row, position in _with_positions(starts, rows)}


def _with_positions(starts: Sequence[int], rows: Sequence[DigestRow]) -> list[tuple[DigestRow, int]]:
    by_start = {row.start: row for row in rows}
    listed = [(number, by_start[start]) for number, start in enumerate(starts) if start in by_start]
    if not listed:
        return []
    first, agreeing = Counter(row.position - number for number, row in listed).most_common(1)[0]
    return [(row, first + number) for number, row in listed] if agreeing * 2 > len(listed) else []


def _sum(cell: EnvelopeCell) -> bytes:
    return sha256(cell.local + cell.overflow.to_bytes(4, "big"))[:16]
