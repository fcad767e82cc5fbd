"""One entry of the feed after the other, of whatever journal: place, chain, leaf, signature."""

from __future__ import annotations

from uuid import UUID

from hub.ledger.findings import BADLY_SIGNED
from hub.ledger.journal_check import JournalCheck
from hub.ledger.journal_head import UnknownJournal
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Entry


class BrokenEntry(ValueError):
    """An entry that is not what was signed, or not where it belongs."""


class EntryCheck:
    """For one page of the feed: what stands before it is taken from the ledger, where it was audited."""

    def __init__(self, ledger: LedgerReader) -> None:
        self._ledger = ledger
        self._journals: dict[UUID, JournalCheck] = {}

    def check(self, entry: Entry) -> None:
        """Raises BrokenEntry, or Damaged when what it depends on is."""
        check = self._journals.get(entry.journal)
        if check is None or check.reached[0] + 1 < entry.position:  # behind a hole, of which the ledger has the digests
            check = self._journals[entry.journal] = self._begun(entry)
        flaw = check.flaw(entry)
        if flaw is not None:
            proved = flaw.signature and self._ledger.entry(entry.journal, entry.position + 1) is not None
            raise BrokenEntry(BADLY_SIGNED if proved else flaw.reason)

    def _begun(self, entry: Entry) -> JournalCheck:
        try:
            head = self._ledger.journal(entry.journal)
        except UnknownJournal as error:
            raise BrokenEntry("its journal was never registered") from error
        if not head.is_registered():
            raise BrokenEntry("the machine, key or predecessor of its journal are not what was registered")
        before = entry.position - 1
        return JournalCheck(head, before, self._ledger.digest_at(head, before))
