"""The journal's database file: one writer connection, readers of committed rows. SQL lives here and nowhere else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from itertools import accumulate, takewhile, zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

import aiosqlite
import structlog

from edge.drafts import CorruptJournal, ForeignJournal, JournalLogLost
from edge.dropped_log import keep_log
from security.chain import Genesis, digests_after, next_digest
from security.durable_sqlite import (
    BRIEF_PRAGMAS,
    READ_PRAGMAS,
    DatabaseCut,
    DatabaseMissing,
    LogLost,
    create_database,
    database_uri,
    log_left,
    look_uri,
    open_durable,
)
from security.record import Link, id_bytes, signature_holds
from security.run import Run
from security.sqlite_connection import Connection, Look
from security.sqlite_index import mark_index
from security.suites import Suite, Verifier, check_public_key

SCHEMA_VERSION = 2
FIRST_VERSION = 1
PAGE_BYTES = 4096
RECORD_MIN_BYTES = 128  # payload and signature; so that no more rows are read than fit a batch
TAIL_MAX_RECORDS = 1_000  # that are checked at each start
TAIL_MAX_BYTES = 4 * 1024 * 1024
KEEP_AND_CALL = "keep this file and call the city's IT desk"

# Our statements fit our schema: where SQLite says plain ERROR to one, the schema is not what we wrote.
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)

_SELECT_JOURNAL = "SELECT version, name, edge, journal, suite, public_key, predecessor FROM journal"
_SELECT_HEAD = "SELECT position, digest FROM head"
_SELECT_STANDING = "SELECT position, backed_up, hub_ms FROM standing"
_SELECT_IDS = "SELECT id, position, tag FROM digests WHERE id IN (MARKS)"
_SELECT_AFTER = "SELECT position, payload, signature FROM envelopes WHERE position > ? ORDER BY position LIMIT ?"
_SELECT_DIGEST = "SELECT digest FROM digests WHERE position = ?"
_SELECT_SIZES = """SELECT position, length(payload) + length(signature) FROM envelopes WHERE position > ?
    ORDER BY position DESC"""
_SELECT_IDS_FROM = "SELECT id FROM digests WHERE position BETWEEN ? AND ? ORDER BY position"
_INSERT = "INSERT INTO chain (position, id, previous, digest, tag, payload, signature) VALUES "
# A hub that was restored goes back behind what it has acknowledged: what it says now counts.
_UPDATE_STANDING = "UPDATE standing SET position = ?, backed_up = ?, hub_ms = ?"
_SELECT_MISSING = "SELECT digest, id FROM digests WHERE position BETWEEN ? AND ? ORDER BY position"
_FIRST_HELD = "SELECT min(position) FROM envelopes"
_PRUNE = "DELETE FROM envelopes WHERE position <= ?"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Head:
    """A place in a chain: position (0 before the first) and the digest there."""

    position: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """What the hub has said of this journal: held up to, backed up up to, the time that it signed last (Unix ms; its clock errs,
    too, and may go back).
    """

    position: int
    backed_up: int
    hub_ms: int


@dataclass(frozen=True, slots=True)
class JournalIdentity:
    """Whose journal this is."""

    name: str
    genesis: Genesis


@dataclass(frozen=True, slots=True)
class NewRow:
    """A link about to be stored, with its id and the keyed digest of what the caller said (None: no caller)."""

    position: int
    id: UUID
    previous: bytes
    link: Link
    tag: bytes | None


def gone(path: Path) -> DatabaseMissing:
    """Of an enrolled machine: its identity is here, and its journal is not."""
    if log_left(path):
        return DatabaseMissing(f"no database at {path}: the journal is gone, and {path.name}-wal beside it may hold what was "
                               f"committed: keep that, and put {path.name} back from where it went, no older copy. Where it "
                               "is gone for good, with the agent stopped: suozhan-edge export FILE, then suozhan-edge rejoin "
                               "--reason TEXT (docs/damage.md)")
    return DatabaseMissing(f"no database at {path}: the journal is gone. Look for it in a copy of this folder; without one, with "
                           "the agent stopped: suozhan-edge rejoin --reason TEXT (docs/damage.md)")


def not_whole(error: DatabaseCut) -> CorruptJournal:
    """In the edge's words."""
    kind = JournalLogLost if isinstance(error, LogLost) else CorruptJournal
    return kind(f"{error}; {KEEP_AND_CALL}")


