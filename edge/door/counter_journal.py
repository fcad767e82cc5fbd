"""What the door asks of a journal."""

from __future__ import annotations

from typing import Protocol

from edge.drafts import Draft, Stored
from edge.journal_store import Head, Standing


class CounterJournal(Protocol):
    """`Journal` (edge/journal.py), or `NoJournal` (edge/no_journal.py) where none can be opened."""

    @property
    def head(self) -> Head: ...

    @property
    def standing(self) -> Standing: ...

    @property
    def queued(self) -> int: ...

    async def oldest_queued_ms(self) -> int | None: ...

    async def submit(self, draft: Draft) -> Stored:
        """MUST be durable when it returns. Raises JournalRefused: then nothing was stored."""

    async def find(self, caller_id: str) -> Stored | None: ...

    async def repeat(self, caller_id: str, kind: str, said: bytes) -> Stored | None: ...

    async def in_ledger(self, stored: Stored) -> bool:
        """Whether the hub holds it. Raises JournalBusy, JournalStopped, NotEnrolled, OSError, ValueError."""


class BesideJournal(Protocol):
    """The journal of events, as far as the counter is told of it. `stopped`: why it takes nothing; "" while it does."""

    @property
    def queued(self) -> int: ...

    @property
    def stopped(self) -> str: ...
