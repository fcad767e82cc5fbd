"""SQLite's write-ahead log, frame by frame, without SQLite, which ends it at the first bad frame and forgets what follows.

Format: https://www.sqlite.org/fileformat2.html, section 4; the index: https://www.sqlite.org/walformat.html, section 2.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

PAGE_BYTES = 4096  # of every database of ours
HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_BYTES

_HEADER = struct.Struct(">IIII8sII")  # magic, version, page size, checkpoint, salts, checksum
_FRAME = struct.Struct(">II8sII")  # page, size of the database after a commit (else 0), salts, checksum
_MAGIC = 0x377F0682  # its last bit says in which order checksums read their words
_NO_SUM = (0, 0)
EARLIER_MAX = 2**24  # logs in one file


@dataclass(frozen=True, slots=True)
class Frame:
    """One page as one transaction wrote it. `follows`: its checksum holds on the one before it in the file.

    `used`: SQLite itself would read it; `uncommitted`: nothing is wrong, but its transaction never ended.
    """

    offset: int
    page: int
    commits: bool
    same_log: bool
    earlier_log: bool
    follows: bool
    used: bool = False
    uncommitted: bool = False


@dataclass(frozen=True, slots=True)
class Log:
    """All frames in the file, in order, also those that SQLite does not read."""

    frames: Sequence[Frame]
    header_holds: bool

    @property
    def dropped(self) -> Sequence[Frame]:
        """Frames of this log (not of an earlier one in the same file) that SQLite does not read, and that may be committed."""
        return [frame for frame in self.frames if frame.same_log and not frame.used and not frame.uncommitted]

    @property
    def first_bad(self) -> int | None:
        """Number of the first frame (from 1; 0: the header) that hides a committed one behind it from SQLite."""
        if not any(frame.commits and frame.follows for frame in self.dropped):
            return None
        if not self.header_holds:
            return 0
        return next(number for number, frame in enumerate(self.frames, 1) if not (frame.follows and frame.same_log))


def read_log(path: Path) -> Log:
    """Empty when there is no log. Raises OSError."""
    if not path.exists() or path.stat().st_size < HEADER_BYTES:
        return Log([], header_holds=True)
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
        order = ">" if header[3] & 1 else "<"  # the last bit of the magic number
        holds = header_holds(header)
        frames = _frames(file, header, order, holds=holds)
        if not holds and not any(frame.follows for frame in frames):  # it may be this very bit that is damaged
            file.seek(HEADER_BYTES)
            frames = _frames(file, header, "<" if order == ">" else ">", holds=holds)
    return Log(_judged(frames, holds), holds)


def _frames(file: BinaryIO, header: bytes, order: str, *, holds: bool) -> list[Frame]:
    """What stands behind the header, with checksums in that byte order."""
    *_, salts, first, second = _HEADER.unpack(header)
    before: tuple[int, int] = (first, second)
    frames: list[Frame] = []
    while len(data := file.read(FRAME_BYTES)) == FRAME_BYTES:
        page, size, frame_salts, *given = _FRAME.unpack_from(data)
        if not frames and not holds:
            salts = frame_salts  # the header lies
        found = _sum(order, _sum(order, before, data[:8]), data[FRAME_HEADER_BYTES:])
        before = (given[0], given[1])
        offset = file.tell() - PAGE_BYTES
        frames.append(Frame(offset, page, size > 0, frame_salts == salts, is_earlier(frame_salts, salts), found == before))
    return frames


def header_holds(header: bytes) -> bool:
    """Whether SQLite reads a log that begins like this at all."""
    magic, *_, first, second = _HEADER.unpack(header)
    return magic | 1 == _MAGIC | 1 and _sum(">" if magic & 1 else "<", _NO_SUM, header[:24]) == (first, second)


def _judged(frames: list[Frame], header_holds: bool) -> list[Frame]:
    """SQLite reads up to the last commit before the first frame that does not follow."""
    end = next((at for at, frame in enumerate(frames) if not (frame.follows and frame.same_log and frame.page)), len(frames))
    end = end if header_holds else 0
    committed = max((at + 1 for at in range(end) if frames[at].commits), default=0)
    # Where the log simply ends, what follows its last commit is a transaction that a crash cut off.
    cut_off = all(frame.earlier_log for frame in frames[end:])
    return [replace(frame, used=at < committed, uncommitted=cut_off and committed <= at < end) for at, frame in enumerate(frames)]


def is_earlier(salts: bytes, now: bytes) -> bool:
    """Each time that a log begins again at the start of its file, its first salt grows by one (section 4.4)."""
    return 0 < (int.from_bytes(now[:4], "big") - int.from_bytes(salts[:4], "big")) & 0xFFFFFFFF < EARLIER_MAX


def _sum(order: str, seed: tuple[int, int], data: bytes) -> tuple[int, int]:
    """Section 4.2 of the file format."""
    first, second = seed
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second
