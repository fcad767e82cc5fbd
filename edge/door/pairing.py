"""Who may knock: one-time codes, and tokens bound to the origin of the pages they were made for."""

from __future__ import annotations

import asyncio
import fcntl
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import structlog

from security.clock import Clock
from security.durable_sqlite import LogLeft, LogLost, create_database, open_durable, transaction
from security.suites import sha256

CODE_LIFE_MS = 10 * 60 * 1000
CODE_DIGITS = 10
WRONG_CODES_MAX = 5
PAUSE_MS = 60 * 1000
NATIVE = ""  # a program that is no web page sends no Origin

log = structlog.get_logger()

_SCHEMA = """
CREATE TABLE codes (hash BLOB PRIMARY KEY, name TEXT NOT NULL, origin TEXT NOT NULL, expires_ms INTEGER NOT NULL) STRICT;
CREATE TABLE tokens (hash BLOB PRIMARY KEY, name TEXT NOT NULL, origin TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;
"""


class CodeRefused(Exception):
    """The code is wrong, used or too old."""


class PairingDamaged(Exception):
    """door.db could not be read and was set aside: every counter program has to be paired again."""


class TooManyCodes(Exception):
    """Somebody is guessing: wait."""


class Pairing:
    """Codes and tokens in door.db; only their hashes. Synchronous: call it in a thread, and close it at the end."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._wrong = 0
        self._paused_until_ms = 0
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Raises PairingDamaged, sqlite3.Error."""
        with self._lock:
            try:
                yield self._open()
            except sqlite3.DatabaseError as error:
                if not _damaged(error):
                    raise
                self._set_aside(error.lacking if isinstance(error, LogLost) else str(error))
                raise PairingDamaged from error

    def _open(self) -> sqlite3.Connection:
        # Kept open: every request asks, and the last to close a database has to fold its WAL.
        if self._connection is not None and _file(self._path) != self._opened:
            self._connection.close()  # somebody has put another file in its place
            self._connection = None
        if self._connection is None:
            with Path(f"{self._path}.lock").open("w") as lock:  # agent and `pair` may both find none
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not self._path.exists():
                    self._begin()
            self._connection = open_durable(self._path)
            self._opened = _file(self._path)
        return self._connection

    def _begin(self) -> None:
        try:
            create_database(self._path, _SCHEMA)
        except LogLeft as error:  # tokens are gone, and people should know why nobody has one
            self._set_aside(f"{self._path.name} is gone, and its log is not")
            raise PairingDamaged from error

    def _set_aside(self, reason: str) -> None:
        # In `reason` no word of putting a log back: SQLite would fold it into the new file.
        log.error("pairing database damaged", error=reason, kept=f"{self._path}.damaged",
                  next="pair the counter program again; a file that turns up is of the kept one, put nothing beside the new one")
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for suffix in ("", "-wal", "-shm"):  # SQLite would fold an old WAL into a new file of the same name
            with suppress(FileNotFoundError):
                Path(f"{self._path}{suffix}").replace(f"{self._path}.damaged{suffix}")

    def make_code(self, name: str, origin: str) -> str:
        code = "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))
        with self._database() as database:
            now = self._clock.unix_ms()
            database.execute("DELETE FROM codes WHERE expires_ms <= ?", (now,))
            database.execute("INSERT INTO codes VALUES (?, ?, ?, ?)", (_hash(code), name, origin, now + CODE_LIFE_MS))
        return code

    def redeem(self, code: str, origin: str) -> str:
        """A token for the program that shows an unused code from the right origin. Raises CodeRefused, TooManyCodes."""
        now = self._clock.boottime_ms()
        if now < self._paused_until_ms:
            raise TooManyCodes
        token = secrets.token_urlsafe(32)
        with self._database() as database, transaction(database):
            # One statement takes the code: two callers cannot both use it.
            row = database.execute("DELETE FROM codes WHERE hash = ? AND origin = ? AND expires_ms > ? RETURNING name",
                                   (_hash(code), origin, self._clock.unix_ms())).fetchone()
            if row is None:
                self._wrong += 1
                if self._wrong >= WRONG_CODES_MAX:
                    self._wrong, self._paused_until_ms = 0, now + PAUSE_MS
                raise CodeRefused
            self._wrong = 0
            database.execute("INSERT INTO tokens VALUES (?, ?, ?, ?)",
                             (_hash(token), row[0], origin, self._clock.unix_ms()))
        return token

    def take_back(self, name: str) -> int:
        """All tokens of that name, and its codes, open nothing any more: how many there were."""
        with self._database() as database, transaction(database):
            tokens = database.execute("DELETE FROM tokens WHERE name = ?", (name,)).rowcount
            return tokens + database.execute("DELETE FROM codes WHERE name = ?", (name,)).rowcount

    def names(self) -> list[str]:
        """Of all who have a token."""
        with self._database() as database:
            return [row[0] for row in database.execute("SELECT DISTINCT name FROM tokens ORDER BY name")]

    def forget(self, token: str) -> None:
        """It opens nothing any more."""
        with self._database() as database:
            database.execute("DELETE FROM tokens WHERE hash = ?", (_hash(token),))

    def origins(self) -> set[str]:
        """Every origin that has a token or is about to get one."""
        with self._database() as database:
            rows = database.execute("SELECT origin FROM tokens UNION SELECT origin FROM codes WHERE expires_ms > ?",
                                    (self._clock.unix_ms(),))
            return {row[0] for row in rows} - {NATIVE}

    def origin_of(self, token: str) -> str | None:
        """The origin that a token is bound to; None for an unknown token."""
        with self._database() as database:
            row = database.execute("SELECT origin FROM tokens WHERE hash = ?", (_hash(token),)).fetchone()
            return row[0] if row else None


def _file(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _damaged(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "no such table" in str(error)


def _hash(secret: str) -> bytes:
    # The database is looked up by hash, so its timing tells nothing about a secret of this many bits.
    return sha256(b"suozhan/door/v1\0" + secret.encode())


async def make_code(path: Path, name: str, origin: str, clock: Clock) -> str:
    """For `suozhan-edge pair`: a one-time code; `origin` is "" for a program that is no web page."""
    with closing(Pairing(path, clock)) as pairing:
        try:
            return await asyncio.to_thread(pairing.make_code, name, origin.rstrip("/"))
        except PairingDamaged:  # it was set aside
            return await asyncio.to_thread(pairing.make_code, name, origin.rstrip("/"))
