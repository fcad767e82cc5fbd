"""A disk that is really full, on either side (invariant 3): new work is refused, nothing is lost, and it goes on after."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.city import Hub, Machine
from edge.drafts import JournalFull
from edge.journal import Journal, JournalLimits
from edge.line import LineLost
from hub.ledger.store import Ledger
from hub.ledger.verify import LedgerCheck
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


@pytest.fixture
def machine_on_small_disk(small_disk: Path, hub: Hub) -> Iterator[Machine]:
    """Keys, queue, pairing and log lie on it."""
    hub.service.start()
    machine = Machine(small_disk, hub, "A01", "窗口1")
    (small_disk / "readers").mkdir()
    machine.enrol("simulated", small_disk / "readers", {})
    machine.service.start()
    machine.pair()
    yield machine
    machine.service.stop()


def test_an_agent_on_a_full_disk_delivers_what_it_has_and_starts_again(machine_on_small_disk: Machine, hub: Hub,
                                                                       small_disk: Path) -> None:
    """Somebody else has filled it to the last byte."""
    machine = machine_on_small_disk
    machine.wait_for("connection", connected=True, catalogue=True, queued=0)
    machine.line.cut()
    machine.wait_for("the cut", connected=False)
    assert [_submit(machine, f"a{number}") for number in range(30)] == [201] * 30
    ballast = _ballast(small_disk)
    asked = [_submit(machine, f"b{number}") for number in range(400)]
    assert set(asked[-9:]) == {503}
    stored = 30 + asked.count(201)
    machine.line.restore()
    machine.wait_for("delivery beside a full disk", connected=True, queued=0)
    machine.service.kill()
    machine.service.start()
    machine.wait_for("start on a full disk", connected=True, catalogue=True, queued=0)
    ballast.unlink()
    assert _submit(machine, "a0") == 200
    assert _submit(machine, "after") == 201
    machine.wait_for("delivery", queued=0)
    with Ledger(hub.state / "hub.db") as ledger:
        assert list(LedgerCheck(ledger).findings()) == []
        kinds = [parse_record(entry.payload).kind for entry in ledger.feed(0, 10_000)]
    assert kinds.count("transaction") == stored + 1


def _submit(machine: Machine, caller: str) -> int:
    return machine.counter.call("POST", "/v1/transactions", {
        "id": caller, "item": "003-01", "channel": "counter", "operator": "李芳", "documents": ["resident-id-card"],
        "resident": {"name": "王秀英", "id_number": "11010519491231002X"}, "details": {"x": "y" * 2_000}})[0]


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
