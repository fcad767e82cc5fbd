"""A small journal with every kind of page in it, whole and known, to be damaged on purpose."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.drafts import Draft
from edge.journal_rows import digest_rows, envelope_cells
from edge.journal_store import Head, JournalIdentity, JournalStore, Standing
from edge.sqlite_log import FRAME_BYTES, HEADER_BYTES, PAGE_BYTES
from security.run import Run
from tests.spine import CEILING_S, Spine, draft, prove

RECORDS = 250
LONG = RECORDS + 2  # position of a record that goes on in overflow pages; 1 is the data key
LONG_BODY_BYTES = 20_000
PRUNED = 100
STANDING = Standing(PRUNED + 50, PRUNED + 1, 0)  # the record at the mark stays
SIDES = ("", "-wal", "-shm")


@dataclass(frozen=True)
class Piece:
    """A page of the database or a frame of its log: what a disk damages at once."""

    file: Path
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.file.parent.name}/{self.file.name} at {self.offset}"


class SmallJournal:
    """`clean` was closed and lies in the database alone, `hot` was killed and lies in database and log."""

    def __init__(self, folder: Path) -> None:
        self.spine = Spine(folder)
        self.clean = folder / "clean" / "business.db"
        self.hot = folder / "hot" / "business.db"
        asyncio.run(self._write())
        self.known = JournalIdentity("business", self.spine.genesis)

    async def _write(self) -> None:
        spine = self.spine
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            await asyncio.gather(*[journal.submit(draft(f"a{number}", b"x" * 200)) for number in range(RECORDS)])
            await journal.submit(Draft("long", "transaction", _noise(LONG_BODY_BYTES)))
            prove(spine.journal_db, PRUNED + 1)
            await journal.proved(PRUNED + 1)
            await journal.take_standing(STANDING)
            for number in range(20):
                await journal.submit(draft(f"b{number}", b"x" * 200))
            copy_journal(spine.journal_db, self.hot)
        copy_journal(spine.journal_db, self.clean)
        async with JournalStore(self.clean, quota_bytes=1, readonly=True) as store:
            self.head: Head = await store.head()
            self.held: Run = await store.after(PRUNED, 10_000, 10**9)

    def pieces(self, database: Path) -> list[Piece]:
        pages = [Piece(database, at, PAGE_BYTES) for at in range(0, database.stat().st_size, PAGE_BYTES)]
        log = Path(f"{database}-wal")
        if not log.exists():
            return pages
        frames = [Piece(log, at, FRAME_BYTES) for at in range(HEADER_BYTES, log.stat().st_size, FRAME_BYTES)]
        return [*pages, Piece(log, 0, HEADER_BYTES), *frames]

    def records_in(self, piece: Piece) -> set[int]:
        """Positions of which something lies there, but for the middle of a long one."""
        data = piece.file.read_bytes()[piece.offset:piece.offset + piece.size]
        return ({row.position for row in digest_rows(data)}
                | {cell.position for cell in envelope_cells(data, self.spine.genesis)})


def _noise(size: int) -> bytes:
    """Bytes that do not compress."""
    from random import Random

    return Random(1).randbytes(size)


def copy_journal(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    for side in SIDES:
        Path(f"{target}{side}").unlink(missing_ok=True)
        if Path(f"{source}{side}").exists():
            shutil.copy(f"{source}{side}", f"{target}{side}")


@contextmanager
def written_over(piece: Piece, data: bytes, at: int = 0) -> Iterator[None]:
    """As long as it lasts, `data` stands in the piece from `at` on."""
    whole = piece.file.read_bytes()
    begin = piece.offset + at
    piece.file.write_bytes(whole[:begin] + data + whole[begin + len(data):])
    try:
        yield
    finally:
        piece.file.write_bytes(whole)


@contextmanager
def flipped(piece: Piece, bit: int) -> Iterator[None]:
    """As long as it lasts, one bit of the piece is another."""
    byte = piece.file.read_bytes()[piece.offset + bit // 8]
    with written_over(piece, bytes([byte ^ 1 << bit % 8]), bit // 8):
        yield
