"""A journal that has ended: read by SQLite where that reads it, page by page where it does not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType
from uuid import UUID

from edge.drafts import CorruptJournal
from edge.dropped_log import KEPT_LOG
from edge.journal_check import JournalCheck
from edge.keys_check import known_identity
from edge.salvage import Lost, NothingToSalvage, salvage
from edge.sqlite_log import read_log
from edge.state import IdentityFolder, JournalFiles
from security.chain import next_digest
from security.durable_sqlite import DatabaseMissing, open_readonly
from security.signer import Ed25519Signer

_ENDS = "SELECT (SELECT position FROM head), (SELECT position FROM standing)"
_HELD = "SELECT d.digest, e.payload FROM digests d LEFT JOIN envelopes e USING (position) WHERE position >= ? ORDER BY position"
_FIND = """SELECT d.position, d.digest, before.digest, e.payload, (SELECT min(position) FROM envelopes) FROM digests d
    LEFT JOIN digests before ON before.position = d.position - 1
    LEFT JOIN envelopes e ON e.position = d.position WHERE d.id = ?"""


def ends(old: JournalFiles) -> tuple[int, int]:
    """Its last position, and what of it the hub had acknowledged; 0 for what cannot be read. At once, whatever is damaged."""
    try:
        with closing(open_readonly(old.db)) as db:
            match db.execute(_ENDS).fetchone():
                case (int(position), int(held)) if held >= 0:
                    return position, min(held, position)
    except (sqlite3.Error, DatabaseMissing):
        pass
    return 0, 0


def callers_ids(old: JournalFiles) -> Iterator[tuple[bytes, int]]:
    """Id and position of each record that is not lost, or that the hub has. Takes minutes where a large journal is damaged.

    Raises OSError, sqlite3.Error.
    """
    if not is_damaged(old):
        with closing(open_readonly(old.db)) as db:
            yield from db.execute("SELECT id, position FROM digests")
        return
    with suppress(NothingToSalvage, FileNotFoundError), salvage(old.db, known_identity(old)) as salvaged:
        held = salvaged.standing.position if salvaged.standing else 0
        for entry in salvaged.entries():
            lost = isinstance(entry, Lost) and entry.payload is None and entry.position > held
            if entry.id is not None and not lost:
                yield entry.id.bytes, entry.position


def is_damaged(old: JournalFiles) -> bool:
    """Whether anything of a journal is not what was signed: its structure, or a record that is still here."""
    try:
        with JournalCheck(old.db) as check:
            if any(True for _ in check.structure()):
                return True
            marks = check.marks()
        with closing(open_readonly(old.db)) as db:
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


class Unclear(Exception):
    """The file does not say it as it lies there; salvage will."""


class Forerunner:
    """One journal before this one, asked for a single id: `with Forerunner(old) as it`. One thread at a time."""

    def __init__(self, old: JournalFiles) -> None:
        self._path = old.db

    def __enter__(self) -> Forerunner:
        self._db: sqlite3.Connection | None = None
        with suppress(sqlite3.Error, OSError):
            if not self._hides_records():
                self._db = open_readonly(self._path)
                # Else an id that is not found may be one that a damaged index leads past.
                if self._db.execute("PRAGMA integrity_check(digests)").fetchall() != [("ok",)]:
                    self._close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _hides_records(self) -> bool:
        """A damaged log: what stands behind the damage is not read by SQLite."""
        log = Path(f"{self._path}-wal")
        return Path(f"{self._path}{KEPT_LOG}").exists() or (log.exists() and read_log(log).first_bad is not None)

    def find(self, record: UUID) -> int | None:
        """Its position there; None where it never was. Raises Unclear."""
        if self._db is None:
            raise Unclear
        try:
            row = self._db.execute(_FIND, (record.bytes,)).fetchone()
        except sqlite3.Error as error:
            raise Unclear from error
        match row:
            case None:
                return None
            case (int(position), bytes(digest), bytes(before), bytes(payload), _) if next_digest(before, payload) == digest:
                return position
            case (int(position), _, _, None, first) if first is None or position < first:
                return position  # pruned: a backup of the hub has it
        raise Unclear


def old_signer(old: IdentityFolder) -> Ed25519Signer | None:
    """The record key of an earlier identity, if it is still here and whole."""
    try:
        return Ed25519Signer.load(old.record_key)
    except (OSError, ValueError, sqlite3.Error):
        return None
