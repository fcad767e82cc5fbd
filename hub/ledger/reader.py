"""The ledger in SQLite, for whoever only reads: native SQL, committed entries, beside the one who writes.

Synchronous: call through `asyncio.to_thread`, one instance per thread of use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from hub.ledger import hole, journal_head
from hub.ledger.hole import Hole, stored_hole
from hub.ledger.journal_head import POSITION_MAX, JournalHead, UnknownJournal, stored_head
from hub.ledger.runs import HASH_BYTES, Damaged, DamagedRow, Entry, StoredRun, stored_run
from security.durable_sqlite import open_durable, open_readonly
from security.tree import split_hashes

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
_JOURNAL = f"SELECT {journal_head.COLUMNS} FROM journals WHERE journal = ?"  # noqa: S608 - constants only
_JOURNALS = f"SELECT {journal_head.COLUMNS} FROM journals ORDER BY ref"  # noqa: S608 - constants only
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
_HOLES = f"SELECT {hole.COLUMNS} FROM holes WHERE journal = ? ORDER BY first"  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The size that the head says, the index behind the last row, the journals, and what was in the place of one."""

    size: int
    end: int
    journals: list[JournalHead]
    damaged: list[Damaged]


class LedgerReader:
    """`with LedgerReader(path) as ledger`. Opening never creates; `hub.migrate` does. A backup is opened `readonly`."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self._path = path
        self._readonly = readonly

    def __enter__(self) -> Self:
        self._db = open_readonly(self._path) if self._readonly else open_durable(self._path)
        # A damaged type makes text of bytes: to be told as damage where it is read, not quoted in an error.
        self._db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._db.close()

    def feed(self, after: int, limit: int, limit_bytes: int = PAGE_MAX_BYTES) -> list[Entry]:
        """Entries behind a cursor in the ledger's one total order; 0 is the beginning. At least one, if there is one.

        Raises DamagedRow when the next row is; `behind` is the cursor with which to go on.
        """
        if after >= self.size():
            return []
        entries: list[Entry] = []
        with closing(self._db.execute(_FEED, (after,))) as rows:
            try:
                for run in map(stored_run, rows):
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
        return stored_run(row) if row else None

    def runs_from(self, index: int, limit: int) -> list[StoredRun]:
        """Rows that begin at an index or behind it, in order, until they hold `limit` entries or a page of bytes: no reader
        stands in the way of the WAL's end for long. Raises DamagedRow when the first one is; another one ends the list.
        """
        runs: list[StoredRun] = []
        limit_bytes = PAGE_MAX_BYTES
        with closing(self._db.execute(_RUNS_BEHIND, (index,))) as rows:
            for row in rows:
                try:
                    runs.append(stored_run(row))
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
        run = stored_run(row)
        return next(run.entries(position - run.first, 1), None)

    def entries(self, head: JournalHead, after: int) -> Iterator[Entry]:
        """A journal's entries behind a position, in order."""
        with closing(self._db.execute(_RUNS_FROM, (head.ref, head.ref, after + 1))) as rows:
            for run in map(stored_run, rows):
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
        return [stored_hole(row) for row in self._db.execute(_HOLES, (head.ref,))]

    def lost_digest(self, head: JournalHead, position: int) -> bytes | None:
        """The digest there, if the record was given up as lost."""
        row = self._db.execute(_LOST_DIGEST, {"at": position, "journal": head.ref}).fetchone()
        return bytes(row[0]) if row else None

    def size(self) -> int:
        """Entries in all; also the newest cursor."""
        return int(self._db.execute("SELECT size FROM ledger_head").fetchone()[0])

    def journals(self) -> list[JournalHead]:
        """Raises Damaged."""
        return [stored_head(row) for row in self._db.execute(_JOURNALS)]

    def journal(self, journal: UUID) -> JournalHead:
        """Raises UnknownJournal, Damaged."""
        row = self._db.execute(_JOURNAL, (journal.bytes,)).fetchone()
        if row is None:
            raise UnknownJournal(f"journal {journal} is not registered here; enrol its machine at this hub")
        return stored_head(row)

    def own_journal(self) -> UUID:
        """The hub's first one: it was registered before all others, and those that follow it name it. Raises Damaged."""
        row = self._db.execute(_JOURNALS + " LIMIT 1").fetchone()
        if row is None:
            raise Damaged("the hub's own journal is not registered")
        return stored_head(row).journal

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
                    heads.append(stored_head(row))
                except Damaged as error:
                    damaged.append(error)
            return Snapshot(self.size(), int(self._db.execute(_END).fetchone()[0]), heads, damaged)
        finally:
            self._db.execute("COMMIT")


def read_journal(path: Path, journal: UUID) -> JournalHead | None:
    """Where a journal stands now, by a connection of its own; None when it is not registered."""
    with LedgerReader(path) as ledger:
        try:
            return ledger.journal(journal)
        except UnknownJournal:
            return None


