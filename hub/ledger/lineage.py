"""Which journal goes on from which, by what was registered."""

from __future__ import annotations

from uuid import UUID

from hub.ledger.journal_head import UnknownJournal
from hub.ledger.reader import LedgerReader

SUCCESSORS_MAX = 100


def follows(ledger: LedgerReader, journal: UUID, first: UUID) -> bool:
    """Whether it is `first`, or goes on from it over any number of journals. Raises Damaged."""
    for _ in range(SUCCESSORS_MAX):
        if journal == first:
            return True
        try:
            before = ledger.journal(journal).predecessor
        except UnknownJournal:
            return False
        if before is None:
            return False
        journal = before
    return False
