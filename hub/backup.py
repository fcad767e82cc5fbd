"""`suozhan-hub backup FILE`: a checked copy of the database, and attachments; only then may edges prune what it holds."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from hub.attachments.copies import copy_attachments, mark_safe
from hub.ledger.journal_check import sound_to
from hub.ledger.store import Ledger
from security.clock import SystemClock
from security.durable_sqlite import open_look
from security.private_files import sync_folder

LISTED_MAX = 5


class BackupFailed(RuntimeError):
    """The copy is not one, or not a whole one; no mark stands behind what it holds."""


def back_up(database: Path, target: Path) -> int:
    """Copy while the hub works, check the copy, then move the marks. Returns the ledger's size in the copy."""
    if target.exists():
        raise BackupFailed(f"{target} exists already; name a new file, old backups are never overwritten")
    if target.name.startswith(database.name) and target.parent.resolve() == database.parent.resolve():
        raise BackupFailed(f"{target} would be taken for a part of the hub's own database; name a file on another disk")
    if not target.parent.is_dir():
        raise BackupFailed(f"there is no folder {target.parent}; make it, or mount its disk, and try again")
    temporary = target.with_name(f".{target.name}.new")
    try:
        with Ledger(database):  # so that there is a WAL: a hub that starts meanwhile must not write into what is copied
            copy_database(database, temporary)
        with Ledger(temporary) as held:
            heads, size = held.journals(), held.size()
            # What is new in the copy is verified as an auditor would: on this word edges drop their own.
            marks = {head.journal: sound_to(held, head) for head in heads}
        finish_copy(temporary)
        temporary.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise BackupFailed(f"the copy could not be made ({error}); no edge prunes anything; check both disks") from error
    finally:
        remove_copy(temporary)  # also of one that was stopped by hand
    sync_folder(target.parent)
    lacking = _back_up_attachments(database, target)  # before the marks: on their word machines ask what of theirs is safe
    with Ledger(database) as ledger:
        ledger.mark_backed_up(marks)
    damaged = [f"journal {head.journal} behind position {marks[head.journal]}" for head in heads
               if marks[head.journal] < head.position]
    if damaged:
        raise BackupFailed(f"{target} holds damaged entries: {', '.join(damaged)}; edges keep theirs from there on. "
                           f"Run: suozhan-hub verify{lacking and f'. And {lacking}'}")
    if lacking:
        raise BackupFailed(f"{target} is whole, but {lacking}")
    return size


def _back_up_attachments(database: Path, target: Path) -> str:
    """What is not safe now, and what to do; "" when all is."""
    try:
        copied = copy_attachments(database, target)
        mark_safe(database, copied, SystemClock().unix_ms())
    except (sqlite3.Error, OSError) as error:
        return f"attachments could not be copied ({error}); machines keep theirs; check both disks, and make another backup"
    if not copied.damaged:
        return ""
    named = ", ".join(one.where for one in copied.damaged[:LISTED_MAX])
    return (f"{len(copied.damaged)} attachments are gone or damaged at the hub: {named}"
            f"{', …' if len(copied.damaged) > LISTED_MAX else ''}. Their machines send them again if they still have them; look "
            "after the hub's disk")


def copy_database(database: Path, temporary: Path) -> None:
    """All that is committed there, also what still lies in its WAL. Raises sqlite3.Error, OSError."""
    remove_copy(temporary)
    temporary.touch(mode=0o600)
    with closing(open_look(database)) as source, closing(sqlite3.connect(temporary)) as copy:
        source.backup(copy)  # in one step: a copy in several begins again whenever the hub commits between them


def remove_copy(temporary: Path) -> None:
    """With the WAL that somebody left who was killed while looking at it."""
    for ending in ("-shm", "-wal", ""):
        Path(f"{temporary}{ending}").unlink(missing_ok=True)


def finish_copy(temporary: Path) -> None:
    """One durable file without a WAL that reads back. Raises sqlite3.Error, OSError."""
    with closing(sqlite3.connect(temporary)) as copy:
        copy.execute("PRAGMA journal_mode = DELETE")
        said = copy.execute("PRAGMA quick_check").fetchone()[0]
        if said != "ok":
            raise sqlite3.DatabaseError(f"it does not read back: {said}; run: suozhan-hub verify")
    _make_durable(temporary)


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
