"""Every record of the hub's own journal a second time, outside of the database and of its backups.

So what the hub decided outlives a database that is put back, and no position of its journal is signed twice
(docs/decisions/0016-what-a-restore-must-not-forget.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from hub.ledger.runs import Damaged
from security.durable_sqlite import LogLost, create_database, open_durable, transaction
from security.private_files import sync_folder
from security.run import Run

NAME = "decisions.db"

SCHEMA = """
CREATE TABLE decisions (
    position  INTEGER PRIMARY KEY,
    digest    BLOB NOT NULL CHECK (length(digest) = 32),
    payload   BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;

CREATE TRIGGER decisions_follow BEFORE INSERT ON decisions
WHEN NEW.position <> (SELECT coalesce(max(position), 0) + 1 FROM decisions) BEGIN
    SELECT RAISE(ABORT, 'the decision does not follow the last one');
END;

CREATE TRIGGER decisions_never_change BEFORE UPDATE ON decisions BEGIN
    SELECT RAISE(ABORT, 'decisions never change');
END;

CREATE TRIGGER decisions_never_go BEFORE DELETE ON decisions BEGIN
    SELECT RAISE(ABORT, 'decisions are never deleted');
END;
"""
# Lies in the new file itself: whoever dies before it is told cannot lose it.
_BEGUN_ANEW = "PRAGMA user_version = 1;"
_TOLD = "PRAGMA user_version = 0"
# Also what has not our tables and triggers any more, or ones that take nothing.
_LOST = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT}


class DecisionsLost(Damaged):
    """The file is damaged, or of another history than the database; the text says which."""


class DecisionLog:
    """`with DecisionLog(path) as log`, within a transaction on the ledger: nobody else writes it then. Begun anew where it is
    missing, but never beside a log that it has left.

    Raises DecisionsLost, LogLeft, sqlite3.Error.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> DecisionLog:
        if not self.path.exists():
            create_database(self.path, SCHEMA + _BEGUN_ANEW)
        with self._damage_told():
            self._db = open_durable(self.path)
            self._db.text_factory = bytes  # one flipped bit makes text of a blob: it is the same bytes all the same
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._db.close()

    def end(self) -> int:
        """The last position; 0 when there is none."""
        with self._damage_told():
            return int(self._db.execute("SELECT coalesce(max(position), 0) FROM decisions").fetchone()[0])

    def begun_anew(self) -> bool:
        """Whether an earlier one was lost, and people were not told yet."""
        with self._damage_told():
            return bool(self._db.execute("PRAGMA user_version").fetchone()[0])

    def told(self) -> None:
        """People know; durable on return."""
        with self._damage_told():
            self._db.execute(_TOLD)

    def digest_at(self, position: int) -> bytes:
        """Of a position from 1 to the end."""
        with self._damage_told():
            rows = self._db.execute("SELECT digest FROM decisions WHERE position = ?", (position,)).fetchall()
            return b"".join(self._blob(digest) for (digest,) in rows)

    def after(self, position: int, previous: bytes, limit: int) -> Run:
        """What comes behind a position, at which the digest is `previous`; nothing of it is checked."""
        with self._damage_told():
            rows = self._db.execute("SELECT payload, signature FROM decisions WHERE position > ? ORDER BY position LIMIT ?",
                                    (position, limit)).fetchall()
            return Run(position + 1, previous, [self._blob(payload) for payload, _ in rows],
                       [self._blob(signature) for _, signature in rows])

    def append(self, run: Run, digests: Sequence[bytes]) -> None:
        """Behind the end; durable on return."""
        with self._damage_told(), transaction(self._db):
            self._db.executemany("INSERT INTO decisions VALUES (?, ?, ?, ?)", zip(
                range(run.first, run.last + 1), digests, run.payloads, run.signatures, strict=True))

    @contextmanager
    def _damage_told(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:  # Python's, of SQLite's message that quotes a damaged schema
            raise DecisionsLost(f"{self.path} is damaged (its schema cannot be read)") from error
        except LogLost as error:  # it is put aside, and a log that is put back would be folded into the new one
            raise DecisionsLost(f"{self.path} is not whole ({error.lacking})") from error
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOST:
                raise DecisionsLost(f"{self.path} is damaged ({error})") from error
            raise

    def _blob(self, value: object) -> bytes:
        if not isinstance(value, bytes):
            raise DecisionsLost(f"{self.path} is damaged (a column is of another type)")
        return value


def create(path: Path) -> None:
    """The first one of a hub; a repeat changes nothing."""
    if not path.exists():
        create_database(path, SCHEMA)


def put_aside(path: Path, now_ms: int) -> Path:
    """Where it lies then, for whoever can still read it."""
    aside = path.with_name(f"{path.stem}-{now_ms}{path.suffix}")
    for ending in ("-shm", "-wal", ""):
        file = Path(f"{path}{ending}")
        if file.exists():
            file.rename(Path(f"{aside}{ending}"))
    sync_folder(path.parent)
    return aside
