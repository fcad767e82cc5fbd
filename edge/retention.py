"""What of a journal must stay on this machine: all that the hub has not backed up and its log does not prove (invariant 3)."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace

from edge.drafts import CorruptJournal
from edge.journal_end import JournalEnd
from edge.journal_file import JournalFile
from edge.journal_store import Standing
from edge.key_copies import KeyCopies
from edge.pruned_mark import PrunedMark

PRUNE_STEP = 500


class Retention:
    """Keeps what the hub has said of one journal, and prunes what may go. `standing` is its newest word."""

    def __init__(self, file: JournalFile, end: JournalEnd, key_copies: KeyCopies, standing: Standing) -> None:
        self._file = file
        self._end = end
        self._key_copies = key_copies
        self._mark = PrunedMark(file.path)
        self.standing = self._on_disk = standing
        self._proved = 0  # receipts of an earlier stream may be of a tree that the hub has no more
        self._forgotten = 0

    async def take(self, standing: Standing) -> None:
        """A disk that does not take it, or is damaged there, stops no delivery: nothing is pruned, and it is tried again with the
        next receipt.
        """
        self.standing = standing
        try:
            if standing.backed_up < self._on_disk.backed_up:  # nothing was pruned by a word that is not on disk
                self.standing = await self._with_what_was_pruned(standing, self._on_disk)
            if await self._keep_standing():
                await self._prune()
        except (sqlite3.Error, OSError) as error:
            self._file.note_trouble(str(error))
        except CorruptJournal as error:
            if not self._end.reason:
                self._end.stop(str(error))

    async def proved(self, position: int) -> None:
        """The hub's log as it is now proves everything up to there; what is in a backup, too, may go. Raises CorruptJournal."""
        self._proved = position
        try:
            if not self._end.reason:  # its page may be what is damaged, and delivery goes on
                await self._keep_standing()
            await self._prune()
        except (sqlite3.Error, OSError) as error:
            self._file.note_trouble(str(error))

    async def _keep_standing(self) -> bool:
        """Whether there was something to write."""
        standing = self.standing
        if standing == self._on_disk:
            return False
        async with self._file.store() as store:
            await store.set_standing(standing)
        self._on_disk = standing
        return True

    async def _with_what_was_pruned(self, standing: Standing, before: Standing) -> Standing:
        """A hub that came back from a backup does not know that this very backup was made: what was pruned because of it is not
        missing now. Of one that is older still, and lacks some of it, the mark remembers that.
        """
        async with self._file.store() as store:
            first = await store.first_held()
        pruned_to = before.backed_up if first is None else min(before.backed_up, first - 1)
        if pruned_to > standing.position:
            await asyncio.to_thread(self._mark.keep, pruned_to)
        return replace(standing, backed_up=max(standing.backed_up, min(pruned_to, standing.position)))

    async def _prune(self) -> None:
        last = min(self.standing.backed_up - 1, self._proved)
        async with self._file.store() as store:
            first = await store.first_held()
        while first is not None and first <= last:
            # In steps, so that a counter never waits behind a long clean-up.
            async with self._file.store() as store:
                await store.prune(min(first + PRUNE_STEP - 1, last))
            first += PRUNE_STEP
        if last > self._forgotten:
            await asyncio.to_thread(self._key_copies.forget, last)
            self._forgotten = last
