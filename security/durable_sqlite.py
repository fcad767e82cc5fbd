"""The one way a database of ours is opened: what is committed survives a power cut (docs/decisions/0002)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from security.private_files import sync_folder

BUSY_TIMEOUT_MS = 5_000
WAL_AUTOCHECKPOINT_PAGES = 4_000
WAL_MAX_BYTES = 64 * 1024 * 1024

# NORMAL would lose acknowledged commits at a power cut: measured, 0 of 500 kept.
DURABLE_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    f"PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit = {WAL_MAX_BYTES}",
)
# The kernel keeps these pages, too, and a hub has many connections: a full cache of each would look like a leak for days.
SMALL_CACHE = "PRAGMA cache_size = -256"  # KiB
# Of short transactions: what they have changed waits for the commit in memory, and is not written twice.
BRIEF_PRAGMAS = (*DURABLE_PRAGMAS, SMALL_CACHE, "PRAGMA cache_spill = OFF")
READ_PRAGMAS = (f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}", "PRAGMA query_only = ON", SMALL_CACHE)


class DatabaseMissing(FileNotFoundError):
    """Opening never creates: a mistyped path is an error, not an empty site."""


class Connection(sqlite3.Connection):
    """All trouble with the file is a sqlite3.Error: Python cannot decode what SQLite says when it quotes a damaged schema."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except UnicodeDecodeError as error:
            damaged = sqlite3.DatabaseError("its schema cannot be read")
            damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damaged from error


def database_uri(path: Path, *, mode: str) -> str:
    """SQLite URI of an existing file; mode "rw" or "ro". Raises DatabaseMissing."""
    if not path.is_file():
        raise DatabaseMissing(f"no database at {path}; check the folder, or enrol / init first")
    return f"file:{quote(str(path.absolute()))}?mode={mode}"


def open_durable(path: Path) -> sqlite3.Connection:
    """Read-write, autocommit: statements say BEGIN IMMEDIATE themselves. For transactions of megabytes at most, and one thread
    at a time."""
    connection = sqlite3.connect(
        database_uri(path, mode="rw"), uri=True, isolation_level=None, check_same_thread=False, factory=Connection
    )
    for pragma in BRIEF_PRAGMAS:
        connection.execute(pragma)
    return connection


def open_readonly(path: Path) -> sqlite3.Connection:
    """A reader that cannot change a row and does not create a file."""
    connection = sqlite3.connect(
        database_uri(path, mode="ro"), uri=True, isolation_level=None, check_same_thread=False, factory=Connection
    )
    for pragma in READ_PRAGMAS:
        connection.execute(pragma)
    return connection


def look_uri(path: Path) -> str:
    """For a short look beside whoever writes, or at a file that rests. Raises DatabaseMissing.

    Without a WAL nobody writes, and a reader need not even leave an empty one behind.
    """
    uri = database_uri(path, mode="ro")
    return uri if Path(f"{path}-wal").exists() else f"{uri}&immutable=1"


def open_look(path: Path) -> sqlite3.Connection:
    """As `open_readonly`, and leaves nothing beside a file that rests; close it soon."""
    connection = sqlite3.connect(look_uri(path), uri=True, isolation_level=None, check_same_thread=False, factory=Connection)
    for pragma in READ_PRAGMAS:
        connection.execute(pragma)
    return connection


def create_database(path: Path, schema: str) -> None:
    """A new database with `schema` in it, whole or not at all. Raises FileExistsError."""
    if path.exists():
        raise FileExistsError(f"{path} exists already; nothing was changed")
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    connection = sqlite3.connect(temporary)
    try:
        connection.executescript(f"PRAGMA synchronous = FULL; BEGIN; {schema}\n; COMMIT;")
    finally:
        connection.close()
    temporary.chmod(0o600)
    for suffix in ("-wal", "-shm"):  # of a file that somebody took away: SQLite would fold it into this one
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    temporary.replace(path)
    sync_folder(path.parent)
