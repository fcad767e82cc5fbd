"""A disk that is really full, on either side (invariant 3): new work is refused, nothing is lost, and it goes on after."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.drafts import JournalFull
from edge.journal import Journal, JournalLimits
from edge.line import LineLost
from security.record import parse_record
from tests.spine import CEILING_S, CutWire, Spine, draft

DISK_MB = 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own; needs root, as the whole test run does."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _ballast(disk: Path) -> Path:
    """Fill the disk to the last byte with somebody else's data."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


async def _fill(journal: Journal, prefix: str) -> int:
    for number in range(100_000):
        try:
            await journal.submit(draft(f"{prefix}{number}", b"x" * 300))
        except JournalFull:
            return number
    raise AssertionError("the disk was never full")


def test_a_full_disk_at_the_edge_refuses_new_work_and_loses_nothing(small_disk: Path) -> None:
    spine = Spine(small_disk)

    async def live() -> int:
        async with asyncio.timeout(CEILING_S), spine.journal(JournalLimits(reserve_bytes=0)) as journal:
            stored = await _fill(journal, "a")
            assert len(await journal.after(0, 10**6, 10**9)) == journal.head.position
            with pytest.raises(JournalFull):
                await journal.submit(draft("more", b"x" * 300))
            return stored

    stored = asyncio.run(live())
    subprocess.run(["mount", "-o", f"remount,size={DISK_MB * 2}m", str(small_disk)], check=True)

    async def go_on() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, spine.ingest() as ingest:
            assert (await journal.submit(draft("a0", b"x" * 300))).repeat
            await journal.submit(draft("after"))
            await spine.drain(journal, CutWire(ingest, spine.edge_id))

    asyncio.run(go_on())
    transactions = [one for one in spine.entries() if parse_record(one.payload).kind == "transaction"]
    assert len(transactions) == stored + 1
    spine.check_ledger()


def test_a_full_disk_at_the_hub_makes_edges_wait_and_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    hub_side = Spine(small_disk)
    hub_side.journal_db = Path(shutil.move(hub_side.journal_db, tmp_path / "business.db"))

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), hub_side.journal() as journal, hub_side.ingest() as ingest:
            for number in range(2_000):
                await journal.submit(draft(f"h{number}", b"x" * 300))
            ballast = _ballast(small_disk)
            wire = CutWire(ingest, hub_side.edge_id)
            with pytest.raises(LineLost, match="UNAVAILABLE"):
                await hub_side.uplink(journal, wire).session()
            assert journal.queued == journal.head.position
            ballast.unlink()
            await hub_side.drain(journal, wire)

    asyncio.run(live())
    assert len(hub_side.entries()) == 2_001
    hub_side.check_ledger()
