"""Which of the rows that were found are the journal's: a record counts when its digest follows and its signature holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.journal_store import Head
from edge.salvage_finds import Finds, FoundEnvelope, Place, SalvageFinds
from security.chain import Genesis, next_digest
from security.record import signature_holds
from security.suites import Verifier

COPIES_MAX = 64  # of one record that are tried
NAMED_MAX = 1_000  # positions in a list for people
GAP_MAX = 10_000  # positions without any trace; a damaged number may claim more

_SCHEMA = """CREATE TABLE entries (position INTEGER PRIMARY KEY, saved INTEGER, id BLOB, previous BLOB, digest BLOB,
    number INTEGER, source INTEGER, offset INTEGER, at INTEGER)"""
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_CORRECT = "UPDATE entries SET digest = ? WHERE position = ?"
_CUT = "DELETE FROM entries WHERE position > ?"


@dataclass(frozen=True, slots=True)
class _Judged:
    """What stands at a position, saved or not; `next_from`: digests that may stand before the next."""

    saved: bool
    found: FoundEnvelope | None
    previous: bytes | None
    digest: bytes | None
    next_from: Sequence[bytes]


class SalvageProof:
    """Goes through the finds once, in order, and leaves the table `entries` behind in their index."""

    def __init__(self, finds: SalvageFinds, genesis: Genesis, anchors: Mapping[int, bytes]) -> None:
        self._finds = finds
        self._verifier = Verifier(genesis.suite, genesis.public_key)
        self._anchors = {0: genesis.digest(), **anchors}
        self.damaged: dict[int, tuple[int, str]] = {}  # page and what is wrong, by position
        self.without_row: list[int] = []  # positions that are not in `digests`

    def run(self, after: int = 0) -> Head:
        """The last position that is certain; nothing up to `after` is looked at, where an anchor must be."""
        index = self._finds.index
        index.execute(_SCHEMA)
        at, head = after, Head(after, self._anchors[after])
        before: Sequence[bytes] = ()
        for finds in self._finds.in_order(after):
            if finds.position > head.position + GAP_MAX:
                break
            options = [*before] if finds.position == at + 1 else []
            if anchor := self._anchors.get(finds.position - 1):
                options.insert(0, anchor)
            judged = self._judge(finds, list(dict.fromkeys(options)))
            if judged.previous is not None:
                index.execute(_CORRECT, (judged.previous, finds.position - 1))
            self._keep(finds, judged)
            if not finds.digests and len(self.without_row) < NAMED_MAX:
                self.without_row.append(finds.position)
            follows = finds.position == at + 1 and any(row.trusted for row in finds.digests)
            if judged.saved or follows or self._is_head(finds.position, judged.digest):
                head = Head(finds.position, judged.digest or b"")
            at, before = finds.position, judged.next_from
        index.execute(_CUT, (head.position,))
        return self._with_head_row(head)

    def _judge(self, finds: Finds, options: Sequence[bytes]) -> _Judged:
        rows = [row.digest for row in finds.digests]
        found = finds.envelopes[:COPIES_MAX]
        chained = [(one, previous, next_digest(previous, payload), signature)
                   for one in found for payload, signature in self._finds.read(one.place) for previous in options]
        # Two signed records at one position are a commit that failed and the one that took its place: digests know which.
        for one, previous, digest, signature in sorted(chained, key=lambda link: [*rows, link[2]].index(link[2])):
            if signature_holds(self._verifier, signature, digest):
                return _Judged(True, one, previous, digest, [digest])
        for one, previous, digest, _ in chained:
            if digest in rows:
                self.damaged[finds.position] = one.place.number, "its signature is damaged; its content is whole"
                return _Judged(False, one, previous, digest, [digest])
        if found:
            self.damaged[finds.position] = found[0].place.number, "what is stored is not what was signed"
        digests = list(dict.fromkeys([*rows, *(digest for _, _, digest, _ in chained)]))
        return _Judged(False, found[0] if found else None, None, rows[0] if rows else None, digests)

    def _keep(self, finds: Finds, judged: _Judged) -> None:
        ids = [one.id for one in finds.digests] + [one.id for one in finds.envelopes]
        record = judged.found.id if judged.saved and judged.found else next(iter(ids), None)
        place = judged.found.place if judged.found else None
        self._finds.index.execute(_INSERT, (
            finds.position, judged.saved, record.bytes if record else None, judged.previous, judged.digest,
            *((place.number, place.source, place.offset, place.at) if place else (None,) * 4)))

    def _is_head(self, position: int, digest: bytes | None) -> bool:
        return digest is not None and any(head == Head(position, digest) for _, head in self._finds.heads)

    def _with_head_row(self, certain: Head) -> Head:
        """The current row of `head` may be all that is left of the last positions."""
        for current, head in self._finds.heads:
            if current and certain.position < head.position <= certain.position + GAP_MAX:
                return head
        return certain


def read_place(row: Sequence[int]) -> Place | None:
    return Place(row[0], row[1], row[2], row[3]) if row[0] is not None else None
