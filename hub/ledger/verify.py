"""Check every stored entry again: chain, leaf and signature. A flipped bit is named, not passed on."""

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


class LedgerCheck:
    """One pass over the ledger, in its order."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._size, journals = ledger.snapshot()
        self._journals = {head.journal: head for head in journals}
        self._verifiers = {journal: _verifier(head) for journal, head in self._journals.items()}
        self._digests = {journal: head.genesis for journal, head in self._journals.items()}
        self._positions = dict.fromkeys(self._journals, 0)
        self.checked = 0

    def findings(self) -> Iterator[Finding]:
        """Every broken entry, then every journal whose head is not where its entries end. What comes in meanwhile
        is for the next pass."""
        cursor = 0
        while page := self._ledger.feed(cursor, min(PAGE_ENTRIES, self._size - cursor)):
            for entry in page:
                reason = self._wrong(entry) or ("" if entry.cursor == cursor + 1 else f"index {cursor} is missing")
                if reason:
                    yield Finding(entry.cursor, entry.journal, entry.position, reason)
                cursor = entry.cursor
                self._digests[entry.journal], self._positions[entry.journal] = entry.digest, entry.position
                self.checked += 1
        for journal, head in self._journals.items():
            if (self._positions[journal], self._digests[journal]) != (head.position, head.digest):
                yield Finding(cursor, journal, head.position, "the journal's head is not its last entry")

    def _wrong(self, entry: Entry) -> str:
        if entry.position != self._positions[entry.journal] + 1:
            return f"position {self._positions[entry.journal] + 1} is missing before it"
        if not PlaceCheck(entry.edge, entry.journal).holds(entry.payload, entry.position):
            return "not a record of this machine, journal and position"
        if next_digest(self._digests[entry.journal], entry.payload) != entry.digest:
            return "the payload is not what the chain's digest covers"
        if not signature_holds(self._verifiers[entry.journal], entry.signature, entry.digest):
            return "the signature does not hold"
        leaf = leaf_hash(entry.key_id, entry.journal.bytes, entry.position, entry.digest, entry.signature, entry.arrived_ms)
        return "" if leaf == entry.leaf else "the leaf hash does not match"


def _verifier(head: JournalHead) -> Verifier:
    return Verifier(head.suite, head.public_key)
