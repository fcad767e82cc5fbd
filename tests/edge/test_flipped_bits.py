"""One flipped bit in each page in turn, and an agent that works on: nothing wrong is delivered, nothing more is lost
(invariants 2 to 5). `python -m tests.edge.flipped_bits` goes through all of them, with a seed.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from random import Random

import pytest

from edge.drafts import JournalStopped
from edge.dropped_log import KEPT_LOG
from edge.journal_check import JournalCheck
from edge.salvage import salvage
from edge.sqlite_log import FRAME_BYTES, HEADER_BYTES, PAGE_BYTES, read_log
from tests.edge.flipped_bits import Round, rounds
from tests.edge.small_journal import Piece, SmallJournal, copy_journal, flipped
from tests.spine import CEILING_S, Spine, draft

SEED = 31


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallJournal:
    return SmallJournal(tmp_path_factory.mktemp("small"))


@pytest.mark.parametrize("state", ["clean", "hot"])
def test_an_agent_on_a_flipped_bit_delivers_nothing_wrong_and_makes_nothing_worse(small: SmallJournal, state: str,
                                                                                  tmp_path: Path) -> None:
    database = small.clean if state == "clean" else small.hot
    random = Random(SEED)
    for piece, bit in random.sample(list(rounds(small.pieces(database), random, per_piece=1)), 15):
        Round(small, piece, bit).play(tmp_path / "round")
        shutil.rmtree(tmp_path / "round")


@pytest.mark.parametrize("byte", [0, 9, 19, 22, 30])
def test_a_log_whose_header_is_damaged_is_not_forgotten(small: SmallJournal, byte: int, tmp_path: Path) -> None:
    """SQLite takes such a log for an empty one. Invariant 1."""
    Round(small, Piece(Path(f"{small.hot}-wal"), 0, HEADER_BYTES), byte * 8 + 4).play(tmp_path / "round")


def _damaged_log(small: SmallJournal, folder: Path, frame: int) -> Path:
    """A copy of the journal with a flipped bit in that frame of its log."""
    copy = folder / "damaged" / "business.db"
    with flipped(Piece(Path(f"{small.hot}-wal"), HEADER_BYTES + (frame - 1) * FRAME_BYTES, FRAME_BYTES), 8 * 1000):
        copy_journal(small.hot, copy)
    Path(f"{copy}-shm").unlink()  # of the process that was killed
    return copy


@pytest.mark.parametrize("from_the_end", [1, 2, 3, 30])
def test_what_sqlite_drops_of_a_damaged_log_is_put_back(small: SmallJournal, tmp_path: Path, from_the_end: int) -> None:
    """Invariants 1 and 5: without it the journal would go back to an older head and write over what was acknowledged."""
    path = _damaged_log(small, tmp_path, len(read_log(Path(f"{small.hot}-wal")).frames) + 1 - from_the_end)

    async def go_on() -> None:
        async with asyncio.timeout(CEILING_S), small.spine.journal(path=path) as journal:
            assert journal.head == small.head
            assert (await journal.submit(draft("b19", b"x" * 200))).repeat
            await journal.submit(draft("more"))
            assert await journal.after(small.held.first - 1, len(small.held), 10**9) == small.held

    asyncio.run(go_on())
    assert Path(f"{path}{KEPT_LOG}.settled").exists()


def test_a_log_of_which_all_was_put_back_is_not_called_damaged_afterwards(small: SmallJournal, tmp_path: Path) -> None:
    """Frames that SQLite dropped, of the same log, would lie behind its new end until that grows over them."""
    path = _damaged_log(small, tmp_path, len(read_log(Path(f"{small.hot}-wal")).frames) + 1 - 30)

    async def go_on() -> list[str]:
        async with asyncio.timeout(CEILING_S), small.spine.journal(path=path) as journal:
            await journal.submit(draft("more"))
            with JournalCheck(path) as check:
                return [str(finding) for finding in check.structure()]

    assert asyncio.run(go_on()) == []


def test_a_folder_in_the_place_of_the_index_keeps_no_journal_from_being_opened(small: SmallJournal, tmp_path: Path) -> None:
    """SQLite does without; the agent ended with an error of the system that named no file."""
    copy_journal(small.hot, path := tmp_path / "copy" / "business.db")
    Path(f"{path}-shm").unlink(missing_ok=True)
    Path(f"{path}-shm").mkdir()

    async def opened() -> None:
        async with asyncio.timeout(CEILING_S), small.spine.journal(path=path) as journal:
            assert journal.head == small.head

    asyncio.run(opened())


@pytest.mark.parametrize("put_back_before", [False, True])
def test_a_log_with_a_gap_is_kept_and_stops_the_journal(small: SmallJournal, tmp_path: Path, put_back_before: bool) -> None:
    """A record that was in damaged frames only is lost: nothing may be written in its place."""
    path = tmp_path / "gap" / "business.db"
    copy_journal(small.hot, path)
    Path(f"{path}-shm").unlink()
    data = bytearray(Path(f"{path}-wal").read_bytes())
    wanted = small.held.payloads[-3][:18]  # in every frame that it was written in
    at = data.find(wanted)
    while at >= 0:
        data[at + 3] ^= 1
        at = data.find(wanted, at)
    if put_back_before:
        data[len(data) - 30 * FRAME_BYTES + 1000] ^= 1
    Path(f"{path}-wal").write_bytes(data)

    async def refuse() -> None:
        for _ in range(2):
            async with asyncio.timeout(CEILING_S), small.spine.journal(path=path) as journal:
                with pytest.raises(JournalStopped, match=rf"position {small.head.position - 2} is lost"):
                    await journal.submit(draft("more"))

    asyncio.run(refuse())
    with salvage(path) as salvaged:
        assert salvaged.head == small.head
        assert [one.position for one in salvaged.losses()] == [small.head.position - 2]


def test_a_commit_that_a_crash_cut_off_is_forgotten_without_a_word(small: SmallJournal, tmp_path: Path) -> None:
    path = tmp_path / "cut" / "business.db"
    copy_journal(small.hot, path)
    log = Path(f"{path}-wal")
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - FRAME_BYTES)
    Path(f"{path}-shm").unlink()

    async def go_on() -> None:
        async with asyncio.timeout(CEILING_S), small.spine.journal(path=path) as journal:
            assert journal.head.position == small.head.position - 1
            assert not (await journal.submit(draft("b19"))).repeat

    asyncio.run(go_on())
    assert not list(path.parent.glob("*.damaged*"))


def test_a_commit_cut_off_between_header_and_page_of_a_frame_ends_no_journal(tmp_path: Path) -> None:
    """SQLite writes a frame in two steps; what stands in the page's place is of an earlier log, or nothing."""
    spine, path = Spine(tmp_path), tmp_path / "torn" / "business.db"

    async def fill() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            for number in range(3):
                await journal.submit(draft(f"t{number}"))
            copy_journal(spine.journal_db, path)  # as a killed agent leaves it

    async def go_on() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal(path=path) as journal:
            assert journal.stopped == ""
            assert journal.head.position == 3
            assert not (await journal.submit(draft("t2"))).repeat

    asyncio.run(fill())
    log = Path(f"{path}-wal")
    log.write_bytes(log.read_bytes()[:-PAGE_BYTES] + bytes(PAGE_BYTES))  # of the last commit, where the record itself lies
    Path(f"{path}-shm").unlink(missing_ok=True)
    asyncio.run(go_on())
