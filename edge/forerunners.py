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

from edge.drafts import CorruptJournal, record_id
from edge.identity import load_identity
from edge.journal_check import JournalCheck
from edge.keys_check import known_identity
from edge.salvage import Lost, NothingToSalvage, salvage
from edge.state import IdentityFolder
from security.chain import next_digest
from security.durable_sqlite import DatabaseMissing, create_database, open_durable, open_readonly
from security.signer import Ed25519Signer

_SCHEMA = """
CREATE TABLE edges (edge BLOB PRIMARY KEY CHECK (length(edge) = 16)) STRICT;
CREATE TABLE known (id BLOB PRIMARY KEY CHECK (length(id) = 16), position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
"""
_ENDS = "SELECT (SELECT position FROM head), (SELECT position FROM standing)"
_HELD = "SELECT d.digest, e.payload FROM digests d LEFT JOIN envelopes e USING (position) WHERE position >= ? ORDER BY position"


class Forerunner:
    """The journal before: read by SQLite where that reads it, page by page where it does not. Raises OSError, sqlite3.Error."""

    def __init__(self, old: IdentityFolder) -> None:
        self._old = old
        self._damaged = is_damaged(old)

    def ends(self) -> tuple[int, int]:
        """Its last position, and what of it the hub had acknowledged; 0 for what cannot be read."""
        if not self._damaged:
            with closing(open_readonly(self._old.journal)) as db:
                position, held = db.execute(_ENDS).fetchone()
                return position, min(held, position)
        with suppress(NothingToSalvage, FileNotFoundError), salvage(self._old.journal, known_identity(self._old)) as salvaged:
            held = salvaged.standing.position if salvaged.standing else 0
            return salvaged.head.position, min(held, salvaged.head.position)
        return 0, 0

    def index(self, new: IdentityFolder) -> None:
        """Callers' ids, of this journal and of those before it, beside the new one."""
        create_database(new.known, _SCHEMA)
        edge = load_identity(self._old.identity).edge_id
        with closing(open_durable(new.known)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO edges VALUES (?)", (edge.bytes,))
            db.executemany("INSERT OR IGNORE INTO known VALUES (?, ?)", self._ids())
            if self._old.known.exists():
                with closing(open_readonly(self._old.known)) as before:
                    db.executemany("INSERT OR IGNORE INTO edges VALUES (?)", before.execute("SELECT edge FROM edges"))
                    db.executemany("INSERT OR IGNORE INTO known VALUES (?, ?)", before.execute("SELECT id, position FROM known"))
            db.execute("COMMIT")

    def _ids(self) -> Iterator[tuple[bytes, int]]:
        if not self._damaged:
            with closing(open_readonly(self._old.journal)) as db:
                yield from db.execute("SELECT id, position FROM digests")
            return
        with suppress(NothingToSalvage, FileNotFoundError), salvage(self._old.journal, known_identity(self._old)) as salvaged:
            for entry in salvaged.entries():
                if entry.id is not None and not (isinstance(entry, Lost) and entry.payload is None):
                    yield entry.id.bytes, entry.position


def is_damaged(old: IdentityFolder) -> bool:
    """Whether anything of a journal is not what was signed: its structure, or a record that is still here."""
    try:
        with JournalCheck(old.journal) as check:
            if any(True for _ in check.structure()):
                return True
            marks = check.marks()
        with closing(open_readonly(old.journal)) as db:
            return not _chain_holds(db, marks.first or marks.head.position + 1, marks.head.digest)
    except (CorruptJournal, sqlite3.DatabaseError, DatabaseMissing):
        return True


def _chain_holds(db: sqlite3.Connection, first: int, head: bytes) -> bool:
    """Of the records that are still here, each on the digest before it, up to the head."""
    row = db.execute("SELECT digest FROM digests WHERE position = ?", (first - 1,)).fetchone()
    digest: bytes | None = row[0] if row else None
    for stored, payload in db.execute(_HELD, (first,)):
        if digest is not None and (payload is None or next_digest(digest, payload) != stored):
            return False
        digest = stored
    return digest is None or digest == head


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
