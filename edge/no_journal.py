"""A journal that cannot be opened while no successor can be begun: nothing is taken, and the counter is told what to do."""

from __future__ import annotations

from typing import NoReturn

from edge.advice import no_journal
from edge.drafts import Draft, JournalStopped, Stored
from edge.journal_store import Head, Standing


class NoJournal:
    """In the place of the journal, and of what tells of the line (LineHealth, edge/advice.py): there is none either."""

    certificate_ends_ms = 0
    head = Head(0, b"")
    standing = Standing(0, 0, 0)
    queued = 0

    def __init__(self, reason: str) -> None:
        self.diagnosis = no_journal(reason)
        self._reason = reason

    async def submit(self, _draft: Draft) -> NoReturn:
        raise JournalStopped(self._reason)

    async def find(self, _caller_id: str) -> NoReturn:
        raise JournalStopped(self._reason)

    async def repeat(self, _caller_id: str, _kind: str, _said: bytes) -> NoReturn:
        raise JournalStopped(self._reason)

    async def in_ledger(self, _stored: Stored) -> NoReturn:
        raise JournalStopped(self._reason)
