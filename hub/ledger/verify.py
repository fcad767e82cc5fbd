"""Check stored entries again: place, chain, leaf and signature. A flipped bit is named, not passed on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hub.ledger.runs import DamagedRow, Entry, StoredRun
from hub.ledger.store import Hole, JournalHead, Ledger
from security.chain import Genesis, leaf_hash, next_digest
from security.record import PlaceCheck, signature_holds
from security.suites import Verifier

BADLY_SIGNED = "stored as it came, but its signature does not hold: the machine signed wrongly; look at that machine"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and where. `damage`: something changed what was stored; else it came like that (decision 0003)."""

    where: str
    reason: str
    damage: bool = True
    position: int = 0


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why an entry is not one. `signature`: all but its signature fits, which the leaf covers as it came."""

    reason: str
    signature: bool = False


class JournalCheck:
    """Entries of one journal, given in their order behind `position`, where the digest is `digest`."""

    def __init__(self, head: JournalHead, position: int, digest: bytes, holes: Sequence[Hole] = ()) -> None:
        self._holes = {hole.first: hole for hole in holes}
        self._head = head
        self._position, self._digest = position, digest
        self._verifier = Verifier(head.suite, head.public_key)
        self._place = PlaceCheck(head.edge, head.journal)

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
        if not signature_holds(self._verifier, entry.signature, entry.digest):
            return Flaw("the signature does not hold", signature=True)
        return None


class LedgerCheck:
    """One pass over the ledger, in its order; what comes in meanwhile is for the next pass."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._snapshot = ledger.snapshot()
        self._journals = {head.journal: JournalCheck(head, 0, head.genesis, ledger.holes(head))
                          for head in self._snapshot.journals}
        self.checked = 0

    def findings(self) -> Iterator[Finding]:
        """Every journal that is not what was registered, every broken entry, then every head that is not where its
        entries end."""
        yield from (Finding("journals", str(error)) for error in self._snapshot.damaged)
        for head in self._snapshot.journals:
            registered = Genesis(head.edge, head.journal, head.suite, head.public_key, head.predecessor)
            if registered.digest() != head.genesis:
                yield Finding(f"journal {head.journal}", "machine, key or predecessor are not what was registered")
        yield from self._rows()
        if self._snapshot.size != self._snapshot.end:
            yield Finding("ledger head", f"it says {self._snapshot.size} entries, the rows end at {self._snapshot.end}")
        for head in self._snapshot.journals:
            if not self._journals[head.journal].at_head():
                yield Finding(f"journal {head.journal}, position {head.position}", "its head is not its last entry",
                              position=head.position)

    def _rows(self) -> Iterator[Finding]:
        index: int | None = 0  # where the next row has to begin; None behind a damaged one
        begin = 0
        while True:
            try:
                run = self._ledger.run_from(begin)
                if run is None or run.index >= self._snapshot.end:
                    return
                if index is not None and run.index != index:
                    yield Finding(f"cursor {run.index + 1}", f"the entry before it should be that of cursor {index}")
                yield from self._entries(run)
                begin, index = run.index + 1, run.index + run.count
            except DamagedRow as error:
                yield Finding(f"cursor {error.index + 1}", str(error))
                begin, index = error.index + 1, None

    def _entries(self, run: StoredRun) -> Iterator[Finding]:
        for entry in run.entries(0, run.count):
            where = f"cursor {entry.cursor}, journal {entry.journal}, position {entry.position}"
            check = self._journals.get(entry.journal)
            flaw = check.flaw(entry) if check else Flaw("its journal is damaged or was never registered")
            self.checked += 1
            if flaw is not None and flaw.signature and entry.cursor < run.index + run.count:
                yield Finding(where, BADLY_SIGNED, damage=False, position=entry.position)
            elif flaw is not None:  # the last signature of a row was checked before the row was stored
                yield Finding(where, flaw.reason, position=entry.position)


def sound_to(ledger: Ledger, head: JournalHead) -> int:
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
