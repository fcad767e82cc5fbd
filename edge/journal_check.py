"""Check a journal as it lies on disk: structure, chain, every signature, both ends. Reads only, beside a running agent, too."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from edge.drafts import CorruptJournal
from edge.dropped_log import may_be_dropped
from edge.journal_store import (
    DAMAGED,
    KEEP_AND_CALL,
    SCHEMA_VERSION,
    Head,
    Standing,
    as_text,
    journal_schema,
    not_whole,
    read_genesis,
)
from edge.pruned_mark import PrunedMark
from edge.salvage import damaged_pages
from edge.sqlite_log import read_log
from security.chain import next_digest
from security.durable_sqlite import READ_PRAGMAS, DatabaseCut, look_uri
from security.record import PlaceCheck, id_bytes, signature_holds
from security.sqlite_connection import Look
from security.suites import Verifier

STEP_RECORDS = 500
PAGE_FINDINGS_MAX = 100

_SELECT_JOURNAL = "SELECT version, name, edge, journal, suite, public_key, predecessor FROM journal"
_SELECT_MARKS = """SELECT head.position, head.digest, standing.position, standing.backed_up, standing.hub_ms,
    (SELECT min(position) FROM envelopes) FROM head, standing"""
_SELECT_ROWS = """SELECT digests.position, id, digest, payload, signature FROM digests LEFT JOIN envelopes USING (position)
    WHERE digests.position {} ORDER BY digests.position LIMIT ?"""
_AFTER, _AT = _SELECT_ROWS.format("> ?"), _SELECT_ROWS.format("= ?")
_LAST = "SELECT (SELECT max(position) FROM digests), (SELECT max(position) FROM envelopes)"
_DIGEST = "SELECT digest FROM digests WHERE position = ?"
_SCHEMA = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong and where, and what to do; `position` when one record is concerned."""

    where: str
    text: str
    position: int | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(frozen=True, slots=True)
class Marks:
    """What the journal says of itself at one moment; `first` is the lowest position whose envelope is still here."""

    head: Head
    standing: Standing
    first: int | None


