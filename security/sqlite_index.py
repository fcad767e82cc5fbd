"""What the index beside a log (-shm) says was committed: SQLite forgets, without a word, what stood in a log that is gone.

Format: https://www.sqlite.org/walformat.html, section 2.1. The index is never synced: after a power cut it may be older than log
and database. So it counts only in the boot in which a connection of ours has used it, and neither as a copy nor beside another
database: a mark on the index names the boot and both files. Then it is exact: SQLite takes all frames back before it cuts a
log, and removes the index first. What the mark does not tell: another database that was written into this very file, and, on a
file system that gives no handles (security/incarnation.py), copies that got the same two inodes.
"""

from __future__ import annotations

import os
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from security.incarnation import incarnation
from security.sqlite_locks import reading

LOG_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
DATABASES = 64  # whose paths are kept: a hub connects all day, and a new path grows the interpreter's table of names

_MARK = "user.suozhan.index"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_VERSION = 3_007_000
_HEADER = struct.Struct("=III BBH II 8s 8s 8s")  # version, -, changes, made, order, page size, frames, pages, sum, salts, own sum
_SUMMED_BYTES = 40
_BACKFILLED = slice(2 * _HEADER.size, 2 * _HEADER.size + 4)
_SALTS = slice(16, 24)  # of the log's header


@dataclass(frozen=True, slots=True)
class Index:
    """`frames` were committed to the log that has these salts; of them `backfilled` stand in the database, too."""

    frames: int
    backfilled: int
    page_bytes: int
    salts: bytes

    @property
    def log_bytes(self) -> int:
        return LOG_HEADER_BYTES + self.frames * (FRAME_HEADER_BYTES + self.page_bytes)


def mark_index(path: Path) -> None:
    """Of a database that a connection of ours has open. Where files take no mark, a log that goes is not noticed."""
    index = _index_of(path)
    with suppress(OSError):
        mark = _mark(path, index)
        if _marked(index) != mark:
            os.setxattr(index, _MARK, mark)


def lost_log(path: Path) -> str:
    """What of the log beside this database is gone, though it was committed; "" where that is not certain. To be asked before
    SQLite opens it, which makes the index anew; also beside whoever writes.
    """
    try:
        before = _certain(path)
        said = _lacking(_log_of(path), before) if before else ""
        return said if said and _certain(path) == before else ""  # else somebody has just begun the log anew, or ended it
    except OSError:
        return ""


def read_index(data: bytes) -> Index | None:
    """Of the first bytes of an index; None where it is not whole."""
    if len(data) < _BACKFILLED.stop or data[:_HEADER.size] != data[_HEADER.size:2 * _HEADER.size]:
        return None
    version, _, _, made, _, page, frames, _, _, salts, own_sum = _HEADER.unpack_from(data)
    if version != _VERSION or made != 1 or own_sum != _sum(data[:_SUMMED_BYTES]):
        return None
    backfilled = int.from_bytes(data[_BACKFILLED], sys.byteorder)
    return Index(frames, backfilled, 65_536 if page == 1 else page, salts)


def _certain(path: Path) -> Index | None:
    """The index, if what it says must stand in the log."""
    index = _index_of(path)
    if not index.exists() or _marked(index) != _mark(path, index):
        return None
    with reading(index) as descriptor:
        found = read_index(os.pread(descriptor, _BACKFILLED.stop, 0))
    return found if found and found.backfilled < found.frames else None


def _lacking(log: Path, index: Index) -> str:
    pages = index.frames - index.backfilled
    lost = f"{pages} page{'' if pages == 1 else 's'}"
    try:
        with log.open("rb") as file:
            size, header = os.fstat(file.fileno()).st_size, file.read(LOG_HEADER_BYTES)
    except FileNotFoundError:
        return f"{log.name} is gone, with {lost} committed to it; put it back from where it went"
    if size >= index.log_bytes or (len(header) == LOG_HEADER_BYTES and header[_SALTS] != index.salts):
        return ""
    return f"{log.name} was cut to {size} of {index.log_bytes} bytes that were committed; put it back from a copy"


@lru_cache(DATABASES)
def _index_of(path: Path) -> Path:
    return Path(f"{path}-shm")


@lru_cache(DATABASES)
def _log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


@cache
def _boot() -> str:
    """Raises OSError."""
    return _BOOT.read_text().strip()


def _mark(path: Path, index: Path) -> bytes:
    """Raises OSError."""
    return f"{_boot()} {incarnation(index)} {incarnation(path)}".encode()


def _marked(index: Path) -> bytes:
    try:
        return os.getxattr(index, _MARK)
    except OSError:
        return b""


def _sum(data: bytes) -> bytes:
    """As of a log (section 4.2 of the file format), in the machine's own byte order."""
    first = second = 0
    for one, two in struct.iter_unpack("=II", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return struct.pack("=II", first, second)
