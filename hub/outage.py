"""Trouble with the database that a hub outlives: a full disk, a foreign lock, a damaged page."""

from __future__ import annotations

import sqlite3
from types import TracebackType

import sqlalchemy as sa
import structlog

_BUGS = (sqlite3.IntegrityError, sqlite3.ProgrammingError)

log = structlog.get_logger()


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
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        troubled = isinstance(cause, sqlite3.DatabaseError) and not isinstance(cause, _BUGS)
        if error is None or troubled:
            self._tell(str(cause) if troubled else "")
        return troubled

    def _tell(self, trouble: str) -> None:
        if trouble == self._told:
            return
        self._told = trouble
        if trouble:
            log.error("the database cannot be used", part=self._part, error=trouble,
                      next="look at its disk, and at who else uses it; this part tries again by itself")
        else:
            log.info("the database can be used again", part=self._part)
