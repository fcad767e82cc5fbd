"""The one way a database of ours is opened: what is committed survives a power cut (docs/decisions/0002)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from security.private_files import sync_folder
from security.sqlite_connection import RESTING, Connection, Look
from security.sqlite_index import lost_log, mark_index

BUSY_TIMEOUT_MS = 5_000
WAL_AUTOCHECKPOINT_PAGES = 4_000
WAL_MAX_BYTES = 64 * 1024 * 1024
FILE_HEADER_BYTES = 100  # https://www.sqlite.org/fileformat2.html, section 1.3

# NORMAL would lose acknowledged commits at a power cut: measured, 0 of 500 kept.
DURABLE_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    f"PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit = {WAL_MAX_BYTES}",
    "PRAGMA schema_version",  # a first look, so that the log's index is there
)
# The kernel keeps these pages, too, and a hub has many connections: a full cache of each would look like a leak for days.
SMALL_CACHE = "PRAGMA cache_size = -256"  # KiB
# Of short transactions: what they have changed waits for the commit in memory, and is not written twice.
BRIEF_PRAGMAS = (*DURABLE_PRAGMAS, SMALL_CACHE, "PRAGMA cache_spill = OFF")
READ_PRAGMAS = (f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}", "PRAGMA query_only = ON", SMALL_CACHE)


class DatabaseMissing(FileNotFoundError):
    """Opening never creates: a mistyped path is an error, not an empty site."""


class LogLeft(DatabaseMissing):
    """The file is gone, and its log is not: nothing is begun anew over what that may hold."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"no database at {path}, and {path.name}-wal beside it may hold what was committed: keep that, and put "
                         f"{path.name} back from where it went; where it is gone for good, see docs/damage.md")


class DatabaseCut(sqlite3.DatabaseError):
    """A file without a header is what a disk has left: ours are renamed into place whole. SQLite would begin a new database in
    it, and remove the log beside it with all that was committed.
    """

    def __init__(self, path: Path, size: int) -> None:
        log = f"; {path.name}-wal beside it may hold what was committed: keep both" if Path(f"{path}-wal").exists() else ""
        super().__init__(f"{path} has {size} bytes, which is no database{log}")
        self.sqlite_errorcode = sqlite3.SQLITE_NOTADB


class LogLost(DatabaseCut):
    """The file is whole, and the log that belongs to it is not: SQLite would go back to what the file holds, without a word."""

    def __init__(self, path: Path, lacking: str) -> None:
        sqlite3.DatabaseError.__init__(self, f"{path} is not whole: {lacking}. Where {path.name} itself was put back, whole, "
                                             f"from a copy, move {path.name}-shm away, too")
        self.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        self.lacking = lacking.partition(";")[0]  # without what to do, for whoever has set the file aside


def database_uri(path: Path, *, mode: str) -> str:
    """SQLite URI of an existing file; mode "rw" or "ro". Raises DatabaseMissing (LogLeft), DatabaseCut (LogLost)."""
    if not path.is_file():
        if log_left(path):
            raise LogLeft(path)
        raise DatabaseMissing(f"no database at {path}; check the folder, or enrol / init first")
    refuse_cut(path)
    return f"file:{quote(str(path.absolute()))}?mode={mode}"


def refuse_cut(path: Path) -> None:
    """Before each connection to a database of ours. Raises DatabaseCut, LogLost; of a file that is gone, opening tells."""
    if path.is_file() and (size := path.stat().st_size) < FILE_HEADER_BYTES:
        raise DatabaseCut(path, size)
    if lacking := lost_log(path):
        raise LogLost(path, lacking)


def log_left(path: Path) -> bool:
    """Whether a log lies beside it in which something may stand."""
    log = Path(f"{path}-wal")
    return log.is_file() and log.stat().st_size > 0


def open_durable(path: Path) -> sqlite3.Connection:
    """Read-write, autocommit: what changes more than a row says `transaction`, of megabytes at most. One thread
    at a time."""
    connection = _connected(database_uri(path, mode="rw"), BRIEF_PRAGMAS)
    mark_index(path)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE … COMMIT; anything that fails inside leaves nothing behind."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # on a full disk SQLite has rolled back by itself
            connection.execute("ROLLBACK")


def open_readonly(path: Path) -> sqlite3.Connection:
    """A reader that cannot change a row and does not create a file."""
    return _connected(database_uri(path, mode="ro"), READ_PRAGMAS)


def look_uri(path: Path) -> str:
    """For a short look beside whoever writes, or at a file that rests, by a `Look`. Raises DatabaseMissing, DatabaseCut.

    Without a WAL nobody writes, and a reader need not even leave an empty one behind.
    """
    uri = database_uri(path, mode="ro")
    return uri if os.path.exists(f"{path}-wal") else f"{uri}{RESTING}"  # noqa: PTH110 - asked by each short look


def open_look(path: Path) -> sqlite3.Connection:
    """As `open_readonly`, and leaves nothing beside a file that rests; close it soon. Reading raises FileChanged."""
    return _connected(look_uri(path), READ_PRAGMAS, Look)


def _connected(uri: str, pragmas: Sequence[str], kind: type[Connection] = Connection) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, factory=kind)
    for pragma in pragmas:
        connection.execute(pragma)
    return connection


def open_alone(path: Path) -> sqlite3.Connection:
    """What the file holds without the log that belongs to it (LogLost). Nobody may write it meanwhile."""
    return _connected(f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1", READ_PRAGMAS)


def create_database(path: Path, schema: str) -> None:
    """A new database with `schema` in it, whole or not at all. Raises FileExistsError, LogLeft."""
    if path.exists():
        raise FileExistsError(f"{path} exists already; nothing was changed")
    if log_left(path):
        raise LogLeft(path)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    connection = sqlite3.connect(temporary)
    try:
        connection.executescript(f"PRAGMA synchronous = FULL; BEGIN; {schema}\n; COMMIT;")
    finally:
        connection.close()
    temporary.chmod(0o600)
    for suffix in ("-shm", "-wal"):  # of a file that somebody took away; nothing stands in them
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    temporary.replace(path)
    sync_folder(path.parent)