def create_journal(path: Path, name: str, genesis: Genesis) -> None:
    """An empty journal file; only enrolment calls this. Raises FileExistsError."""
    schema = _script("journal_schema.sql")
    head = f"INSERT INTO head VALUES (1, 0, {_blob(genesis.digest())});"  # noqa: S608 - hex
    standing = "INSERT INTO standing VALUES (1, 0, 0, 0);"
    values = (
        "1", str(FIRST_VERSION), f"'{_plain(name)}'", _blob(genesis.edge.bytes), _blob(genesis.journal.bytes),
        str(int(genesis.suite)), _blob(genesis.public_key),
        _blob(genesis.predecessor.bytes) if genesis.predecessor else "NULL",
    )
    row = f"INSERT INTO journal VALUES ({', '.join(values)});"  # noqa: S608 - numbers, hex, and a plain word
    create_database(path, schema + head + standing + row + "".join(_migrations(FIRST_VERSION)))
    open_durable(path).close()  # WAL from the beginning, so that read-only openers never have to switch it on


def _script(name: str) -> str:
    return files("edge").joinpath(name).read_text(encoding="utf-8")


def _migrations(version: int) -> Iterator[str]:
    """What leads from a schema version to ours, one script each; forward only."""
    for number in range(version + 1, SCHEMA_VERSION + 1):
        yield _script(f"journal_{number}.sql")


def journal_schema() -> str:
    """SQL of an empty journal of our version, without a row."""
    return "".join([_script("journal_schema.sql"), *_migrations(FIRST_VERSION)])


def read_genesis(path: Path, row: Sequence[Any]) -> tuple[int, JournalIdentity]:
    """Schema version and identity of a row of `journal`. Raises CorruptJournal."""
    version, name, edge, journal, suite, public_key, predecessor = row
    try:
        if int(version) > SCHEMA_VERSION:
            raise ForeignJournal(f"{path} was written by a newer program (schema {version}); update this one")
        before = UUID(bytes=predecessor) if predecessor else None
        genesis = Genesis(UUID(bytes=edge), UUID(bytes=journal), Suite(suite), bytes(public_key), before)
        check_public_key(genesis.suite, genesis.public_key)
    except (ValueError, TypeError) as error:
        raise CorruptJournal(f"{path}: the row that says whose journal it is, is damaged; {KEEP_AND_CALL}") from error
    return int(version), JournalIdentity(str(name), genesis)


def _blob(data: bytes) -> str:
    return f"x'{data.hex()}'"


def _plain(name: str) -> str:
    if not name.isidentifier():
        raise ValueError(f"a journal's name is a plain word, not {name!r}")
    return name


def as_text(data: bytes) -> str:
    """Of any bytes: a flipped bit makes a text of bytes, and must not look like trouble that passes."""
    return data.decode("utf-8", "replace")


def _is_whole(row: sqlite3.Row) -> bool:
    """Position, payload and signature; a damaged row may hold anything."""
    return isinstance(row[0], int) and isinstance(row[1], bytes) and isinstance(row[2], bytes)


