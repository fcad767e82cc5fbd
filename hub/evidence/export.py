"""A part of the ledger as a bundle: entries, what registered their keys, and what proves them under the newest checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from hub.evidence.own_records import acceptances, registrations
from hub.evidence.selection import Selection, Span
from hub.ledger.hole import Hole
from hub.ledger.journal_head import JournalHead
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Entry
from hub.ledger.tree_store import TreeStore
from security.bundle import entries as parts
from security.bundle.header import CheckpointNote, Epoch, Header
from security.bundle.missing import RECORDS_MAX, Missing, MissingRecord, Why
from security.bundle.writer import BundleWriter
from security.checkpoint import Checkpoint
from security.proofs import inclusion_proof
from security.tiles import TileReader

PROVED_EACH_MAX = 10_000  # entries; of more, one in PROVED_EVERY has its own proof, and the chain to it covers the others
PROVED_EVERY = 1_000


@dataclass(frozen=True, slots=True)
class Covering:
    """The checkpoint under which all is proved, and the note that says it."""

    checkpoint: Checkpoint
    note: str


class LedgerExport:
    """Of an open ledger and its tree, which may go on growing. Synchronous."""

    def __init__(self, ledger: LedgerReader, tree: TreeStore, own: UUID, covering: Covering) -> None:
        self._ledger = ledger
        self._tree = tree
        self._own = ledger.journal(own)
        self._covering = covering
        self._size = covering.checkpoint.size
        self._nodes = TileReader(tree.tile)

    def spans(self, selection: Selection) -> list[Span]:
        """What of it the checkpoint covers. Raises EvidenceRefused; NotCovered when that is nothing, or less than was named."""
        return selection.spans(self._ledger, self._own, self.covered)

    def covered(self, journal: UUID) -> int:
        """The last position of a journal that the checkpoint covers; 0 when it covers none."""
        place = self._tree.newest_place(journal, 0, self._size)
        return place.position if place else 0

    def write(self, bundle: BundleWriter, header: Header, spans: Sequence[Span]) -> None:
        """Raises OSError, sqlite3.Error, Damaged."""
        bundle.write(header)
        for statement in self._tree.epochs():
            bundle.write(Epoch(statement))
        bundle.write(CheckpointNote(self._covering.note))
        each = sum(span.last - span.first + 1 for span in spans) <= PROVED_EACH_MAX
        wanted = {span.head.journal for span in spans}
        registered = {one.journal: one.position for one in registrations(self._ledger, self._own) if one.journal in wanted}
        accepted = {(one.journal, one.first): one.position for one in acceptances(self._ledger, self._own)
                    if one.journal in wanted}
        needed = {*registered.values(), *accepted.values()}
        self._write_own(bundle, [span for span in spans if span.head.journal == self._own.journal], needed, each=each)
        for span in spans:
            if span.head.journal != self._own.journal:
                bundle.write(_journal(span.head, registered.get(span.head.journal)))
                self._write_span(bundle, span, accepted, each=each)

    def _write_own(self, bundle: BundleWriter, asked: Sequence[Span], needed: set[int], *, each: bool) -> None:
        """What was asked for of the hub's own journal, and what the rest of the bundle needs of it."""
        bundle.write(_journal(self._own, None))
        last = self.covered(self._own.journal)
        inside = set[int]().union(*(range(span.first, span.last + 1) for span in asked))
        runs = _runs(sorted(position for position in inside | needed if position <= last))
        for first, end in runs:
            self._write_span(bundle, Span(self._own, first, end), {}, each=each or not asked)

    def _write_span(self, bundle: BundleWriter, span: Span, accepted: dict[tuple[UUID, int], int], *, each: bool) -> None:
        bundle.write(parts.Range(span.first, self._ledger.digest_at(span.head, span.first - 1)))
        holes = {hole.first: hole for hole in self._ledger.holes(span.head) if span.first <= hole.first <= span.last}
        expected = span.first
        for entry in self._entries(span):
            while expected != entry.position:
                expected = self._write_hole(bundle, span.head, holes[expected], accepted)
            bundle.write(parts.Entry(entry.position, entry.payload, entry.signature, entry.cursor - 1, entry.arrived_ms))
            expected += 1
            if each or entry.position % PROVED_EVERY == 0 or expected in holes or expected > span.last:
                bundle.write(self._proof(entry))
        while expected in holes:
            expected = self._write_hole(bundle, span.head, holes[expected], accepted)

    def _entries(self, span: Span) -> Iterator[Entry]:
        for entry in self._ledger.entries(span.head, span.first - 1):
            if entry.position > span.last:
                return
            yield entry

    def _proof(self, entry: Entry) -> parts.Proof:
        index = entry.cursor - 1
        return parts.Proof(entry.position, index, entry.arrived_ms, tuple(inclusion_proof(index, self._size, self._nodes.node)))

    def _write_hole(self, bundle: BundleWriter, head: JournalHead, hole: Hole, accepted: dict[tuple[UUID, int], int]) -> int:
        """The position behind it."""
        records = [MissingRecord(one, digest) for one, digest in zip(hole.ids, hole.digests, strict=True)]
        for start in range(0, len(records), RECORDS_MAX):
            first = hole.first + start
            bundle.write(Missing(first, Why.HOLE, tuple(records[start:start + RECORDS_MAX]), accepted[head.journal, first]))
        return hole.last + 1


def _journal(head: JournalHead, registered: int | None) -> parts.Journal:
    return parts.Journal(head.journal, head.edge, head.name, head.suite, head.public_key, head.predecessor, registered)


def _runs(positions: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive positions."""
    grouped = (list(run) for _, run in groupby(enumerate(positions), lambda one: one[1] - one[0]))
    return [(run[0][1], run[-1][1]) for run in grouped]
