"""What the hub holds of the journals that a machine's own one follows. The machine asks: after a restore it may be less than was
acknowledged, and of a journal that has ended nothing else would tell.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from hub.ledger.journal_head import UnknownJournal
from hub.ledger.lineage import follows
from hub.ledger.reader import LedgerReader


class NotBefore(Exception):
    """The journal that is asked for does not come before any of the machine's own."""


class Predecessors:
    """Synchronous; call it in a thread."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def held(self, edge: UUID, journal: UUID, position: int, digest: bytes) -> tuple[int, bool]:
        """Where the hub's copy ends (0: it has none), and whether it has that digest at that position.

        Raises NotBefore, sqlite3.Error.
        """
        with LedgerReader(self._database) as ledger:
            own = [head.journal for head in ledger.journals() if head.edge == edge]
            if not any(one != journal and follows(ledger, one, journal) for one in own):
                raise NotBefore(f"journal {journal} is not one that machine {edge} goes on from; call the city's IT desk")
            try:
                head = ledger.journal(journal)
            except UnknownJournal:
                return 0, False
            same = position <= head.position and ledger.digest_at(head, position) == digest
            return head.position, same
