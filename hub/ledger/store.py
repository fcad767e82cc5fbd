"""The ledger in SQLite: native SQL, one writer at a time under BEGIN IMMEDIATE, readers of committed entries.

Synchronous: call through `asyncio.to_thread`, one instance per thread of use.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from uuid import UUID

from hub.ledger.append_rule import Accept, Head, Verdict, judge
from security.chain import Genesis
from security.durable_sqlite import open_durable
from security.suites import Suite, fingerprint

INSERT_ROWS = 400  # rows a statement: the interpreter lock is free while it runs

_COLUMNS = "idx, journal, position, payload, signature, digest, leaf, arrived_ms"
_INSERT = f"INSERT INTO entries ({_COLUMNS}) VALUES "  # noqa: S608 - constants only
_SELECT_ENTRY = """
SELECT e.idx + 1, j.edge, j.journal, e.position, j.key_id, e.payload, e.signature, e.digest, e.leaf, e.arrived_ms
FROM entries e JOIN journals j ON j.ref = e.journal
"""
_FEED = _SELECT_ENTRY + "WHERE e.idx >= ? ORDER BY e.idx LIMIT ?"
_ENTRY = _SELECT_ENTRY + "WHERE j.journal = ? AND e.position = ?"
_JOURNAL_COLUMNS = (
    "ref, journal, edge, name, suite, public_key, predecessor, genesis, "
    "position, digest, arrived_ms, backed_up, edge_head, refusal"
)
_JOURNAL = f"SELECT {_JOURNAL_COLUMNS} FROM journals WHERE journal = ?"  # noqa: S608 - constants only
_JOURNALS = f"SELECT {_JOURNAL_COLUMNS} FROM journals ORDER BY ref"  # noqa: S608 - constants only
_REGISTER = """
INSERT INTO journals (journal, edge, name, suite, public_key, key_id, predecessor, genesis, position, digest, arrived_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)
"""
_DIGEST_AT = "SELECT digest FROM entries WHERE journal = ? AND position = ?"
_ADVANCE = "UPDATE journals SET position = ?, digest = ?, arrived_ms = ? WHERE ref = ? AND position = ?"


@dataclass(frozen=True, slots=True)
class Entry:
    """One ledger entry. `cursor` is its place in the feed: index + 1."""

    cursor: int
    edge: UUID
    journal: UUID
    position: int
    key_id: bytes
    payload: bytes
    signature: bytes
    digest: bytes
    leaf: bytes
    arrived_ms: int


@dataclass(frozen=True, slots=True)
class JournalHead:
    """A registered journal and where it stands.

    `edge_head` is what its edge last claimed, `refusal` why the hub ended its last stream ("" if all is well).
    """

    ref: int
    journal: UUID
    edge: UUID
    name: str
    suite: Suite
    public_key: bytes
    predecessor: UUID | None
    genesis: bytes
    position: int
    digest: bytes
    arrived_ms: int
    backed_up: int
    edge_head: int
    refusal: str


class NewEntry(NamedTuple):
    """An accepted record about to be stored; a tuple, because a hundred thousand of them are made a second."""

    payload: bytes
    signature: bytes
    digest: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """Well-signed consecutive records of one journal; `previous` is the digest before the first."""

    journal: UUID
    first: int
    previous: bytes
    entries: Sequence[NewEntry]
    arrived_ms: int


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a run, and where the journal stands after it."""

    verdict: Verdict
    head: Head
    backed_up: int


class UnknownJournal(LookupError):
    """A journal that no enrolment has registered."""


