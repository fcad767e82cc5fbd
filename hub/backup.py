"""`suozhan-hub backup FILE`: a checked copy of the database; only then may edges prune what it holds."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from hub.ledger.store import Ledger
from security.durable_sqlite import open_readonly
from security.private_files import sync_folder

STEP_PAGES = 2_000


class BackupFailed(RuntimeError):
    """The copy is not one; no mark was moved."""


def back_up(database: Path, target: Path) -> int:
    """Copy while the hub works, check the copy, then move the marks. Returns the ledger's size in the copy."""
    if target.exists():
        raise BackupFailed(f"{target} exists already; name a new file, old backups are never overwritten")
    temporary = target.with_name(f".{target.name}.new")
    temporary.unlink(missing_ok=True)
    source = open_readonly(database)
    copy = sqlite3.connect(temporary)
    try:
        source.backup(copy, pages=STEP_PAGES)
        copy.execute("PRAGMA journal_mode = DELETE")
        if copy.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise BackupFailed(f"{temporary} does not read back; check that disk")
    finally:
        copy.close()
        source.close()
    _make_durable(temporary)
    temporary.chmod(0o600)
    temporary.replace(target)
    sync_folder(target.parent)
    with Ledger(target) as held:
        marks = {head.journal: head.position for head in held.journals()}
        size = held.size()
    with Ledger(database) as ledger:
        ledger.mark_backed_up(marks)
    return size


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