class JournalStore:
    """An open journal file. One instance, one task that writes."""

    def __init__(self, path: Path, *, quota_bytes: int, readonly: bool = False) -> None:
        self._path = path
        self._quota_bytes = quota_bytes
        self._readonly = readonly

    async def __aenter__(self) -> JournalStore:
        try:
            uri = self._uri()
        except DatabaseMissing as error:
            raise gone(self._path) from error
        except DatabaseCut as error:
            raise not_whole(error) from error
        self._db = await aiosqlite.connect(uri, uri=True, isolation_level=None, factory=Look if self._readonly else Connection)
        self._db.text_factory = as_text
        try:
            for pragma in READ_PRAGMAS if self._readonly else BRIEF_PRAGMAS:
                await self._rows(pragma)
            # SQLite itself keeps the quota: a statement that would outgrow it fails whole with SQLITE_FULL.
            await self._rows(f"PRAGMA max_page_count = {max(self._quota_bytes // PAGE_BYTES, 1)}")
            self.identity = await self._read_identity()
            if not self._readonly:
                await self._migrate()
                mark_index(self._path)
        except BaseException as error:  # what was not entered is not left either
            try:
                if isinstance(error, CorruptJournal) and not self._readonly:
                    keep_log(self._path)  # closing ends it, and it may hold what the damaged pages do not
            except OSError as full:
                log.warning("the journal's log is not kept", error=str(full), next="make room on this machine's disk")
            finally:
                await self._db.close()  # its thread would keep the process alive for ever
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._db.close()

    def _uri(self) -> str:
        return look_uri(self._path) if self._readonly else database_uri(self._path, mode="rw")

    async def _rows(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Every statement goes through here. Raises CorruptJournal, or sqlite3.Error for what may pass."""
        try:
            return list(await self._db.execute_fetchall(sql, values))
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED:
                raise CorruptJournal(f"{self._path} is damaged ({error}); {KEEP_AND_CALL}") from error
            raise

    async def _row(self, sql: str, *values: object) -> sqlite3.Row | None:
        rows = await self._rows(sql, values)
        return rows[0] if rows else None

    def _damaged(self, what: str) -> CorruptJournal:
        return CorruptJournal(f"{self._path}: {what}; {KEEP_AND_CALL}")

    async def _read_identity(self) -> JournalIdentity:
        row = await self._row(_SELECT_JOURNAL)
        if row is None:
            raise CorruptJournal(f"{self._path} names no journal; restore it, or enrol the machine again")
        self._version, identity = read_genesis(self._path, row)
        return identity

    async def _migrate(self) -> None:
        for script in _migrations(self._version):
            await self._db.executescript(f"BEGIN IMMEDIATE; {script}; COMMIT;")
        self._version = SCHEMA_VERSION

    async def head(self) -> Head:
        row = await self._row(_SELECT_HEAD)
        if row is None:
            raise CorruptJournal(f"{self._path} has no head; restore it, or enrol the machine again")
        if not isinstance(row[0], int) or not isinstance(row[1], bytes):
            raise self._damaged("the head is damaged")
        return Head(*row)

    async def standing(self) -> Standing:
        row = await self._row(_SELECT_STANDING)
        if row is None:
            raise CorruptJournal(f"{self._path} has no standing; restore it, or enrol the machine again")
        if not all(isinstance(value, int) for value in row):
            raise self._damaged("the row of what the hub has said is damaged")
        return Standing(*row)

    async def digest_at(self, position: int) -> bytes | None:
        """The digest of our own record there, pruned or not; the genesis digest at 0; None beyond the head."""
        if position == 0:
            return self.identity.genesis.digest()
        row = await self._row(_SELECT_DIGEST, position)
        return bytes(row[0]) if row and isinstance(row[0], bytes) else None

    async def append(self, rows: Sequence[NewRow]) -> None:
        """All rows durably, or none: one statement, one commit. Raises sqlite3.Error."""
        values: list[object] = []
        for row in rows:
            values += (row.position, row.id.bytes, row.previous, row.link.digest, row.tag, row.link.payload,
                       row.link.signature)
        await self._rows(_INSERT + ",".join(["(?,?,?,?,?,?,?)"] * len(rows)), values)

    async def begin_log_anew(self) -> None:
        """If nobody reads, and the disk takes it: else what SQLite has dropped of a log stays behind its end, like news."""
        with suppress(sqlite3.Error, CorruptJournal):
            await self._rows("PRAGMA wal_checkpoint(TRUNCATE)")

    async def find(self, ids: Sequence[UUID]) -> dict[UUID, tuple[int, bytes | None]]:
        """Position and tag of those ids that are stored, pruned or not."""
        sql = _SELECT_IDS.replace("MARKS", ",".join("?" * len(ids)))
        found = await self._rows(sql, [one.bytes for one in ids])
        return {UUID(bytes=key): (position, tag) for key, position, tag in found if isinstance(key, bytes)}

    async def after(self, position: int, limit: int, limit_bytes: int) -> Run:
        """Committed records behind `position`, in order; at least one if there is any, and none that is damaged.

        Raises CorruptJournal when the next one is.
        """
        limit = min(limit, limit_bytes // RECORD_MIN_BYTES + 1)
        try:
            found = await self._rows(_SELECT_AFTER, (position, limit))
        except CorruptJournal:
            if limit == 1:
                raise
            return await self.after(position, 1, limit_bytes)  # up to the damaged page, one by one
        rows = list(takewhile(_is_whole, found))
        if found and not rows:
            raise self._damaged(f"the record at position {position + 1} is damaged")
        sizes = accumulate(len(payload) + len(signature) for _, payload, signature in rows)
        rows = rows[:max(sum(size <= limit_bytes for size in sizes), 1)]
        previous = await self.digest_at(position)
        run = Run(position + 1, previous or b"", [row[1] for row in rows], [row[2] for row in rows])
        # Each digest covers all before it, so the last one that we stored answers for the whole run.
        if not rows or (previous is not None and [row[0] for row in rows] == list(range(run.first, run.last + 1))
                        and digests_after(previous, run.payloads)[-1] == await self.digest_at(run.last)):
            return run
        return await self._good_beginning([row[0] for row in rows], run)

    async def _good_beginning(self, positions: Sequence[int], run: Run) -> Run:
        digest, good = run.previous, 0
        for at, payload in zip(positions, run.payloads, strict=True):
            digest = next_digest(digest, payload)
            if at != run.first + good or not run.previous or digest != await self.digest_at(at):
                break
            good += 1
        if not good:
            raise self._damaged(f"the record at position {run.first} is not what was signed")
        return Run(run.first, run.previous, run.payloads[:good], run.signatures[:good])

    async def head_damage(self, head: Head, backed_up: int) -> str:
        """Why nothing may be written behind this head; "" if all is well.

        It is not the last record that is stored, or one of the last that no backup holds is not what was signed.
        """
        try:
            if await self.digest_at(head.position) != head.digest:
                return f"{self._path}: the head is not the record at position {head.position}; {KEEP_AND_CALL}"
            tail = await self._tail(max(head.position - TAIL_MAX_RECORDS, backed_up))
            if tail is not None and tail.last != head.position:
                return f"{self._path}: the record at position {tail.last + 1} is not what was signed; {KEEP_AND_CALL}"
            return await self._tail_damage(tail) if tail else ""
        except CorruptJournal as error:
            return str(error)

    async def _tail(self, position: int) -> Run | None:
        """The last records behind `position`, at most so many bytes of them; None if none are held."""
        rows = await self._rows(_SELECT_SIZES, (position,))
        sizes = accumulate(size or 0 for _, size in rows)
        held = sum(size <= TAIL_MAX_BYTES for size in sizes) or 1
        return await self.after(rows[:held][-1][0] - 1, held, 2 * TAIL_MAX_BYTES) if rows else None

    async def damage_at(self, position: int) -> str:
        """Why the record there, which is held, is not what was signed; "" if it is. Raises CorruptJournal."""
        return await self._tail_damage(await self.after(position - 1, 1, 1))

    async def _tail_damage(self, tail: Run) -> str:
        genesis = self.identity.genesis
        digest = digests_after(tail.previous, tail.payloads)[-1]
        if not signature_holds(Verifier(genesis.suite, genesis.public_key), tail.signatures[-1], digest):
            return f"{self._path}: the signature at position {tail.last} does not hold; {KEEP_AND_CALL}"
        rows = await self._rows(_SELECT_IDS_FROM, (tail.first, tail.last))
        for position, (row, payload) in enumerate(zip_longest(rows, tail.payloads), tail.first):
            if row is None or payload is None or row[0] != id_bytes(payload):
                return f"{self._path}: the id beside the record at position {position} is another; {KEEP_AND_CALL}"
        return ""

    async def set_standing(self, standing: Standing) -> None:
        await self._rows(_UPDATE_STANDING, (standing.position, standing.backed_up, standing.hub_ms))

    async def first_held(self) -> int | None:
        """The lowest position whose envelope is still here."""
        row = await self._row(_FIRST_HELD)
        return row[0] if row else None

    async def known_of(self, first: int, last: int) -> list[tuple[bytes, bytes]]:
        """Digest and id of each record from `first` to `last`, pruned or not."""
        rows = await self._rows(_SELECT_MISSING, (first, last))
        if len(rows) != last - first + 1:
            raise CorruptJournal(f"{self._path}: digests between {first} and {last} are missing; {KEEP_AND_CALL}")
        return [(digest, one) for digest, one in rows]

    async def prune(self, position: int) -> None:
        """Drop envelopes up to `position`; the database itself refuses what is not backed up and proved."""
        await self._rows(_PRUNE, (position,))
