"""A journal that is not open: nothing is taken, and the counter is told what to do."""

from __future__ import annotations

from typing import NoReturn

from edge.advice import Diagnosis, no_journal, unopened
from edge.drafts import Draft, JournalRefused, JournalStopped, JournalUnopened, Stored
from edge.journal_store import Head, Standing


class NoJournal:
    """In the place of the journal, and of what tells of the line (LineHealth, edge/advice.py): there is none either."""

    certificate_ends_ms = 0
    head = Head(0, b"")
    standing = Standing(0, 0, 0)
    queued = 0

    def __init__(self, reason: str, refusal: type[JournalRefused], diagnosis: Diagnosis) -> None:
        self.diagnosis = diagnosis
        self._reason = reason
        self._refusal = refusal

    @property
    def stopped(self) -> str:
        return self._reason

    @classmethod
    def ended(cls, reason: str) -> NoJournal:
        """It has, and no successor can be begun."""
        return cls(reason, JournalStopped, no_journal(reason))

    @classmethod
    def unopened(cls, reason: str) -> NoJournal:
        """Of a disk that is full: it is tried again."""
        return cls(reason, JournalUnopened, unopened(reason))

    async def oldest_queued_ms(self) -> None:
        return None

    async def submit(self, _draft: Draft) -> NoReturn:
        raise self._refusal(self._reason)

    async def find(self, _caller_id: str) -> NoReturn:
        raise self._refusal(self._reason)

    async def repeat(self, _caller_id: str, _kind: str, _said: bytes) -> NoReturn:
        raise self._refusal(self._reason)

    async def in_ledger(self, _stored: Stored) -> NoReturn:
        raise self._refusal(self._reason)
