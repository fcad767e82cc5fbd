"""Check stored entries again: place, chain, leaf and signature. A flipped bit is named, not passed on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from hub.ledger.runs import Entry
from hub.ledger.store import JournalHead, Ledger
from security.chain import leaf_hash, next_digest
from security.record import PlaceCheck, signature_holds
from security.suites import Verifier

PAGE_ENTRIES = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """The entry at `cursor` is not what was signed and stored."""

    cursor: int
    journal: UUID
    position: int
    reason: str


class JournalCheck:
    """Entries of one journal, given in their order behind `position`, where the digest is `digest`."""

    def __init__(self, head: JournalHead, position: int, digest: bytes) -> None:
        self._head = head
        self._position, self._digest = position, digest
        self._verifier = Verifier(head.suite, head.public_key)
        self._place = PlaceCheck(head.edge, head.journal)

    def wrong(self, entry: Entry) -> str:
        """Why the next entry is not one, "" if all is well. Goes on from what it says, to find the next damage, too."""
        reason = self._wrong(entry)
        self._position, self._digest = entry.position, entry.digest
        return reason

    def at_head(self) -> bool:
        """Whether the journal's head is the last entry that was given."""
        return (self._position, self._digest) == (self._head.position, self._head.digest)

    def _wrong(self, entry: Entry) -> str:
        if entry.position != self._position + 1:
            return f"position {self._position + 1} is missing before it"
        if not self._place.holds(entry.payload, entry.position):
            return "not a record of this machine, journal and position"
        if next_digest(self._digest, entry.payload) != entry.digest:
            return "the payload is not what the chain's digest covers"
        if not signature_holds(self._verifier, entry.signature, entry.digest):
            return "the signature does not hold"
        leaf = leaf_hash(entry.key_id, entry.journal.bytes, entry.position, entry.digest, entry.signature, entry.arrived_ms)
        return "" if leaf == entry.leaf else "the leaf hash does not match"


class LedgerCheck:
    """One pass over the ledger, in its order."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._size, journals = ledger.snapshot()
        self._journals = {head.journal: (head, JournalCheck(head, 0, head.genesis)) for head in journals}
        self.checked = 0

    def findings(self) -> Iterator[Finding]:
        """Every broken entry, then every journal whose head is not where its entries end. What comes in meanwhile
        is for the next pass."""
        cursor = 0
        while page := self._ledger.feed(cursor, min(PAGE_ENTRIES, self._size - cursor)):
            for entry in page:
                reason = self._journals[entry.journal][1].wrong(entry)
                if not reason and entry.cursor != cursor + 1:
                    reason = f"index {cursor} is missing"
                if reason:
                    yield Finding(entry.cursor, entry.journal, entry.position, reason)
                cursor = entry.cursor
                self.checked += 1
        for journal, (head, check) in self._journals.items():
            if not check.at_head():
                yield Finding(cursor, journal, head.position, "the journal's head is not its last entry")


def sound_to(ledger: Ledger, head: JournalHead) -> int:
    """The position up to which the entries behind the journal's backed-up mark are what was signed."""
    check = JournalCheck(head, head.backed_up, ledger.digest_at(head, head.backed_up))
    for entry in ledger.entries(head, head.backed_up):
        if check.wrong(entry):
            return entry.position - 1
    return head.position if check.at_head() else head.backed_up