class JournalCheck:
    """`with JournalCheck(path) as check`. Raises CorruptJournal when SQLite cannot open it, FileChanged when an agent begins
    to write it meanwhile, or another sqlite3.Error.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> JournalCheck:
        self._pruned_to = PrunedMark(self._path).read()
        try:
            uri = look_uri(self._path)
        except DatabaseCut as error:
            raise not_whole(error) from error
        self._db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=Look)
        self._db.text_factory = as_text
        try:
            for pragma in READ_PRAGMAS:
                self._rows(pragma)
            rows = self._rows(_SELECT_JOURNAL)
            if not rows:
                raise CorruptJournal(f"{self._path} names no journal; {KEEP_AND_CALL}")
            self.version, self.identity = read_genesis(self._path, rows[0])
            genesis = self.identity.genesis
            self._verifier = Verifier(genesis.suite, genesis.public_key)
            self._place = PlaceCheck(genesis.edge, genesis.journal)
        except BaseException:  # what was not entered is not left either
            self._db.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def _rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        return list(self._each(sql, *values))

    def _each(self, sql: str, *values: object) -> Iterator[tuple[object, ...]]:
        """Raises CorruptJournal, or sqlite3.Error for what may pass."""
        try:
            yield from self._db.execute(sql, values)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (*DAMAGED, sqlite3.SQLITE_IOERR) and not _of_the_index(error):
                raise CorruptJournal(f"{self._path} is damaged ({error}); {KEEP_AND_CALL}") from error
            raise

    def marks(self) -> Marks:
        """Raises CorruptJournal."""
        for row in self._rows(_SELECT_MARKS):
            match row:
                case (int(head), bytes(digest), int(held), int(backed_up), int(hub_ms), int() | None as first):
                    return Marks(Head(head, digest), Standing(held, backed_up, hub_ms), first)
        raise CorruptJournal(f"{self._path}: head or standing is damaged; {KEEP_AND_CALL}")

    def structure(self) -> Iterator[Finding]:
        """What SQLite itself finds, page by page; a schema that is not ours; a log that hides what was committed."""
        try:
            for (text,) in self._each(f"PRAGMA integrity_check({PAGE_FINDINGS_MAX})"):
                for line in str(text).splitlines():
                    if line != "ok" and not line.startswith("***"):
                        yield Finding("journal file", f"{line}; {KEEP_AND_CALL}")
            if self.version == SCHEMA_VERSION and set(self._rows(_SCHEMA)) != _written_schema():
                yield Finding("page 1", f"tables or triggers are not those that this program wrote; {KEEP_AND_CALL}")
        except CorruptJournal as error:
            yield Finding("journal file", str(error))
            for number, text in damaged_pages(self._path, self.identity).items():
                yield Finding(f"page {number}", f"{text}; {KEEP_AND_CALL}")
        log = Path(f"{self._path}-wal")
        if may_be_dropped(self._path) and (bad := read_log(log).first_bad) is not None and read_log(log).first_bad == bad:
            yield Finding(f"{log.name}, frame {bad}", "committed records behind it are not read; do not start the agent before "
                          f"the folder was copied; {KEEP_AND_CALL}")

    def ends(self) -> Iterator[Finding]:
        """Head and standing: plausible, and where the records end."""
        try:
            marks = self.marks()
            head, standing = marks.head, marks.standing
            [(digests, envelopes)] = self._rows(_LAST)
            digest = self._digest_at(head.position)
        except CorruptJournal as error:
            yield Finding("head", str(error))
            return
        if digest != head.digest or digests not in (head.position, None) or envelopes not in (head.position, None):
            yield Finding("head", f"it is not the last record; {KEEP_AND_CALL}", head.position)
        if not 0 <= standing.backed_up <= standing.position or standing.hub_ms < 0:
            yield Finding("standing", "what the hub has said cannot be so; the hub says it again when the line is there")

    def _digest_at(self, position: int) -> object:
        if position == 0:
            return self.identity.genesis.digest()
        rows = self._rows(_DIGEST, position)
        return rows[0][0] if rows else None

    def step(self, after: int, limit: int = STEP_RECORDS) -> tuple[int, list[Finding]]:
        """Check up to `limit` positions behind `after`. Returns the last one that was looked at; `after` itself at the end.

        Raises CorruptJournal when head or standing cannot be read, or sqlite3.Error.
        """
        self._rows("BEGIN")  # one moment, beside an agent that prunes
        try:
            marks = self.marks()
            last = min(after + limit, marks.head.position)
            return last, list(self._records(after, last, marks))
        finally:
            self._db.rollback()

    def _records(self, after: int, last: int, marks: Marks) -> Iterator[Finding]:
        previous, expected = self._previous(after), after + 1
        for position, row in self._read(after, last):
            for missing in range(expected, position):
                yield Finding(f"position {missing}", f"it is missing; {KEEP_AND_CALL}", missing)
            if position != expected:
                previous = None
            expected = position + 1
            text, previous = self._judged(position, row, previous, marks)
            if text:
                yield Finding(f"position {position}", text, position)
        for missing in range(expected, last + 1):
            yield Finding(f"position {missing}", f"it is missing; {KEEP_AND_CALL}", missing)

    def _previous(self, position: int) -> bytes | None:
        try:
            digest = self._digest_at(position)
        except CorruptJournal:
            return None
        return digest if isinstance(digest, bytes) else None

    def _read(self, after: int, last: int) -> Iterator[tuple[int, Sequence[object]]]:
        """Rows by position; an empty one for a row that SQLite cannot read."""
        try:
            rows = self._rows(_AFTER, after, last - after)
        except CorruptJournal:
            for position in range(after + 1, last + 1):  # one by one, around the damaged page
                yield from self._read_one(position)
            return
        for row in rows:
            if isinstance(row[0], int) and row[0] <= last:
                yield row[0], row

    def _read_one(self, position: int) -> Iterator[tuple[int, Sequence[object]]]:
        try:
            for row in self._rows(_AT, position, 1):
                yield position, row
        except CorruptJournal:
            yield position, ()

    def _judged(self, position: int, row: Sequence[object], previous: bytes | None, marks: Marks) -> tuple[str, bytes | None]:
        """What is wrong with a row, "" if nothing is, and the digest to go on from."""
        match row:
            case (_, bytes(record), bytes(digest), None, None):
                held_behind = marks.first is not None and marks.first < position
                lost = held_behind or position > max(marks.standing.backed_up, self._pruned_to)
                return (f"its record is missing; {KEEP_AND_CALL}" if lost else ""), digest
            case (_, bytes(record), bytes(digest), bytes(payload), bytes(signature)):
                return self._record(position, record, digest, payload, signature, previous)
        return f"the page that it stands in is damaged; {KEEP_AND_CALL}", None

    def _record(self, position: int, record: bytes, digest: bytes, payload: bytes, signature: bytes,
                previous: bytes | None) -> tuple[str, bytes]:
        computed = digest if previous is None else next_digest(previous, payload)  # behind damage, the row has to do
        signed = signature_holds(self._verifier, signature, computed)
        if computed != digest:
            what = "its row of digests is damaged, the record is whole" if signed else "what is stored is not what was signed"
            return f"{what}; {KEEP_AND_CALL}", computed if signed else digest
        if not signed:
            return f"its signature does not hold; {KEEP_AND_CALL}", digest
        if not self._place.holds(payload, position) or id_bytes(payload) != record:
            return f"the record is not the one that belongs there; {KEEP_AND_CALL}", digest
        return "", digest


def _written_schema() -> set[tuple[object, ...]]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(journal_schema())
        return set(db.execute(_SCHEMA))


def _of_the_index(error: sqlite3.DatabaseError) -> bool:
    """What SQLite could not make beside the file: a disk that is full says nothing against the journal."""
    return getattr(error, "sqlite_errorcode", 0) in (sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP,
                                                     sqlite3.SQLITE_IOERR_SHMOPEN)
