"""A disk or a neighbour that makes trouble while the line works: the agent goes on, and nothing is lost (invariant 3)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

import edge.journal_store
from edge.drafts import CorruptJournal, JournalBusy, JournalFull, JournalStopped
from edge.journal import Journal, JournalLimits
from edge.journal_check import JournalCheck
from edge.line import HubRefused, LineLost
from security.durable_sqlite import BRIEF_PRAGMAS
from security.record import parse_record
from tests.spine import CEILING_S, CutWire, Spine, draft

WRITERS = 8


@asynccontextmanager
async def _uplink(spine: Spine, journal: Journal) -> AsyncIterator[None]:
    """The line is up; sessions follow one another as in the agent."""
    async with spine.ingest() as ingest:
        uplink = spine.uplink(journal, CutWire(ingest, spine.edge_id))

        async def keep() -> None:
            while True:
                with suppress(LineLost):
                    await uplink.session()
                await asyncio.sleep(0.01)

        keeping = asyncio.create_task(keep())
        try:
            yield
        finally:
            assert not keeping.done(), keeping.result()
            keeping.cancel()
            await asyncio.wait([keeping])


async def _until_delivered(journal: Journal) -> None:
    while journal.queued:
        await asyncio.sleep(0.01)


def test_a_full_quota_beside_a_working_line_is_delivered_while_counters_go_on_asking(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    stored = 0

    async def ask(journal: Journal, window: int) -> None:
        nonlocal stored
        for number in range(200):
            try:
                await journal.submit(draft(f"{window}-{number}", b"x" * 300))
                stored += 1
            except JournalFull:
                await asyncio.sleep(0)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal(JournalLimits(300_000, 0)) as journal:
            await asyncio.gather(*[ask(journal, window) for window in range(WRITERS)])
            assert 100 < stored < WRITERS * 200
            async with _uplink(spine, journal):
                await asyncio.gather(*[ask(journal, WRITERS + window) for window in range(WRITERS)], _until_delivered(journal))

    asyncio.run(live())
    transactions = [one for one in spine.entries() if parse_record(one.payload).kind == "transaction"]
    assert len(transactions) == stored
    spine.check_ledger()


def test_another_program_that_holds_the_database_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.journal_store, "BRIEF_PRAGMAS", (*BRIEF_PRAGMAS, "PRAGMA busy_timeout = 50"))
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            for number in range(9):
                await journal.submit(draft(f"a{number}"))
            with closing(sqlite3.connect(spine.journal_db, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                async with _uplink(spine, journal):
                    await _until_delivered(journal)
                    with pytest.raises(JournalBusy) as caught:
                        await journal.submit(draft("b"))
                    assert "稍后" in caught.value.hint
                other.execute("ROLLBACK")
            assert not (await journal.submit(draft("b"))).repeat

    asyncio.run(live())


async def _write(spine: Spine) -> None:
    """Enough records for several pages of each table."""
    async with asyncio.timeout(CEILING_S), spine.journal() as journal:
        for number in range(300):
            await journal.submit(draft(f"a{number}", b"x" * 200))


def _flip_page(spine: Spine, table: str, which: int) -> None:
    """One bit in the header of a table's page, as a dying disk does it."""
    with closing(sqlite3.connect(spine.journal_db)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = [row[0] for row in db.execute(
            "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path", (table,))]
    with spine.journal_db.open("r+b") as file:
        file.seek((pages[which] - 1) * 4096)
        first = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([first ^ 0x40]))


def test_a_damaged_page_stops_new_work_and_what_is_good_before_it_is_delivered(tmp_path: Path) -> None:
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, spine.ingest() as ingest:
            with pytest.raises(HubRefused, match="damaged"):
                await spine.uplink(journal, CutWire(ingest, spine.edge_id)).session()
            with pytest.raises(JournalStopped):
                await journal.submit(draft("more"))

    asyncio.run(_write(spine))
    _flip_page(spine, "envelopes", 10)
    asyncio.run(live())
    assert 50 < len(spine.entries()) < 250
    spine.check_ledger()


@pytest.mark.parametrize("table", ["digests", "standing"])
def test_a_damaged_page_beside_the_records_does_not_keep_the_agent_from_starting(tmp_path: Path, table: str) -> None:
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, spine.ingest() as ingest:
            with pytest.raises(JournalStopped, match="damaged"):
                await journal.submit(draft("more"))
            with suppress(HubRefused):
                await spine.drain(journal, CutWire(ingest, spine.edge_id))

    asyncio.run(_write(spine))
    _flip_page(spine, table, -1)
    asyncio.run(live())
    assert len(spine.entries()) > 150
    spine.check_ledger()


def test_a_head_that_is_not_the_last_record_is_noticed_before_anything_is_written_on_it(tmp_path: Path) -> None:
    """Invariant 5."""
    spine = Spine(tmp_path)

    async def submit(*callers: str) -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            for caller in callers:
                await journal.submit(draft(caller))

    asyncio.run(submit("a", "b"))
    with closing(sqlite3.connect(spine.journal_db, isolation_level=None)) as db:
        digest = bytearray(db.execute("SELECT digest FROM head").fetchone()[0])
        digest[7] ^= 1
        db.execute("UPDATE head SET digest = ?", (bytes(digest),))
    with pytest.raises(JournalStopped, match="position 3"):
        asyncio.run(submit("c"))


def test_an_error_of_the_sending_half_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """gRPC drops what its request iterator raises; a silent end would leave the door saying "connected"."""
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, spine.ingest() as ingest:
            await journal.submit(draft("a"))

            async def failing(*_: object) -> None:
                raise sqlite3.OperationalError("disk I/O error")

            monkeypatch.setattr(journal, "after", failing)
            with pytest.raises(LineLost, match="disk"):
                await spine.uplink(journal, CutWire(ingest, spine.edge_id)).session()

    asyncio.run(live())


def test_a_schema_that_is_no_text_any_more_is_damage_and_no_bug(tmp_path: Path) -> None:
    """SQLite quotes the damaged text in its message, which Python cannot decode."""
    spine = Spine(tmp_path)
    whole = spine.journal_db.read_bytes()
    named = 0

    async def open_journal() -> None:
        async with spine.journal():
            pass

    def check() -> None:
        with JournalCheck(spine.journal_db):
            pass

    for at in range(whole.index(b"CREATE"), 4096, 29):
        spine.journal_db.write_bytes(whole[:at] + bytes([whole[at] ^ 0x80]) + whole[at + 1:])
        for look in (lambda: asyncio.run(open_journal()), check):
            try:
                look()
            except CorruptJournal as error:
                named += "cannot be read" in str(error)
    assert named, "no damage was of the kind that this test is about"
