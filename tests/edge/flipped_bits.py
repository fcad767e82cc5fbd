"""A flipped bit in each page of a small journal in turn: `python -m tests.edge.flipped_bits [--per-page N] [--seed N]`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import structlog

from edge.drafts import CorruptJournal, JournalRefused, JournalStopped
from edge.journal import Journal
from edge.journal_check import JournalCheck
from edge.salvage import Saved, salvage
from tests.edge.small_journal import PRUNED, Piece, SmallJournal, copy_journal, flipped
from tests.spine import CEILING_S, draft

HEADER_BITS = 64 * 8  # half of the bits are flipped here: what a page begins with matters most
BATCH_RECORDS = 40
READ_MAX = 10_000


def rounds(pieces: Sequence[Piece], random: Random, per_piece: int) -> Iterator[tuple[Piece, int]]:
    """Each piece with some bits to flip."""
    for piece in pieces:
        for number in range(per_piece):
            yield piece, random.randrange(min(HEADER_BITS, piece.size * 8) if number % 2 == 0 else piece.size * 8)


@dataclass(frozen=True)
class Round:
    """An agent is started on a journal with one flipped bit, takes a submission if it can, and reads what it would send."""

    small: SmallJournal
    piece: Piece
    bit: int

    def play(self, folder: Path) -> str:
        """How it ended: "works", "stopped" or "no start". Raises AssertionError."""
        copy = folder / "business.db"
        with flipped(self.piece, self.bit):
            folder.mkdir(parents=True)
            copy_journal(self.piece.file.with_name("business.db"), copy)
        Path(f"{copy}-shm").unlink(missing_ok=True)
        before = self._saved(copy)
        lost = set(range(PRUNED + 1, self.small.head.position + 1)) - before
        assert not lost or self._is_named(copy), f"{self}: {sorted(lost)} are lost, and verify says nothing"
        ending = asyncio.run(self._work(copy))
        lost = before - self._saved(copy)
        assert not lost, f"{self}: salvage found {sorted(lost)} before the agent was started, and not after it"
        return ending

    @staticmethod
    def _is_named(copy: Path) -> bool:
        try:
            with JournalCheck(copy) as check:
                return bool([*check.step(0, READ_MAX)[1], *check.structure(), *check.ends()])
        except CorruptJournal:
            return True

    def _saved(self, copy: Path) -> set[int]:
        """Positions that salvage saves. Raises AssertionError when one is not what was written."""
        held = self.small.held
        with salvage(copy, self.small.known, {PRUNED: held.previous}) as salvaged:
            saved = [one for one in salvaged.entries(PRUNED + 1) if isinstance(one, Saved)]
        for one in saved:
            if one.position <= held.last:
                at = one.position - held.first
                assert (one.payload, one.signature) == (held.payloads[at], held.signatures[at]), f"{self}: {one.position}"
        return {one.position for one in saved if one.position <= held.last}

    async def _work(self, copy: Path) -> str:
        try:
            async with asyncio.timeout(CEILING_S), self.small.spine.journal(path=copy) as journal:
                sent = await self._sent(journal)
                with suppress(JournalStopped):
                    await journal.submit(draft("new"))
                if not journal.stopped:
                    assert sent >= self.small.head.position, f"{self}: works, but ends at {sent}"
                return "stopped" if journal.stopped else "works"
        except CorruptJournal:
            return "no start"

    async def _sent(self, journal: Journal) -> int:
        """Reads as the uplink does; the last position. Raises AssertionError for what was never written."""
        held, position = self.small.held, PRUNED
        try:
            while run := await journal.after(position, BATCH_RECORDS, 2**20):
                at = run.first - held.first
                if at == 0 or run.last <= held.last:
                    assert list(run.payloads) == list(held.payloads[at:at + len(run)]), self
                position = run.last
        except CorruptJournal as error:
            journal.stop(str(error))
        return position


def main() -> int:
    """Every piece of both states; 1 when a round failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-page", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    structlog.configure(processors=[], logger_factory=structlog.ReturnLoggerFactory())
    random, endings, failures = Random(given.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        small = SmallJournal(Path(folder))
        pieces = [*small.pieces(small.clean), *small.pieces(small.hot)]
        for number, (piece, bit) in enumerate(rounds(pieces, random, given.per_page)):
            try:
                endings[Round(small, piece, bit).play(Path(folder) / str(number))] += 1
            except (AssertionError, JournalRefused) as error:
                failures += 1
                print(f"seed {given.seed}, {piece}, bit {bit}: {error}")
    print(f"{sum(endings.values()) + failures} flips in {len(pieces)} pages and frames: {dict(endings)}, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
