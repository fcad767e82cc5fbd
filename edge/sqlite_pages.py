"""Every copy of every page of a database and its log, without SQLite, which refuses a whole file for one bad page.

Format: https://www.sqlite.org/fileformat2.html, sections 1.3 to 1.6.
"""

from __future__ import annotations

import os
import struct
import sys
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from edge.sqlite_log import PAGE_BYTES, read_log
from security.sqlite_locks import reading

LEAF_MAX_LOCAL = PAGE_BYTES - 35  # section 1.6: payload of a table's leaf cell that stays on the page
LEAF_MIN_LOCAL = (PAGE_BYTES - 12) * 32 // 255 - 23
OVERFLOW_BYTES = PAGE_BYTES - 4
OVERFLOW_MAX_PAGES = 32  # a signed envelope has at most 64 KiB and 8 KiB
FILE_HEADER_BYTES = 100
TABLE_LEAF = 0x0D
FIRST_BYTES = frozenset({0x00, 0x02, 0x05, 0x0A, TABLE_LEAF})  # 0 begins the number of the next overflow or free page
MAGIC = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Image:
    """One copy of page `number` at `offset` of file `source`; `current`: what SQLite reads.

    Source 0 is the database, 1 its log, others are older logs that were set aside.
    """

    number: int
    source: int
    offset: int
    current: bool


class PageFile:
    """`with PageFile(path, kept) as pages`: reads only; a page that the disk does not give counts as empty."""

    def __init__(self, path: Path, kept: Sequence[Path] = ()) -> None:
        self._paths = [path, Path(f"{path}-wal"), *kept]
        self.unreadable: list[Image] = []

    def __enter__(self) -> PageFile:
        """Raises OSError."""
        self.logs = [read_log(path) for path in self._paths[1:]]
        self.count = -(-self._size() // PAGE_BYTES)
        self._read_log_copies()
        database, *logs = [path if path.exists() else Path(os.devnull) for path in self._paths]
        with ExitStack() as stack:  # SQLite locks no log, and one that it drops gives its disk space back once it is closed
            opened = [stack.enter_context(log.open("rb")) for log in logs]
            self._files = [stack.enter_context(reading(database)), *(log.fileno() for log in opened)]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _size(self) -> int:
        """A database that is gone may have left its log."""
        gone = not self._paths[0].exists() and any(log.frames for log in self.logs)
        return 0 if gone else self._paths[0].stat().st_size

    def _read_log_copies(self) -> None:
        """By page, in the order of their writing; a copy holds from the end of its transaction on."""
        newest = {frame.page: frame for frame in self.logs[0].frames if frame.used}
        self._in_logs: dict[int, list[Image]] = defaultdict(list)
        self._ends = [[frame.offset for frame in log.frames if frame.commits] for log in self.logs]
        for source, log in enumerate(self.logs, 1):
            for frame in log.frames:
                if frame.page and not frame.uncommitted:
                    current = source == 1 and newest.get(frame.page) is frame
                    self._in_logs[frame.page].append(Image(frame.page, source, frame.offset, current))
        self._replaced = frozenset(newest)

    def _own(self, number: int) -> Image:
        return Image(number, 0, (number - 1) * PAGE_BYTES, number not in self._replaced)

    def images(self) -> Iterator[Image]:
        """All copies: the database's own, then those of the logs."""
        yield from map(self._own, range(1, self.count + 1))
        for copies in self._in_logs.values():
            yield from copies

    def dropped(self, source: int) -> Iterator[Image]:
        """Copies that SQLite does not read, though they may be committed; all of them in a log that was set aside."""
        offsets = {frame.offset for frame in self.logs[source - 1].dropped}
        for copies in self._in_logs.values():
            yield from (image for image in copies if image.source == source and image.offset in offsets)

    def read(self, image: Image) -> bytes:
        """4096 bytes; fewer at the end of a cut file; none when the disk refuses."""
        try:
            return os.pread(self._files[image.source], PAGE_BYTES, image.offset)
        except OSError:
            if image not in self.unreadable:
                self.unreadable.append(image)
            return b""

    def overflow(self, start: Image, page: int, length: int) -> list[bytes]:
        """What may follow in overflow pages from `page` on: as when `start` was written, and as SQLite reads it now."""
        return [rest for current in (False, True) if (rest := self._chain(start, page, length, current)) is not None]

    def _chain(self, start: Image, page: int, length: int, current: bool) -> bytes | None:
        parts: list[bytes] = []
        while length > 0:
            image = self._copy(start, page, current)
            data = self.read(image) if image and len(parts) < OVERFLOW_MAX_PAGES else b""
            if len(data) < PAGE_BYTES:
                return None
            parts.append(data[4:4 + min(length, OVERFLOW_BYTES)])
            length -= OVERFLOW_BYTES
            page = int.from_bytes(data[:4], "big")
        return b"".join(parts)

    def _copy(self, start: Image, page: int, current: bool) -> Image | None:
        in_log = self._in_logs.get(page, [])
        if current:
            in_log = [image for image in in_log if image.current]
        else:
            end = self._end_of_transaction(start)
            in_log = [image for image in in_log if image.source == start.source and image.offset <= end]
        if in_log:
            return in_log[-1]
        return self._own(page) if 1 <= page <= self.count else None

    def _end_of_transaction(self, start: Image) -> int:
        if start.source == 0:
            return 0
        ends = self._ends[start.source - 1]
        at = bisect_left(ends, start.offset)
        return ends[at] if at < len(ends) else sys.maxsize


def local_bytes(payload_bytes: int) -> int:
    """How much of a table cell's payload stays on its page (section 1.6)."""
    if payload_bytes <= LEAF_MAX_LOCAL:
        return payload_bytes
    local = LEAF_MIN_LOCAL + (payload_bytes - LEAF_MIN_LOCAL) % OVERFLOW_BYTES
    return local if local <= LEAF_MAX_LOCAL else LEAF_MIN_LOCAL


def cell_starts(page: bytes, number: int) -> tuple[int, ...]:
    """Where the cells of a table's leaf begin (section 1.6), in their order; none if this is no leaf."""
    header = FILE_HEADER_BYTES if number == 1 else 0
    if len(page) < PAGE_BYTES or page[header] != TABLE_LEAF:
        return ()
    count = min(int.from_bytes(page[header + 3:header + 5], "big"), (PAGE_BYTES - header - 8) // 2)
    return struct.unpack_from(f">{count}H", page, header + 8)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """SQLite's variable-length integer (section 1.6) and where it ends. Raises IndexError."""
    value = 0
    for index in range(8):
        value = value << 7 | data[at + index] & 0x7F
        if data[at + index] < 0x80:
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9
