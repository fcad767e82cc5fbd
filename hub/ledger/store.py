"""The ledger in SQLite: native SQL, one writer at a time under BEGIN IMMEDIATE, readers of committed entries.

Synchronous: call through `asyncio.to_thread`, one instance per thread of use.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType, UnionType
from uuid import UUID

from hub.ledger.append_rule import Accept, Closed, Head, Verdict, judge
from hub.ledger.runs import HASH_BYTES, Arrival, Damaged, DamagedRow, Entry, StoredRun, columns
from security.chain import Genesis
from security.durable_sqlite import open_durable, open_readonly
from security.suites import Suite, check_public_key, fingerprint
from security.tree import split_hashes

POSITION_MAX = 2**63 - 1  # SQLite's largest integer
PAGE_MAX_BYTES = 4 * 1024 * 1024  # of payloads and signatures; the row that ends a page is read whole

_SELECT_RUN = """
SELECT r.idx, j.edge, j.journal, j.key_id, r.first, r.count, r.arrived_ms, r.sizes, r.digests, r.leaves, r.signatures,
       r.payloads
FROM runs r JOIN journals j ON j.ref = r.journal
"""
_FEED = _SELECT_RUN + """
WHERE r.idx >= (SELECT coalesce(max(idx), 0) FROM runs WHERE idx <= ?) ORDER BY r.idx
"""  # noqa: S608 - constants only
_RUNS_BEHIND = _SELECT_RUN + "WHERE r.idx >= ? ORDER BY r.idx"
_RUN_FROM = _RUNS_BEHIND + " LIMIT 1"
_INDEX_BEHIND = "SELECT coalesce((SELECT min(idx) FROM runs WHERE idx > ?), (SELECT size FROM ledger_head))"
_END = "SELECT coalesce((SELECT idx + max(count, 1) FROM runs ORDER BY idx DESC LIMIT 1), 0)"
_RUN_WITH = _SELECT_RUN + "WHERE j.journal = ? AND r.first <= ? ORDER BY r.first DESC LIMIT 1"
_RUNS_FROM = _SELECT_RUN + """
WHERE r.journal = ? AND r.first >= coalesce((SELECT max(first) FROM runs WHERE journal = ? AND first <= ?), 0) ORDER BY r.first
"""  # noqa: S608 - constants only
_JOURNAL_COLUMNS = (
    "ref, journal, edge, name, suite, public_key, predecessor, genesis, "
    "position, digest, arrived_ms, backed_up, edge_head, skew_ms, refusal, closed"
)
_JOURNAL = f"SELECT {_JOURNAL_COLUMNS} FROM journals WHERE journal = ?"  # noqa: S608 - constants only
_JOURNALS = f"SELECT {_JOURNAL_COLUMNS} FROM journals ORDER BY ref"  # noqa: S608 - constants only
_REGISTER = """
INSERT INTO journals (journal, edge, name, suite, public_key, key_id, predecessor, genesis, position, digest, arrived_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)
"""
_DIGEST_AT = """
SELECT substr(digests, 32 * (:at - first) + 1, 32) FROM (
    SELECT first, count, digests FROM runs WHERE journal = :journal AND first = (
        SELECT max(first) FROM runs WHERE journal = :journal AND first <= :at)
    UNION ALL SELECT first, count, digests FROM holes WHERE journal = :journal)
