"""A disk that is really full, on either side (invariant 3): new work is refused, nothing is lost, and it goes on after."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.demo.city import Hub, Machine
from deploy.demo.processes import Caller
from edge.drafts import JournalFull
from edge.journal import Journal, JournalLimits
from edge.line import LineLost
from hub.keys import load_keys
from hub.ledger.own_journal import OwnJournal
from hub.ledger.store import Ledger
from hub.ledger.verify import LedgerCheck
from hub.state import HubState
from security.chain import Genesis
from security.clock import SystemClock
from security.durable_sqlite import BUSY_TIMEOUT_MS
from security.record import parse_record
from tests.spine import CEILING_S, CutWire, Spine, draft

DISK_MB = 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # a look at the journal keeps its file open


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
def machine_on_small_disk(small_disk: Path, hub: Hub, tmp_path: Path) -> Iterator[Machine]:
    """Keys, queue and pairing lie on it; its log does not, for the word "ready" is looked for there."""
    hub.service.start()
    machine = Machine(small_disk, hub, "A01", "窗口1")
    machine.log = tmp_path / "A01.log"
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


@contextmanager
def _full(database: Path) -> Iterator[None]:
    ballast = _ballast(database.resolve().parent)
    yield
    ballast.unlink()


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """For longer than anybody waits for a lock."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield
        time.sleep(BUSY_TIMEOUT_MS / 1000)
        db.execute("ROLLBACK")


@pytest.mark.parametrize("trouble", [_full, _locked])
def test_a_hub_process_outlives_trouble_with_its_database_and_goes_on(
    small_disk: Path, hub: Hub, machine: Machine, trouble: Callable[[Path], AbstractContextManager[None]]
) -> None:
    """Invariant 3; there is something to project, so that the projection is in trouble as well as the ingest."""
    hub.service.stop()
    database = hub.state / "hub.db"
    shutil.move(database, small_disk / "hub.db")
    database.symlink_to(small_disk / "hub.db")
    hub.service.start()
    machine.service.start()
    machine.pair()
    machine.wait_for("line", connected=True, catalogue=True)
    reader = hub.reader()
    _register_a_machine(hub)
    with trouble(database):
        status, answer = machine.counter.call("POST", "/v1/transactions", {
            "id": "a", "item": "003-21", "channel": "counter", "operator": "李芳",
            "resident": {"name": "王秀英", "id_number": "11010519491231002X"},
            "documents": ["resident-id-card", "social-security-card", "eligibility-commitment"]})
        assert status == 201, answer
        time.sleep(2)
        assert hub.service.running
    assert _rows(reader, 1)
    assert hub.log.read_text().count("trouble with the database") <= 6  # told at each change, not at each try
    hub.command("verify")


def _register_a_machine(hub: Hub) -> None:
    """A record of the hub's own, by its own key."""
    state = HubState(hub.state)
    signer = load_keys(state.keys).record
    own = OwnJournal(state.database, state.config().hub, signer, SystemClock())
    own.register_machine([("business", Genesis(uuid4(), uuid4(), signer.suite, signer.public_key))], "A01")


def _rows(reader: Caller, wanted: int) -> bool:
    """Whether the site ledger shows so many transactions within the ceiling."""
    until = time.monotonic() + CEILING_S
    while time.monotonic() < until:
        if len(reader.call("GET", "/v1/sites/A01/ledger")[1]["rows"]) == wanted:
            return True
        time.sleep(0.2)
    return False


def test_a_commit_that_fails_leaves_no_transaction_open_and_says_why(small_disk: Path) -> None:
    """Invariant 11: at the commit itself, and before it, where SQLite rolls back by itself."""
    spine = Spine(small_disk)
    with Ledger(spine.hub_db) as ledger:
        ballast = _ballast(small_disk)
        for size in (5_000, DISK_MB * 2**20):
            with pytest.raises(sqlite3.OperationalError, match="full"), ledger.transaction():
                ledger.note_refusal(spine.journal_id, spine.edge_id, "x" * size)
        ballast.unlink()
        ledger.mark_backed_up({})
