"""Trouble with the database that a hub outlives: a full disk, a foreign lock, a damaged page."""

from __future__ import annotations

import sqlite3
from types import TracebackType

import sqlalchemy as sa
import structlog

_BUGS = (sqlite3.IntegrityError, sqlite3.ProgrammingError)
# What passes: permission, lock, read-only, input and output, full disk, cannot open. The low byte is the primary code.
_PASSING = {sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN}

log = structlog.get_logger()


def trouble(error: BaseException | None) -> str:
    """What is wrong with the database and what to do; "" for any other error, and for a bug of ours."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    if not isinstance(cause, sqlite3.DatabaseError) or isinstance(cause, _BUGS):
        return ""
    if "Could not decode" in str(cause):  # the rest of that text is what could not be decoded
        return "the database is damaged (a text in it is none); keep it, and restore the newest backup that verifies"
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _PASSING:
        return f"the database cannot be used now ({cause}); look at its disk, and at who else uses it"
    return f"the database is damaged ({cause}); keep it, and restore the newest backup that verifies"


class Outage:
    """`with outage:` around each try of one part. Trouble with the database is told when it begins, changes and ends,
    and goes no further; whoever tries waits and tries again. Whatever else is raised passes."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._told = ""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> bool:
        text = trouble(error)
        if (error is None or text) and text != self._told:
            self._told = text
            if text:
                log.error("trouble with the database", part=self._part, error=text)
            else:
                log.info("the database is well again", part=self._part)
        return bool(text)