WHERE :at BETWEEN first AND first + count - 1
"""
_DIGESTS_FROM = """
SELECT first, digests FROM runs WHERE journal = :journal AND first + count > :first
UNION ALL SELECT first, digests FROM holes WHERE journal = :journal AND first + count > :first ORDER BY first
"""
_LOST_DIGEST = """
SELECT substr(digests, 32 * (:at - first) + 1, 32) FROM holes WHERE journal = :journal AND :at BETWEEN first AND first + count - 1
"""
_HOLES = "SELECT first, count, previous, digests, ids, approval FROM holes WHERE journal = ? ORDER BY first"
_ADD_HOLE = "INSERT INTO holes (journal, first, count, previous, digests, ids, approval) VALUES (?, ?, ?, ?, ?, ?, ?)"
_CLAIM_HEAD = "UPDATE journals SET edge_head = max(?, position) WHERE ref = ?"
_INSERT = """
INSERT INTO runs (idx, journal, first, count, arrived_ms, sizes, digests, leaves, signatures, payloads)
VALUES ((SELECT size FROM ledger_head), ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# What a damaged page may change, too: STRICT is not asked again when a row is read.
_RUN_TYPES = (int, bytes, bytes, bytes, int, int, int, bytes, bytes, bytes, bytes, bytes)
_JOURNAL_TYPES: tuple[type | UnionType, ...] = (
    int, bytes, bytes, str, int, bytes, bytes | None, bytes, int, bytes, int, int, int, int | None, str, str)


@dataclass(frozen=True, slots=True)
class JournalHead:
    """A registered journal and where it stands.

    `edge_head` is what its edge last claimed, `skew_ms` how far its clock was ahead of ours then, `refusal`
    why the hub ended its last stream ("" if all is well), `closed` why the journal has ended ("" while it goes on).
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
    skew_ms: int | None
    refusal: str
    closed: str


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of an arrival, and where the journal stands after it."""

    verdict: Verdict
    head: Head
    backed_up: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Records that neither the hub nor its edge has any more: the digest before them, then digest and id of each."""

    first: int
    previous: bytes
    digests: Sequence[bytes]
    ids: Sequence[UUID]
    approval: int = 0

    @property
    def last(self) -> int:
        return self.first + len(self.digests) - 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The size that the head says, the index behind the last row, the journals, and what was in the place of one."""

    size: int
    end: int
    journals: list[JournalHead]
    damaged: list[Damaged]


class UnknownJournal(LookupError):
    """A journal that no enrolment has registered."""


class Ledger:
    """`with Ledger(path) as ledger`. Opening never creates; `hub.migrate` does. A backup is opened `readonly`."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self._readonly = readonly

    def __enter__(self) -> Ledger:
        self._db = open_readonly(self.path) if self._readonly else open_durable(self.path)
        # A damaged type makes text of bytes: to be told as damage where it is read, not quoted in an error.
        self._db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._db.close()

    # ---- reading ----

    def feed(self, after: int, limit: int, limit_bytes: int = PAGE_MAX_BYTES) -> list[Entry]:
        """Entries behind a cursor in the ledger's one total order; 0 is the beginning. At least one, if there is one.

        Raises DamagedRow when the next row is; `behind` is the cursor with which to go on.
        """
        if after >= self.size():
            return []
        entries: list[Entry] = []
        with closing(self._db.execute(_FEED, (after,))) as rows:
            try:
                for run in map(_run, rows):
                    for entry in run.entries(max(after - run.index, 0), limit - len(entries)):
                        entries.append(entry)
                        limit_bytes -= len(entry.payload) + len(entry.signature)
                        if limit_bytes <= 0:
                            return entries
                    if len(entries) >= limit:
                        break
            except DamagedRow:
                if not entries:
                    raise
        return entries

    def behind(self, damaged: DamagedRow) -> int:
        """The cursor behind a damaged row, whatever count it says that it has."""
        return int(self._db.execute(_INDEX_BEHIND, (damaged.index,)).fetchone()[0])

    def run_from(self, index: int) -> StoredRun | None:
        """The first row that begins at an index or behind it. Raises DamagedRow."""
        row = self._db.execute(_RUN_FROM, (index,)).fetchone()
        return _run(row) if row else None

    def runs_from(self, index: int, limit: int) -> list[StoredRun]:
        """Rows that begin at an index or behind it, in order, until they hold `limit` entries or a page of bytes: no reader
        stands in the way of the WAL's end for long. Raises DamagedRow when the first one is; another one ends the list.
        """
        runs: list[StoredRun] = []
        limit_bytes = PAGE_MAX_BYTES
        with closing(self._db.execute(_RUNS_BEHIND, (index,))) as rows:
            for row in rows:
                try:
                    runs.append(_run(row))
                except DamagedRow:
                    if not runs:
                        raise
                    break
                limit, limit_bytes = limit - max(runs[-1].count, 1), limit_bytes - len(runs[-1].payloads)
                if limit <= 0 or limit_bytes <= 0:
                    break
        return runs

    def entry(self, journal: UUID, position: int) -> Entry | None:
        """None when there is none. Any number may be asked for: some come out of records."""
        if not 0 < position <= POSITION_MAX:
            return None
        row = self._db.execute(_RUN_WITH, (journal.bytes, position)).fetchone()
        if row is None:
            return None
        run = _run(row)
        return next(run.entries(position - run.first, 1), None)

    def entries(self, head: JournalHead, after: int) -> Iterator[Entry]:
        """A journal's entries behind a position, in order."""
        with closing(self._db.execute(_RUNS_FROM, (head.ref, head.ref, after + 1))) as rows:
            for run in map(_run, rows):
                yield from run.entries(max(after + 1 - run.first, 0), run.count)

    def digest_at(self, head: JournalHead, position: int) -> bytes:
        """The digest of a journal's entry there, its genesis digest at 0."""
        if position == 0:
            return head.genesis
        row = self._db.execute(_DIGEST_AT, {"at": position, "journal": head.ref}).fetchone()
        if row is None:
            raise Damaged(f"journal {head.journal} has no entry at position {position}")
        return bytes(row[0])

    def digests(self, head: JournalHead, after: int, limit: int) -> list[bytes]:
        """A journal's digests behind a position, one for each, of what was lost, too; at most `limit`. Raises Damaged."""
        found: list[bytes] = []
        with closing(self._db.execute(_DIGESTS_FROM, {"first": after + 1, "journal": head.ref})) as rows:
            for first, joined in rows:
                wanted = after + len(found) + 1
                if first > wanted or not isinstance(joined, bytes) or len(joined) % HASH_BYTES:
                    raise Damaged(f"journal {head.journal} has no digest at position {wanted}")
                found += split_hashes(joined)[wanted - first:]
                if len(found) >= limit:
                    break
        return found[:limit]

    def holes(self, head: JournalHead) -> list[Hole]:
        """What of a journal was lost for good, and approved; in order."""
        rows = self._db.execute(_HOLES, (head.ref,))
        return [Hole(first, previous, split_hashes(digests), [UUID(bytes=ids[at:at + 16]) for at in range(0, 16 * count, 16)],
                     approval) for first, count, previous, digests, ids, approval in rows]

    def lost_digest(self, head: JournalHead, position: int) -> bytes | None:
        """The digest there, if the record was given up as lost."""
        row = self._db.execute(_LOST_DIGEST, {"at": position, "journal": head.ref}).fetchone()
        return bytes(row[0]) if row else None

    def size(self) -> int:
        """Entries in all; also the newest cursor."""
        return int(self._db.execute("SELECT size FROM ledger_head").fetchone()[0])

    def journals(self) -> list[JournalHead]:
        """Raises Damaged."""
        return [_journal(row) for row in self._db.execute(_JOURNALS)]

    def journal(self, journal: UUID) -> JournalHead:
        """Raises UnknownJournal, Damaged."""
        row = self._db.execute(_JOURNAL, (journal.bytes,)).fetchone()
        if row is None:
            raise UnknownJournal(f"journal {journal} is not registered here; enrol its machine at this hub")
        return _journal(row)

    def own_journal(self) -> UUID:
        """The hub's first one: it was registered before all others, and those that follow it name it. Raises Damaged."""
        row = self._db.execute(_JOURNALS + " LIMIT 1").fetchone()
        if row is None:
            raise Damaged("the hub's own journal is not registered")
        return _journal(row).journal

    def marks(self) -> dict[bytes, int]:
        """How far each journal is backed up."""
        return dict(self._db.execute("SELECT journal, backed_up FROM journals"))

    def snapshot(self) -> Snapshot:
        """What an auditor begins with, all of the same moment, beside a hub that goes on writing."""
        self._db.execute("BEGIN")
        try:
            heads: list[JournalHead] = []
            damaged: list[Damaged] = []
            for row in self._db.execute(_JOURNALS):
                try:
                    heads.append(_journal(row))
                except Damaged as error:
                    damaged.append(error)
            return Snapshot(self.size(), int(self._db.execute(_END).fetchone()[0]), heads, damaged)
        finally:
            self._db.execute("COMMIT")

    # ---- writing ----

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN IMMEDIATE … COMMIT; anything that fails inside leaves nothing behind."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # on a full disk SQLite has rolled back by itself
                self._db.execute("ROLLBACK")
            raise

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

    def append(self, arrivals: Sequence[Arrival]) -> list[Appended]:
        """All in one commit, in this order; an arrival that is refused leaves nothing and disturbs no other."""
        with self.transaction():
            return [self.append_within(arrival) for arrival in arrivals]

    def append_within(self, arrival: Arrival) -> Appended:
        """`append` of one arrival as a part of the caller's transaction."""
        held = self.journal(arrival.journal)
        head = Head(held.position, held.digest)
        if held.closed:
            return Appended(Closed(held.closed), head, held.backed_up)
        run, digests = arrival.run, arrival.digests
        verdict = judge(head, run.first, run.previous, digests, lambda at: self.digest_at(held, at))
        if isinstance(verdict, Accept) and verdict.skip < len(digests):
            self._db.execute(_INSERT, (held.ref, *columns(arrival, verdict.skip)))
            self._db.execute(_CLAIM_HEAD, (min(arrival.edge_head, POSITION_MAX), held.ref))
            head = Head(run.last, digests[-1])
        return Appended(verdict, head, held.backed_up)

    def add_hole(self, journal: UUID, hole: Hole) -> None:
        """Go on behind what is lost, as a part of the caller's transaction. Raises IntegrityError off the journal's head."""
        held = self.journal(journal)
        self._db.execute(_ADD_HOLE, (held.ref, hole.first, len(hole.digests), hole.previous, b"".join(hole.digests),
                                     b"".join(one.bytes for one in hole.ids), hole.approval))

    def close(self, journal: UUID, reason: str) -> bool:
        """End a journal, as a part of the caller's transaction. False if it had ended before, or is not known."""
        ended = self._db.execute("UPDATE journals SET closed = ? WHERE journal = ? AND closed = ''", (reason, journal.bytes))
        return ended.rowcount > 0

    def open_session(self, journal: UUID, edge: UUID, edge_head: int, skew_ms: int | None) -> None:
        """A stream has begun: keep what the edge says its head and its clock are, for the people who look."""
        skew = None if skew_ms is None else min(skew_ms, POSITION_MAX)
        self._db.execute("UPDATE journals SET edge_head = ?, skew_ms = ?, refusal = '' WHERE journal = ? AND edge = ?",
                         (min(edge_head, POSITION_MAX), skew, journal.bytes, edge.bytes))

    def note_refusal(self, journal: UUID, edge: UUID, refusal: str) -> None:
        """Keep why the hub ended the stream of an edge's own journal, for the people who must act."""
        self._db.execute("UPDATE journals SET refusal = ? WHERE journal = ? AND edge = ?", (refusal, journal.bytes, edge.bytes))

    def mark_backed_up(self, marks: dict[UUID, int]) -> None:
        """Positions that a verified backup holds; a mark never goes back."""
        with self.transaction():
            for journal, position in marks.items():
                self._db.execute("UPDATE journals SET backed_up = max(backed_up, ?) WHERE journal = ?",
                                 (position, journal.bytes))


def _run(row: sqlite3.Row) -> StoredRun:
    index, edge, journal, *rest = row
    if tuple(map(type, row)) != _RUN_TYPES or not len(edge) == len(journal) == 16 or row[4] < 1 or row[6] < 0:
        raise DamagedRow(index)
    return StoredRun(index, UUID(bytes=edge), UUID(bytes=journal), *rest)


def _journal(row: sqlite3.Row) -> JournalHead:
    ref, journal, edge, name, suite, public_key, predecessor, *rest = row
    try:
        if not all(isinstance(value, kind) for value, kind in zip(row, _JOURNAL_TYPES, strict=True)):
            raise ValueError("a column is of another type")
        f"{name}{rest[-2]}{rest[-1]}".encode()  # refuses what was no UTF-8
        check_public_key(Suite(suite), public_key)
        before = UUID(bytes=predecessor) if predecessor else None
        return JournalHead(ref, UUID(bytes=journal), UUID(bytes=edge), name, Suite(suite), public_key, before, *rest)
    except ValueError as error:
        raise Damaged(f"the row of journal number {ref} does not hold what was registered: {error}") from error


def read_journal(path: Path, journal: UUID) -> JournalHead | None:
    """Where a journal stands now, by a connection of its own; None when it is not registered."""
    with Ledger(path) as ledger:
        try:
            return ledger.journal(journal)
        except UnknownJournal:
            return None


