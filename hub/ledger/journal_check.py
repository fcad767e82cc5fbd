"""Check stored entries of one journal again: place, chain, leaf and signature."""

from __future__ import annotations

from collections.abc import Sequence

from hub.ledger.findings import Flaw
from hub.ledger.hole import Hole
from hub.ledger.journal_head import JournalHead
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Columns, DamagedRow, Entry, StoredRun
from security.chain import digests_after, leaf_hash, leaf_hashes, next_digest
from security.record import PlaceCheck, signature_holds
from security.suites import Verifier

_BAD_SIGNATURE = Flaw("the signature does not hold", signature=True)


class JournalCheck:
    """Entries of one journal, given in their order behind `position`, where the digest is `digest`."""

    def __init__(self, head: JournalHead, position: int, digest: bytes, holes: Sequence[Hole] = (), *,
                 signatures: bool = True) -> None:
        self._holes = {hole.first: hole for hole in holes}
        self._head = head
        self._position, self._digest = position, digest
        self._verifier = Verifier(head.suite, head.public_key)
        self._place = PlaceCheck(head.edge, head.journal)
        self._signatures = signatures

    @property
    def reached(self) -> tuple[int, bytes]:
        """The position of the last entry that was given, and its digest."""
        return self._position, self._digest

    def flaws(self, run: StoredRun, columns: Columns) -> dict[int, Flaw]:
        """Of the next row, by offset; {} if all is well. One by one only where the whole does not fit."""
        self._pass_holes()
        if not self._fits(run, columns):
            return {offset: flaw for offset, entry in enumerate(run.entries(0, run.count)) if (flaw := self.flaw(entry))}
        self._position, self._digest = run.first + run.count - 1, columns.digests[-1]
        if not self._signatures:
            return {}
        return {offset: _BAD_SIGNATURE
                for offset, (signature, digest) in enumerate(zip(columns.signatures, columns.digests, strict=True))
                if not signature_holds(self._verifier, signature, digest)}

    def flaw(self, entry: Entry) -> Flaw | None:
        """Of the next entry; None if all is well. Goes on from what it says, to find the next damage, too."""
        flaw = self._flaw(entry)
        self._position, self._digest = entry.position, entry.digest
        return flaw

    def at_head(self) -> bool:
        """Whether the journal's head is the last entry that was given."""
        self._pass_holes()
        return (self._position, self._digest) == (self._head.position, self._head.digest)

    def _pass_holes(self) -> None:
        while (hole := self._holes.get(self._position + 1)) and hole.previous == self._digest:
            self._position, self._digest = hole.last, hole.digests[-1]

    def _fits(self, run: StoredRun, columns: Columns) -> bool:
        return (
            run.first == self._position + 1
            and self._place.holding(columns.payloads, run.first) == run.count
            and digests_after(self._digest, columns.payloads) == columns.digests
            and leaf_hashes(run.key_id, run.journal.bytes, run.first, columns.digests, columns.signatures,
                            run.arrived_ms) == columns.leaves
        )

    def _flaw(self, entry: Entry) -> Flaw | None:
        self._pass_holes()
        if entry.position != self._position + 1:
            return Flaw(f"position {self._position + 1} is missing before it")
        if not self._place.holds(entry.payload, entry.position):
            return Flaw("not a record of this machine, journal and position")
        if next_digest(self._digest, entry.payload) != entry.digest:
            return Flaw("the payload is not what the chain's digest covers")
        leaf = leaf_hash(entry.key_id, entry.journal.bytes, entry.position, entry.digest, entry.signature, entry.arrived_ms)
        if leaf != entry.leaf:
            return Flaw("the leaf hash does not match")
        if self._signatures and not signature_holds(self._verifier, entry.signature, entry.digest):
            return _BAD_SIGNATURE
        return None


def sound_to(ledger: LedgerReader, head: JournalHead) -> int:
    """The position up to which the entries behind the journal's backed-up mark are what came: each in its place, and
    under its own signature or one behind it, which the chain lets speak for it."""
    check = JournalCheck(head, head.backed_up, ledger.digest_at(head, head.backed_up), ledger.holes(head))
    sound = head.backed_up
    try:
        for entry in ledger.entries(head, head.backed_up):
            flaw = check.flaw(entry)
            if flaw is None:
                sound = entry.position
            elif not flaw.signature:
                return sound
    except DamagedRow:
        return sound
    return sound if check.at_head() else head.backed_up
