"""Connections to databases of ours. SQLite reads a file that rests without locks (immutable), and takes one that somebody
begins to write meanwhile for a damaged one: https://www.sqlite.org/uri.html#uriimmutable.
"""

from __future__ import annotations

import os
import sqlite3
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

RESTING = "&immutable=1"


class FileChanged(sqlite3.OperationalError):
    """Who looked at a file that rested has to look again; nothing is known of damage."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} was changed while it was read, by a program that has just begun to write it; do it again")
        self.sqlite_errorcode = sqlite3.SQLITE_BUSY


class Connection(sqlite3.Connection):
    """All trouble with the file is a sqlite3.Error: Python cannot decode what SQLite says when it quotes a damaged schema."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return self.cursor().execute(sql, parameters)
        except UnicodeDecodeError as error:
            damaged = sqlite3.DatabaseError("its schema cannot be read")
            damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damaged from error


class Look(Connection):
    """By `look_uri`: a row, or trouble, that was read after a resting file had changed is FileChanged."""

    def __init__(self, database: str, *arguments: Any, **named: Any) -> None:
        path, _, parameters = database.removeprefix("file:").partition("?")
        self.rest = _Rest(unquote(path)) if parameters.endswith(RESTING) else None
        super().__init__(database, *arguments, **named)

    def cursor(self, factory: Any = None) -> Any:
        kind: Any = factory or (_Rows if self.rest else sqlite3.Cursor)
        return super().cursor(kind)


class _Rest:
    """`with rest:` around each reading. Beside a log at the beginning somebody may be writing the file already."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen = _state(path)
        self._begun = os.path.exists(f"{path}-wal")  # noqa: PTH110 - a new Path for each look grows the table of names

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if (error is None or isinstance(error, Exception)) and (self._begun or _state(self._path) != self._seen):
            raise FileChanged(self._path) from error


def _state(path: str) -> tuple[int, ...]:
    """A checkpoint sets the time before it writes the first page."""
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except OSError:
        return ()  # opening it again says why
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class _Rows(sqlite3.Cursor):
    def __init__(self, look: Look) -> None:
        super().__init__(look)
        assert look.rest is not None
        self._rest = look.rest

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        with self._rest:
            return super().execute(sql, parameters)

    def __next__(self) -> Any:
        with self._rest:
            return super().__next__()

    def fetchone(self) -> Any:
        with self._rest:
            return super().fetchone()

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        with self._rest:
            return super().fetchmany(size)

    def fetchall(self) -> list[Any]:
        with self._rest:
            return super().fetchall()
