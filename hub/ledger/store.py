"""The ledger in SQLite: one writer at a time under BEGIN IMMEDIATE. What it reads: `reader.py`.

Synchronous: call through `asyncio.to_thread`, one instance per thread of use.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from hub.ledger.append_rule import Accept, Closed, Head, Verdict, judge
from hub.ledger.hole import Hole
from hub.ledger.journal_head import POSITION_MAX, UnknownJournal
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Arrival, columns
from security.chain import Genesis
from security.durable_sqlite import transaction
from security.suites import fingerprint

_REGISTER = """
INSERT INTO journals (journal, edge, name, suite, public_key, key_id, predecessor, genesis, position, digest, arrived_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)
"""
_ADD_HOLE = "INSERT INTO holes (journal, first, count, previous, digests, ids, approval) VALUES (?, ?, ?, ?, ?, ?, ?)"
_CLAIM_HEAD = "UPDATE journals SET edge_head = max(?, position) WHERE ref = ?"
_INSERT = """
INSERT INTO runs (idx, journal, first, count, arrived_ms, sizes, digests, leaves, signatures, payloads)
VALUES ((SELECT size FROM ledger_head), ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of an arrival, and where the journal stands after it."""

    verdict: Verdict
    head: Head
    backed_up: int


class Ledger(LedgerReader):
    """`with Ledger(path) as ledger`, to read and to write. Opening never creates; `hub.migrate` does."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)

    def transaction(self) -> AbstractContextManager[None]:
        """See `security.durable_sqlite.transaction`."""
        return transaction(self._db)

    def register(self, name: str, genesis: Genesis, now_ms: int) -> bool:
        """A new, empty journal; False if it was there already. Another genesis for its id raises IntegrityError."""
        digest = genesis.digest()
        with suppress(UnknownJournal):
            if self.journal(genesis.journal).genesis == digest:
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
