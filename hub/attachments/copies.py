"""Attachments beside the database's backups: files that never change, so that each backup copies what is new.

`attachments.backup/ab/<hex>` serves all backups of its folder. What a backup holds together with the record that names it is
safe: on that word machines forget their own (invariant 3).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hub.attachments.files import BlobFiles
from hub.ledger.findings import Finding
from security.durable_sqlite import open_durable, open_look, transaction
from security.sqlite_connection import FileChanged

FOLDER = "attachments.backup"

_HAS_TABLES = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'attachment_names'"
_NAMED = """
SELECT n.address, n.number, n.record, n.edge, n.journal, n.position, a.address IS NOT NULL
FROM attachment_names n LEFT JOIN attachments a ON a.address = n.address ORDER BY n.cursor, n.number
"""
_MARK = "UPDATE attachments SET backed_up_ms = ? WHERE address = ? AND backed_up_ms IS NULL"
_UNMARK = "UPDATE attachments SET backed_up_ms = NULL WHERE address = ?"


def copies_beside(backup: Path) -> BlobFiles:
    """Of the backups in that file's folder."""
    return BlobFiles(backup.parent / FOLDER)


@dataclass(frozen=True, slots=True)
class Named:
    """What a record names, and whether it has arrived."""

    address: bytes
    where: str
    arrived: bool


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup holds by now, and what it could not take."""

    safe: list[bytes]
    damaged: list[Named]


@dataclass(frozen=True, slots=True)
class PutBack:
    """How many attachments a restore brought back; those that are damaged in the backup."""

    count: int
    damaged: list[str]


def copy_attachments(database: Path, backup: Path) -> Copied:
    """All that the backup's records name and the hub has. What is damaged at the hub is put aside, so that its machine
    sends it again if it still has it. Raises OSError, sqlite3.Error.
    """
    files, copies = BlobFiles.beside(database), copies_beside(backup)
    safe: dict[bytes, None] = {}
    damaged: list[Named] = []
    for one in _named(backup):
        if one.address in safe or not one.arrived:
            continue
        if copies.holds(one.address) or _copied(files, copies, one.address):
            safe[one.address] = None
        else:
            damaged.append(one)
            files.set_aside(one.address)
    return Copied(list(safe), damaged)


def mark_safe(database: Path, copied: Copied, now_ms: int) -> None:
    """Once the backup stands: machines may forget these."""
    if not copied.safe and not copied.damaged:
        return
    with closing(open_durable(database)) as db, transaction(db):
        db.executemany(_MARK, [(now_ms, one.hex()) for one in copied.safe])
        db.executemany(_UNMARK, [(one.address.hex(),) for one in copied.damaged])


def put_back(backup: Path, database: Path) -> PutBack:
    """What the backup's folder has and the hub does not. Raises OSError."""
    files, copies = BlobFiles.beside(database), copies_beside(backup)
    count, damaged = 0, list[str]()
    for address in copies.addresses():
        if files.holds(address):
            continue
        if _copied(copies, files, address):
            count += 1
        else:
            damaged.append(address.hex())
    return PutBack(count, damaged)


def attachment_findings(database: Path, files: BlobFiles) -> Iterator[Finding]:
    """Every attachment that a record names: there, and what was sealed; as far as the feed is projected."""
    judged: dict[bytes, str] = {}
    try:
        named = list(_named(database))
    except FileChanged:
        raise
    except sqlite3.DatabaseError as error:
        yield Finding("attachments", f"what records name cannot be read in the database ({error})")
        return
    for one in named:
        if not one.arrived and not files.holds(one.address):
            yield Finding(one.where, "it has not arrived yet; its machine sends it behind all records", damage=False)
            continue
        if one.address not in judged:
            judged[one.address] = _flaw(files, one.address)
        if judged[one.address]:
            yield Finding(one.where, judged[one.address])


def _flaw(files: BlobFiles, address: bytes) -> str:
    if not files.holds(address):
        return f"its file {files.path(address)} is gone"
    try:
        return "" if files.intact(address) else f"its file {files.path(address)} is not what was sealed"
    except OSError as error:
        return f"its file cannot be read ({error})"


def _named(database: Path) -> Iterator[Named]:
    with closing(open_look(database)) as db:
        if db.execute(_HAS_TABLES).fetchone() is None:
            return  # of a program that knew none
        rows = db.execute(_NAMED).fetchall()
    for address, number, record, edge, journal, position, arrived in rows:
        where = f"attachment {number} of record {record} (machine {edge}, journal {journal}, position {position})"
        yield Named(bytes.fromhex(address), where, bool(arrived))


def _copied(source: BlobFiles, target: BlobFiles, address: bytes) -> bool:
    """Whole, durable and as sealed, or not at all: False when the source is not. Raises OSError for the target's disk."""
    try:
        sealed = source.path(address).read_bytes()
    except OSError:
        return False
    if hashlib.sha256(sealed).digest() != address:
        return False
    target.write(address, sealed)
    return True
