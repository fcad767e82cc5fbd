"""A journal that does not open for the moment, as on a disk that is full: it is tried until it does."""

from __future__ import annotations

import asyncio
import errno
import itertools
import sqlite3
from collections.abc import Callable, Iterator

import structlog

from edge.drafts import CorruptJournal
from edge.journal import Journal

REOPEN_S, REOPEN_MAX_S = 0.5, 30.0  # an error of a moment costs a moment
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)

log = structlog.get_logger()


def may_pass(error: sqlite3.Error | OSError) -> bool:
    """Whether it says that the disk does not do it now, and nothing against the journal or this program."""
    return isinstance(error, sqlite3.OperationalError) or (isinstance(error, OSError) and error.errno in _OF_THE_DISK)


def pauses_s() -> Iterator[float]:
    """Before each next try at this machine's own disk; nobody shares it, so without chance."""
    return (min(REOPEN_S * 2**min(attempt, 16), REOPEN_MAX_S) for attempt in itertools.count())


async def until_openable(journal: Callable[[], Journal]) -> None:
    """Each try is with a journal of its own. Raises what does not pass; a damaged one is for whoever opens it next."""
    for pause_s in pauses_s():
        await asyncio.sleep(pause_s)
        try:
            async with journal():
                return
        except CorruptJournal:
            return
        except (sqlite3.Error, OSError) as error:
            if not may_pass(error):
                raise
            log.warning("the journal cannot be opened yet", error=str(error), next="make room on this machine's disk")