class Ledger:
    """`with Ledger(path) as ledger`. Opening never creates; `hub.migrate` does."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Ledger:
        self._db = open_durable(self._path)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._db.close()

    # ---- reading ----

    def feed(self, after: int, limit: int) -> list[Entry]:
        """Entries behind a cursor in the ledger's one total order; 0 is the beginning."""
        return [_entry(row) for row in self._db.execute(_FEED, (after, limit))]

    def entry(self, journal: UUID, position: int) -> Entry | None:
        row = self._db.execute(_ENTRY, (journal.bytes, position)).fetchone()
        return _entry(row) if row else None

    def size(self) -> int:
        """Entries in all; also the newest cursor."""
        return int(self._db.execute("SELECT size FROM ledger_head").fetchone()[0])

    def journals(self) -> list[JournalHead]:
        return [_journal(row) for row in self._db.execute(_JOURNALS)]

    def journal(self, journal: UUID) -> JournalHead:
        """Raises UnknownJournal."""
        row = self._db.execute(_JOURNAL, (journal.bytes,)).fetchone()
        if row is None:
            raise UnknownJournal(f"journal {journal} is not registered here; enrol its machine at this hub")
        return _journal(row)

    def snapshot(self) -> tuple[int, list[JournalHead]]:
        """Size and journals of the same moment, beside a hub that goes on writing."""
        self._db.execute("BEGIN")
        try:
            return self.size(), self.journals()
        finally:
            self._db.execute("COMMIT")

    # ---- writing ----

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN IMMEDIATE … COMMIT; anything that fails inside leaves nothing behind."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def register(self, name: str, genesis: Genesis, now_ms: int) -> bool:
        """A new, empty journal; False if it was there already. Another genesis for its id raises IntegrityError."""
        digest = genesis.digest()
        known = self._db.execute(_JOURNAL, (genesis.journal.bytes,)).fetchone()
        if known is not None and _journal(known).genesis == digest:
            return False
        predecessor = genesis.predecessor.bytes if genesis.predecessor else None
        self._db.execute(_REGISTER, (
            genesis.journal.bytes, genesis.edge.bytes, name, int(genesis.suite), genesis.public_key,
            fingerprint(genesis.suite, genesis.public_key), predecessor, digest, digest, now_ms,
        ))
        return True

    def append(self, runs: Sequence[Run]) -> list[Appended]:
        """All runs in one commit, in this order; a run that is refused leaves nothing and disturbs no other."""
        with self.transaction():
            return self.append_within(runs)

    def append_within(self, runs: Sequence[Run]) -> list[Appended]:
        """`append` as a part of the caller's transaction."""
        size = start = self.size()
        rows: list[object] = []
        results = []
        for run in runs:
            result, journal = self._judge(run)
            results.append(result)
            if isinstance(result.verdict, Accept):
                position = run.first + result.verdict.skip
                for new in run.entries[result.verdict.skip:]:
                    rows += (size, journal.ref, position, new.payload, new.signature, new.digest, new.leaf,
                             run.arrived_ms)
                    size += 1
                    position += 1
        self._insert(rows)
        if size != start:
            self._db.execute("UPDATE ledger_head SET size = ? WHERE size = ?", (size, start))
        return results

    def _judge(self, run: Run) -> tuple[Appended, JournalHead]:
        held = self.journal(run.journal)
        digests = [new.digest for new in run.entries]
        head = Head(held.position, held.digest)
        verdict = judge(head, run.first, run.previous, digests, lambda at: self._digest_at(held, at))
        if isinstance(verdict, Accept) and verdict.skip < len(digests):
            head = Head(run.first + len(digests) - 1, digests[-1])
            self._db.execute(_ADVANCE, (head.position, head.digest, run.arrived_ms, held.ref, held.position))
        return Appended(verdict, head, held.backed_up), held

    def _digest_at(self, held: JournalHead, position: int) -> bytes:
        if position == 0:
            return held.genesis
        row = self._db.execute(_DIGEST_AT, (held.ref, position)).fetchone()
        return bytes(row[0])

    def _insert(self, values: list[object]) -> None:
        width = 8
        for start in range(0, len(values), INSERT_ROWS * width):
            chunk = values[start:start + INSERT_ROWS * width]
            self._db.execute(_INSERT + ",".join(["(?,?,?,?,?,?,?,?)"] * (len(chunk) // width)), chunk)

    def open_session(self, journal: UUID, edge: UUID, edge_head: int) -> None:
        """A stream has begun: keep what the edge says its head is, for the lag that people see."""
        self._db.execute("UPDATE journals SET edge_head = ?, refusal = '' WHERE journal = ? AND edge = ?",
                         (min(edge_head, 2**63 - 1), journal.bytes, edge.bytes))

    def note_refusal(self, journal: UUID, refusal: str) -> None:
        """Keep why the hub ended a journal's stream, for the people who must act."""
        self._db.execute("UPDATE journals SET refusal = ? WHERE journal = ?", (refusal, journal.bytes))

    def mark_backed_up(self, marks: dict[UUID, int]) -> None:
        """Positions that a verified backup holds; a mark never goes back."""
        with self.transaction():
            for journal, position in marks.items():
                self._db.execute("UPDATE journals SET backed_up = max(backed_up, ?) WHERE journal = ?",
                                 (position, journal.bytes))


def _entry(row: sqlite3.Row) -> Entry:
    cursor, edge, journal, *rest = row
    return Entry(cursor, UUID(bytes=edge), UUID(bytes=journal), *rest)


def _journal(row: sqlite3.Row) -> JournalHead:
    ref, journal, edge, name, suite, public_key, predecessor, *rest = row
    before = UUID(bytes=predecessor) if predecessor else None
    return JournalHead(ref, UUID(bytes=journal), UUID(bytes=edge), name, Suite(suite), public_key, before, *rest)


def read_journal(path: Path, journal: UUID) -> JournalHead | None:
    """Where a journal stands now, by a connection of its own; None when it is not registered."""
    with Ledger(path) as ledger:
        try:
            return ledger.journal(journal)
        except UnknownJournal:
            return None


def open_journal(path: Path, journal: UUID, edge: UUID, edge_head: int) -> JournalHead | None:
    """`read_journal` for a stream that begins: also keeps the head that its edge claims."""
    with Ledger(path) as ledger:
        ledger.open_session(journal, edge, edge_head)
    return read_journal(path, journal)
