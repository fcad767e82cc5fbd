"""Who may knock: one-time codes, and tokens bound to the origin of the pages they were made for."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from security.clock import Clock
from security.durable_sqlite import create_database, open_durable
from security.suites import sha256

CODE_LIFE_MS = 10 * 60 * 1000
CODE_DIGITS = 10
WRONG_CODES_MAX = 5
PAUSE_MS = 60 * 1000
NATIVE = ""  # a program that is no web page sends no Origin

_SCHEMA = """
CREATE TABLE codes (hash BLOB PRIMARY KEY, name TEXT NOT NULL, origin TEXT NOT NULL, expires_ms INTEGER NOT NULL) STRICT;
CREATE TABLE tokens (hash BLOB PRIMARY KEY, name TEXT NOT NULL, origin TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;
"""


class CodeRefused(Exception):
    """The code is wrong, used or too old."""


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

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        # Kept open: every request asks, and the last to close a database has to fold its WAL.
        with self._lock:
            if self._connection is None:
                if not self._path.exists():
                    create_database(self._path, _SCHEMA)
                self._connection = open_durable(self._path)
            yield self._connection

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
        with self._database() as database:
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


def _hash(secret: str) -> bytes:
    # The database is looked up by hash, so its timing tells nothing about a secret of this many bits.
    return sha256(b"suozhan/door/v1\0" + secret.encode())


async def make_code(path: Path, name: str, origin: str, clock: Clock) -> str:
    """For `suozhan-edge pair`: a one-time code; `origin` is "" for a program that is no web page."""
    with closing(Pairing(path, clock)) as pairing:
        return await asyncio.to_thread(pairing.make_code, name, origin.rstrip("/"))
