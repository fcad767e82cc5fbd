"""What the hub holds of the journals that a machine's own one follows. The machine asks: after a restore it may be less than was
acknowledged, and of a journal that has ended nothing else would tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from hub.ledger.store import JournalHead, Ledger, UnknownJournal


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
        with Ledger(self._database) as ledger:
            if journal not in _before(ledger, edge):
                raise NotBefore(f"journal {journal} is not one that machine {edge} goes on from; call the city's IT desk")
            try:
                head = ledger.journal(journal)
            except UnknownJournal:
                return 0, False
            same = position <= head.position and ledger.digest_at(head, position) == digest
            return head.position, same


def _before(ledger: Ledger, edge: UUID) -> set[UUID]:
    """All that the machine's journals follow, however far back."""
    heads = {head.journal: head for head in ledger.journals()}
    return {one for head in heads.values() if head.edge == edge for one in _line_of(head, heads)}


def _line_of(head: JournalHead, heads: dict[UUID, JournalHead]) -> Iterator[UUID]:
    seen = {head.journal}
    before = head.predecessor
    while before is not None and before not in seen:
        seen.add(before)
        yield before
        before = heads[before].predecessor if before in heads else None
