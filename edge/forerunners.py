"""What counters said before this journal began: the same caller's id must not become a second record (invariant 2).

An index beside the journal, made when its identity is begun; ids of records that were lost with a damaged disk are not in it, so
that saying them again brings them back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from uuid import UUID

from edge.drafts import record_id
from edge.identity import load_identity
from edge.keys_check import known_identity
from edge.salvage import Lost, NothingToSalvage, salvage
from edge.state import IdentityFolder
from security.durable_sqlite import create_database, open_durable, open_readonly
from security.signer import Ed25519Signer

_SCHEMA = """
CREATE TABLE edges (edge BLOB PRIMARY KEY CHECK (length(edge) = 16)) STRICT;
CREATE TABLE known (id BLOB PRIMARY KEY CHECK (length(id) = 16), position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
_GROUP = 5_000


def index_known(old: IdentityFolder, new: IdentityFolder) -> None:
    """Of the old journal, as far as it can be read, and of those before it. Raises OSError, sqlite3.Error."""
    create_database(new.known, _SCHEMA)
    edge = load_identity(old.identity).edge_id
    with closing(open_durable(new.known)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO edges VALUES (?)", (edge.bytes,))
        db.executemany("INSERT OR IGNORE INTO known VALUES (?, ?)", _ids(old))
        if old.known.exists():
            with closing(open_readonly(old.known)) as before:
                db.executemany("INSERT OR IGNORE INTO edges VALUES (?)", before.execute("SELECT edge FROM edges"))
                db.executemany("INSERT OR IGNORE INTO known VALUES (?, ?)", before.execute("SELECT id, position FROM known"))
        db.execute("COMMIT")


def _ids(old: IdentityFolder) -> Iterator[tuple[bytes, int]]:
    with suppress(NothingToSalvage), salvage(old.journal, known_identity(old)) as salvaged:
        for entry in salvaged.entries():
            if entry.id is not None and not (isinstance(entry, Lost) and entry.payload is None):
                yield entry.id.bytes, entry.position


class Forerunners:
    """`find` is quick; call it in the thread that made it, or in one at a time."""

    def __init__(self, index: Path) -> None:
        self._db = open_readonly(index)
        self._edges = [UUID(bytes=row[0]) for row in self._db.execute("SELECT edge FROM edges")]

    def find(self, caller_id: str) -> tuple[UUID, int] | None:
        """Id and position that a caller's id got in an earlier journal. Raises sqlite3.Error."""
        for edge in self._edges:
            name = record_id(edge, caller_id)
            row = self._db.execute("SELECT position FROM known WHERE id = ?", (name.bytes,)).fetchone()
            if row is not None:
                return name, row[0]
        return None

    def close(self) -> None:
        self._db.close()


def open_forerunners(folder: IdentityFolder) -> Forerunners | None:
    """None for a machine's first identity. Raises sqlite3.Error."""
    return Forerunners(folder.known) if folder.known.exists() else None


def old_signer(old: IdentityFolder) -> Ed25519Signer | None:
    """The record key of an earlier identity, if it is still here and whole."""
    try:
        return Ed25519Signer.load(old.record_key)
    except (OSError, ValueError, sqlite3.Error):
        return None
