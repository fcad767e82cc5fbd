"""What SQLite drops of a damaged log. It ends a log at the first bad frame, without a word: the journal would go back to an
older head, and what was acknowledged behind it would be written over.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from edge.sqlite_log import FRAME_BYTES, FRAME_HEADER_BYTES, HEADER_BYTES, header_holds, is_earlier, read_log
from security.private_files import sync_folder
from security.sqlite_locks import reading

KEPT_LOG = "-wal.damaged"
_INDEX_HEADER_BYTES = 48
_LAST_FRAME = slice(16, 20)  # https://www.sqlite.org/walformat.html, section 2.1.2: mxFrame, in the machine's byte order
_SALTS = slice(16, 24)


def keep_dropped_log(path: Path) -> Path | None:
    """To be called before the first write. Sets a copy of the log aside when frames are dropped that may be committed.

    The copy of an earlier call stays until `settle`. Raises OSError.
    """
    log, kept = Path(f"{path}-wal"), Path(f"{path}{KEPT_LOG}")
    if not kept.exists() and may_be_dropped(path) and read_log(log).dropped:
        keep_log(path)
    return kept if kept.exists() else None


def keep_log(path: Path) -> None:
    """A copy, whatever SQLite thinks of it: the log goes when the last connection closes. Raises OSError."""
    log, kept = Path(f"{path}-wal"), Path(f"{path}{KEPT_LOG}")
    if kept.exists() or not log.exists() or not log.stat().st_size:
        return
    temporary = kept.with_name(f".{kept.name}.new")
    shutil.copy(log, temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(kept)
    sync_folder(kept.parent)


def settle(path: Path, *, keep: bool) -> None:
    """All that the copy held stands in the journal. `keep` it under another name, as evidence. Raises OSError."""
    kept = Path(f"{path}{KEPT_LOG}")
    if keep:
        kept.replace(f"{kept}.settled")
    else:
        kept.unlink()
    sync_folder(kept.parent)


def may_be_dropped(path: Path) -> bool:
    """Cheap: whether frames of this log lie behind the last one that SQLite has found good."""
    log, index = Path(f"{path}-wal"), Path(f"{path}-shm")
    if not log.exists() or log.stat().st_size <= HEADER_BYTES or not index.is_file():
        return False
    with reading(index) as descriptor:
        good = int.from_bytes(os.pread(descriptor, _INDEX_HEADER_BYTES, 0)[_LAST_FRAME], sys.byteorder)
    with log.open("rb") as file:
        header = file.read(HEADER_BYTES)
        if not header_holds(header):
            return True
        salts = header[_SALTS]
        for at in range(HEADER_BYTES + good * FRAME_BYTES, log.stat().st_size, FRAME_BYTES):
            file.seek(at)
            frame = file.read(FRAME_HEADER_BYTES)
            if len(frame) == FRAME_HEADER_BYTES and not is_earlier(frame[8:16], salts):
                return True
    return False
