"""Why a journal takes no more records: for this run, or for good and then on disk beside it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import UUID

import structlog

from edge.state import IdentityFolder
from security.private_files import write_private

log = structlog.get_logger()


def read_stop(journal: Path) -> str:
    """Why this journal must not be written on any more; "" if it may be."""
    path = journal.with_suffix(".stopped")
    return (path.read_text(encoding="utf-8", errors="replace") or "it was stopped") if path.exists() else ""


def stop_of(folder: IdentityFolder) -> str:
    """Why one of its journals must not be written on any more; "" while all may be."""
    return next(filter(None, (read_stop(one.db) for one in folder.journals)), "")


def write_stop(journal: Path, reason: str) -> None:
    """Beside the journal, not in it: it may be damaged or full. Raises OSError."""
    write_private(journal.with_suffix(".stopped"), reason.encode())


class JournalEnd:
    """The end of one journal, which may have come. `reason` is "" while it goes on."""

    def __init__(self, path: Path, journal: UUID) -> None:
        self._path = path
        self._journal = journal
        self._come = asyncio.Event()
        self.reason = ""

    def stop(self, reason: str) -> None:
        """For good: its history is in doubt. What is stored stays, and is delivered."""
        log.error("journal stopped", journal=str(self._journal), reason=reason)
        self.reason = reason
        self._come.set()
        try:
            write_stop(self._path, reason)
        except OSError as error:
            log.warning("the stop is not on disk", error=str(error), next="make room, and keep the agent running")

    def refuse(self, reason: str) -> None:
        """For this run."""
        self.reason = self.reason or reason

    async def wait(self) -> None:
        """Until `stop` was called."""
        await self._come.wait()
