"""A journal's open database, for one user at a time: the writer may have to open it again under the uplink's feet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType

import structlog

from edge.journal_store import JournalIdentity, JournalStore

log = structlog.get_logger()


class JournalFile:
    """`async with JournalFile(...) as file`, then `async with file.store() as store`."""

    def __init__(self, path: Path, quota_bytes: int) -> None:
        self.path = path
        self._quota_bytes = quota_bytes
        self._in_use = asyncio.Lock()
        self._trouble = ""  # why the last write failed; logged when it changes

    async def __aenter__(self) -> JournalFile:
        self._store = await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._store.__aexit__(None, None, None)

    async def _opened(self) -> JournalStore:
        return await JournalStore(self.path, quota_bytes=self._quota_bytes).__aenter__()

    @property
    def identity(self) -> JournalIdentity:
        return self._store.identity

    @asynccontextmanager
    async def store(self) -> AsyncIterator[JournalStore]:
        """Ours until the end of the block."""
        async with self._in_use:
            yield self._store

    async def reopened(self) -> JournalStore:
        """For whoever has the store: a new one in place of it. Raises sqlite3.Error, OSError, CorruptJournal."""
        before, self._store = self._store, await self._opened()
        await before.__aexit__(None, None, None)
        return self._store

    def note_trouble(self, text: str) -> None:
        """Of a write that failed; "" when one has succeeded."""
        if text and text != self._trouble:
            log.warning("journal cannot be written", error=text, next="make room, or end the program that holds it")
        self._trouble = text
