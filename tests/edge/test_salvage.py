"""What is saved of a damaged journal: all but what lay in the damaged page, and nothing unsigned (invariants 3, 4, 5)."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from edge.drafts import CorruptJournal, record_id
from edge.journal_check import JournalCheck
from edge.journal_rows import digest_rows
from edge.journal_store import KEEP_AND_CALL, JournalIdentity, JournalStore, create_journal
from edge.salvage import Lost, NothingToSalvage, Pruned, Salvaged, Saved, damaged_pages, salvage
from edge.sqlite_log import FRAME_BYTES, PAGE_BYTES, read_log
from security.chain import Genesis
from security.suites import Suite
from tests.edge.small_journal import LONG, PRUNED, STANDING, Piece, SmallJournal, copy_journal, flipped, written_over
from tests.spine import CEILING_S, Spine, draft

SEED = 20_260
SAMPLE = 40


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallJournal:
    return SmallJournal(tmp_path_factory.mktemp("small"))


def _check(small: SmallJournal, salvaged: Salvaged) -> set[int]:
    """Nothing but what was written; the lost positions."""
    lost = set()
    for position, entry in enumerate(salvaged.entries(), 1):
        assert entry.position == position
        match entry:
            case Saved() if position > PRUNED:
                at = position - small.held.first
                assert (entry.payload, entry.signature) == (small.held.payloads[at], small.held.signatures[at])
            case Lost():
                lost.add(position)
    assert salvaged.lost == len(lost)
    return lost


@pytest.mark.parametrize("state", ["clean", "hot"])
def test_all_is_saved_of_a_whole_journal_and_nothing_is_found_wrong(small: SmallJournal, state: str) -> None:
    with salvage(small.clean if state == "clean" else small.hot) as salvaged:
        assert salvaged.identity == small.known
        assert salvaged.head == small.head
        assert salvaged.standing == STANDING
        assert salvaged.damage == ()
        assert salvaged.after(PRUNED, 10_000, 10**9) == small.held
        assert _check(small, salvaged) == set()


def test_what_is_saved_can_be_read_as_from_a_journal(small: SmallJournal) -> None:
    with salvage(small.clean) as salvaged:
        run = salvaged.after(PRUNED, 10, 10**9)
        assert (run.first, len(run), run.previous) == (PRUNED + 1, 10, salvaged.digest_at(PRUNED))
        assert len(salvaged.after(PRUNED, 10, 1)) == 1
        assert not salvaged.after(small.head.position, 10, 10**9)
        assert salvaged.digest_at(0) == small.spine.genesis.digest()
        assert salvaged.digest_at(small.head.position) == small.head.digest
        assert salvaged.digest_at(small.head.position + 1) is None
        assert salvaged.next_saved(0) == PRUNED + 1
        key = record_id(small.spine.edge_id, "a3")
        assert salvaged.find([key, uuid4()]) == {key: 5}
        assert isinstance(next(salvaged.entries(5)), Pruned)


async def _opened(path: Path, *, readonly: bool) -> None:
    async with JournalStore(path, quota_bytes=10**9, readonly=readonly):
        pass


@pytest.mark.parametrize("size", [0, 1, 99])
def test_a_journal_cut_below_its_header_is_never_opened_and_its_log_is_saved(
        small: SmallJournal, tmp_path: Path, size: int) -> None:
    """SQLite removes the log of such a file, and all that was acknowledged with it. Invariant 3."""
    path, log = tmp_path / "business.db", tmp_path / "business.db-wal"
    copy_journal(small.hot, path)
    path.write_bytes(path.read_bytes()[:size])
    for opened in (lambda: asyncio.run(_opened(path, readonly=True)), lambda: asyncio.run(_opened(path, readonly=False)),
                   lambda: JournalCheck(path).__enter__()):
        with pytest.raises(CorruptJournal, match=rf"{path} has {size} bytes, .* keep both; {KEEP_AND_CALL}"):
            opened()
    assert log.read_bytes() == Path(f"{small.hot}-wal").read_bytes()
    with salvage(path, small.known) as salvaged:
        assert salvaged.head == small.head
        assert _check(small, salvaged) == set()


def test_a_journal_of_which_only_the_first_bytes_are_left_holds_nothing_and_is_no_bug(
        small: SmallJournal, tmp_path: Path) -> None:
    path = tmp_path / "business.db"
    for size in (1, 16, 60, 99, 100, 101, 108, 120, 4_095):
        path.write_bytes(small.clean.read_bytes()[:size])
        with salvage(path, small.known) as salvaged:
            assert (salvaged.saved, salvaged.head.position) == (0, 0)
            assert any(one.page == 1 for one in salvaged.damage), size
        assert list(damaged_pages(path, small.known)) == [1]


def _sample(pieces: list[Piece], count: int) -> list[Piece]:
    return Random(SEED).sample(pieces, min(count, len(pieces)))


@pytest.mark.parametrize("state", ["clean", "hot"])
def test_one_flipped_bit_costs_at_most_the_record_that_it_is_in(small: SmallJournal, state: str) -> None:
    random = Random(SEED)
    database = small.clean if state == "clean" else small.hot
    for piece in _sample(small.pieces(database), SAMPLE):
        bit = random.randrange(piece.size * 8 if random.random() < 0.5 else 8 * min(64, piece.size))
        with flipped(piece, bit), salvage(database, small.known) as salvaged:
            lost = _check(small, salvaged)
            assert len(lost) <= 1, f"{piece}, bit {bit}"
            assert {damage.position for damage in salvaged.damage} >= lost, f"{piece}, bit {bit}"
            assert salvaged.head == small.head


@pytest.mark.parametrize("state", ["clean", "hot"])
@pytest.mark.parametrize("filling", ["zeros", "noise"])
def test_a_page_that_is_gone_costs_at_most_the_records_that_were_in_it(small: SmallJournal, state: str, filling: str) -> None:
    database = small.clean if state == "clean" else small.hot
    for piece in _sample(small.pieces(database), SAMPLE):
        data = bytes(piece.size) if filling == "zeros" else Random(SEED).randbytes(piece.size)
        here = small.records_in(piece)
        with written_over(piece, data), salvage(database, small.known, {PRUNED: small.held.previous}) as salvaged:
            lost = _check(small, salvaged)
            assert lost <= here | {LONG}, f"{piece}: {lost - here}"  # pages that it goes on in say nothing of it
            assert salvaged.head.position == small.head.position, piece
            assert salvaged.damage or not here, piece


def test_many_flipped_bits_in_many_pages_never_make_a_record(small: SmallJournal) -> None:
    """Invariant 4."""
    for seed in range(10):
        random, data = Random(seed), bytearray(small.clean.read_bytes())
        for _ in range(200):
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        with written_over(Piece(small.clean, 0, len(data)), bytes(data)), salvage(small.clean, small.known) as salvaged:
            lost = _check(small, salvaged)
            assert 0 < len(lost) < small.head.position
            assert salvaged.saved > 0


def test_a_log_that_sqlite_would_drop_is_read_to_its_end(small: SmallJournal) -> None:
    """Invariant 3: SQLite ends a log at the first bad frame and goes back to an older head without a word."""
    log = Path(f"{small.hot}-wal")
    third = Piece(log, 32 + 2 * FRAME_BYTES, FRAME_BYTES)
    with flipped(third, 8 * 100):
        found = read_log(log)
        assert found.first_bad == 3
        assert not found.frames[-1].used
        with salvage(small.hot) as salvaged:
            assert salvaged.head == small.head
            assert _check(small, salvaged) == set()
            assert any("frame 3" in damage.where for damage in salvaged.damage)


def test_what_a_crash_cut_off_in_the_middle_of_a_commit_is_no_record(small: SmallJournal, tmp_path: Path) -> None:
    copy_journal(small.hot, tmp_path / "cut" / "business.db")
    log = tmp_path / "cut" / "business.db-wal"
    frames = read_log(log).frames
    last = [number for number, frame in enumerate(frames) if frame.commits][-1]
    with log.open("r+b") as file:
        file.truncate(frames[last].offset - 24)
    with salvage(tmp_path / "cut" / "business.db") as salvaged:
        assert salvaged.head.position == small.head.position - 1
        assert salvaged.damage == ()


def test_a_journal_that_lost_its_name_is_known_by_the_keys_beside_it(small: SmallJournal) -> None:
    name = Piece(small.clean, PAGE_BYTES, PAGE_BYTES)
    with written_over(name, bytes(PAGE_BYTES)):
        with pytest.raises(NothingToSalvage, match="whose journal"), salvage(small.clean):
            pass
        with salvage(small.clean, small.known) as salvaged:
            assert _check(small, salvaged) == set()
            assert any(damage.where == "identity" for damage in salvaged.damage)


def test_a_journal_is_known_with_the_one_that_it_follows(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    genesis = Genesis(spine.edge_id, uuid4(), Suite.ED25519_SHA256, spine.signer.public_key, spine.journal_id)
    spine.journal_db = tmp_path / "successor.db"
    create_journal(spine.journal_db, "business", genesis)

    async def write() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            await journal.submit(draft("a"))

    asyncio.run(write())
    with salvage(spine.journal_db) as salvaged:
        assert salvaged.identity == JournalIdentity("business", genesis)
        assert (salvaged.saved, salvaged.lost) == (2, 0)


def test_nothing_is_saved_for_another_machine(small: SmallJournal) -> None:
    """Invariant 5: the genesis binds a chain to edge, journal and key."""
    stranger = Genesis(small.spine.edge_id, small.spine.journal_id, Suite.ED25519_SHA256, small.spine.time_signer.public_key)
    with salvage(small.clean, JournalIdentity("business", stranger)) as salvaged:
        assert salvaged.saved == 0


def test_the_first_record_behind_lost_digests_is_proved_by_what_the_hub_says(small: SmallJournal) -> None:
    """Its digest covers one that is nowhere else: the hub holds it, or says it."""
    piece = next(one for one in small.pieces(small.clean)
                 if {PRUNED, PRUNED + 1} <= small.records_in(one))
    digest = small.held.previous
    with written_over(piece, bytes(PAGE_BYTES)):
        with salvage(small.clean) as salvaged:
            assert {one.position for one in salvaged.losses()} >= {PRUNED + 1}
        with salvage(small.clean, anchors={PRUNED: digest}) as salvaged:
            assert _check(small, salvaged) == set()


def test_a_failed_commit_does_not_take_the_place_of_the_record_that_came_after_it(tmp_path: Path) -> None:
    """Two records of one position, both signed: what is left of a failed commit in the log's old frames is not believed."""
    spine = Spine(tmp_path)

    async def submit(path: Path, *callers: str) -> None:
        async with asyncio.timeout(CEILING_S), spine.journal(path=path) as journal:
            for caller in callers:
                await journal.submit(draft(caller))
            copy_journal(path, tmp_path / "copy" / path.name)

    asyncio.run(submit(spine.journal_db, "a"))
    other = tmp_path / "other.db"
    shutil.copy(spine.journal_db, other)
    asyncio.run(submit(other, "b"))
    asyncio.run(submit(spine.journal_db, "c"))
    (tmp_path / "copy" / "other.db-wal").replace(tmp_path / "business.db-wal.damaged")
    with salvage(spine.journal_db) as salvaged:
        assert salvaged.find([record_id(spine.edge_id, "c")])
        assert not salvaged.find([record_id(spine.edge_id, "b")])
        assert salvaged.lost == 0


def test_a_row_whose_position_is_damaged_is_told_by_its_neighbours(small: SmallJournal) -> None:
    """Of a pruned record nothing else is left that could say it."""
    piece = next(one for one in small.pieces(small.clean) if 30 in small.records_in(one))
    row = next(one for one in digest_rows(small.clean.read_bytes()[piece.offset:piece.offset + piece.size]) if one.position == 30)
    with salvage(small.clean) as salvaged:
        whole = salvaged.digest_at(30), salvaged.digest_at(31)
    with flipped(piece, 8 * (row.start + 1)), salvage(small.clean) as salvaged:
        assert (salvaged.digest_at(30), salvaged.digest_at(31)) == whole
        assert [damage.text for damage in salvaged.damage] == ["a row in a page of digests says another position than its place"]
