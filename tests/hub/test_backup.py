"""On the word of a backup edges drop their own copies (invariant 3): it has to hold what it says."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

import hub.backup
from deploy.demo.processes import command
from edge.wire import encode_batch, encode_open
from hub.backup import BackupFailed, back_up
from hub.ledger.store import Ledger
from hub.ledger.verify import LedgerCheck
from proto import sync_pb2
from security.chain import digests_after, leaf_hashes
from security.durable_sqlite import look_uri, open_look
from security.run import Run
from security.sigterm import ENDED
from tests.hub.commands import ended_at
from tests.hub.evidence.city import City
from tests.spine import CEILING_S, CutWire, Spine, draft

RECORDS = 40


async def _deliver(spine: Spine, count: int, size: int = 20) -> None:
    async with spine.journal() as journal, spine.ingest() as ingest:
        for number in range(count):
            await journal.submit(draft(f"{journal.head.position}-{number}", os.urandom(size)))
        await spine.drain(journal, CutWire(ingest, spine.edge_id))


@pytest.fixture
def spine(tmp_path: Path) -> Spine:
    spine = Spine(tmp_path)
    asyncio.run(_deliver(spine, RECORDS))
    return spine


@pytest.fixture
def city(tmp_path: Path) -> City:
    return City(tmp_path)


def _mark(spine: Spine) -> int:
    with Ledger(spine.hub_db) as ledger:
        return ledger.journal(spine.journal_id).backed_up


def test_a_backup_verifies_and_moves_the_mark_to_what_it_holds(spine: Spine, tmp_path: Path) -> None:
    size = back_up(spine.hub_db, tmp_path / "one.db")
    assert _mark(spine) == RECORDS + 1
    assert (tmp_path / "one.db").stat().st_mode & 0o777 == 0o600
    asyncio.run(_deliver(spine, 5))
    assert _mark(spine) == RECORDS + 1
    assert back_up(spine.hub_db, tmp_path / "two.db") == size + 6
    with Ledger(tmp_path / "two.db") as held:
        assert list(LedgerCheck(held).findings()) == []
    assert sorted(path.name for path in tmp_path.glob("*.db*")) == ["business.db", "decisions.db", "hub.db", "one.db", "two.db"]
    with pytest.raises(BackupFailed, match="never overwritten"):
        back_up(spine.hub_db, tmp_path / "one.db")


def test_a_backup_ends_while_the_hub_goes_on_writing(spine: Spine, tmp_path: Path) -> None:
    asyncio.run(_deliver(spine, 400, 40_000))
    stop = threading.Event()

    def write() -> None:
        with Ledger(spine.hub_db) as ledger:
            while not stop.is_set():
                ledger.note_refusal(spine.journal_id, spine.edge_id, str(time.monotonic()))
                time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backing_up = threading.Thread(target=back_up, args=(spine.hub_db, tmp_path / "one.db"), daemon=True)
        backing_up.start()
        backing_up.join(CEILING_S)
        assert not backing_up.is_alive()
    finally:
        stop.set()
        writer.join()
    assert _mark(spine) > 400


def test_a_hub_that_starts_during_a_backup_writes_into_no_file_that_is_copied(
    spine: Spine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that rests is read without locks, which is for a short look; and a WAL ends in the file at any time."""
    looked: list[str] = []
    assert "immutable" in look_uri(spine.hub_db)

    def look(path: Path) -> sqlite3.Connection:
        looked.append(look_uri(path))
        return open_look(path)

    monkeypatch.setattr("hub.backup.open_look", look)
    back_up(spine.hub_db, tmp_path / "one.db")
    assert len(looked) == 1
    assert "immutable" not in looked[0]


@pytest.mark.parametrize("column", ["payloads", "signatures", "leaves", "digests"])
def test_no_edge_drops_what_is_damaged_in_the_backup(spine: Spine, tmp_path: Path, column: str) -> None:
    with closing(sqlite3.connect(spine.hub_db, isolation_level=None)) as db:
        db.execute("DROP TRIGGER runs_never_change")
        query = f"SELECT idx, first, count, {column} FROM runs WHERE first <= 30 AND journal = 2 ORDER BY first DESC"
        index, first, count, data = db.execute(query).fetchone()
        at = (30 - first) * len(data) // count
        db.execute(f"UPDATE runs SET {column} = ? WHERE idx = ?",
                   (data[:at] + bytes([data[at] ^ 1]) + data[at + 1:], index))
    with pytest.raises(BackupFailed, match="behind position"):
        back_up(spine.hub_db, tmp_path / "one.db")
    assert 27 <= _mark(spine) <= 30  # records differ in length by a byte or two


def test_a_copy_that_fails_moves_no_mark_and_leaves_nothing(spine: Spine, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="part of the hub's own"):
        back_up(spine.hub_db, spine.hub_db.with_name("hub.db-wal"))
    with pytest.raises(BackupFailed, match="no folder"):
        back_up(spine.hub_db, tmp_path / "nowhere" / "one.db")
    with spine.hub_db.open("r+b") as file:  # a page of an index that nobody else reads here
        file.seek(-4096, os.SEEK_END)
        file.write(os.urandom(4096))
    with pytest.raises(BackupFailed, match="check both disks"):
        back_up(spine.hub_db, tmp_path / "one.db")
    assert not list(tmp_path.glob("*one*"))


def test_a_backup_that_is_stopped_by_hand_leaves_nothing(spine: Spine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.backup, "finish_copy", lambda copy: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        back_up(spine.hub_db, tmp_path / "backup.db")
    assert not list(tmp_path.glob("*backup.db*"))


@pytest.mark.parametrize("step", ["hub.backup.finish_copy", "hub.backup._back_up_attachments"])
def test_a_backup_that_the_system_ends_leaves_nothing_half_made(city: City, tmp_path: Path, step: str) -> None:
    assert ended_at(step, city.state.root, "backup", str(tmp_path / "backup.db")) == ENDED
    whole = [tmp_path / "backup.db"] if step.endswith("_attachments") else []
    assert list(tmp_path.glob("*backup.db*")) == whole  # never a hidden one


@pytest.mark.parametrize("signature", [bytes(64), b"", bytes(100)])
def test_what_a_machine_signed_wrongly_is_no_damage_and_is_backed_up(tmp_path: Path, signature: bytes) -> None:
    """docs/decisions/0003: the last signature of a batch speaks for those before it, which are stored as they came."""
    spine = Spine(tmp_path)
    asyncio.run(_deliver_signed(spine, {4: signature, 5: signature}))
    with Ledger(spine.hub_db) as ledger:
        found = list(LedgerCheck(ledger).findings())
    assert [(one.position, one.damage) for one in found] == [(4, False), (5, False)]
    alone = tmp_path / "alone"
    alone.mkdir()
    back_up(spine.hub_db, alone / "hub.db")
    assert "prove the digest" in command("hub", alone, "verify")
    assert _mark(spine) == RECORDS + 1


def test_the_last_signature_of_a_row_held_when_it_came_and_nothing_is_marked_without_it(tmp_path: Path) -> None:
    """Whoever rewrites a record has to rewrite digests and leaves behind it, and cannot sign them."""
    spine = Spine(tmp_path)
    asyncio.run(_deliver_signed(spine, {}))
    with Ledger(spine.hub_db) as ledger:
        run = ledger.run_from(1)
        before = ledger.digest_at(ledger.journal(spine.journal_id), 0)
    assert run is not None
    entries = list(run.entries(0, run.count))
    payloads = [entry.payload for entry in entries]
    payloads[9] = payloads[9][:-1] + bytes([payloads[9][-1] ^ 1])
    digests = digests_after(before, payloads)
    leaves = leaf_hashes(run.key_id, run.journal.bytes, 1, digests, [entry.signature for entry in entries], run.arrived_ms)
    with closing(sqlite3.connect(spine.hub_db, isolation_level=None)) as db:
        db.execute("DROP TRIGGER runs_never_change")
        db.execute("DROP TRIGGER journals_move_with_runs")
        db.execute("UPDATE runs SET payloads = ?, digests = ?, leaves = ? WHERE idx = ?",
                   (b"".join(payloads), b"".join(digests), b"".join(leaves), run.index))
        db.execute("UPDATE journals SET digest = ? WHERE journal = ?", (digests[-1], run.journal.bytes))
    with Ledger(spine.hub_db) as ledger:
        found = list(LedgerCheck(ledger).findings())
    assert next(one.position for one in found if one.damage) == RECORDS + 1
    with pytest.raises(BackupFailed, match="behind position 9"):
        back_up(spine.hub_db, tmp_path / "one.db")
    assert _mark(spine) == 9


async def _deliver_signed(spine: Spine, wrongly: dict[int, bytes]) -> None:
    """All in one batch, with other signatures at some positions."""
    async with spine.journal() as journal:
        for number in range(RECORDS):
            await journal.submit(draft(str(number), os.urandom(20)))
        run = await journal.after(0, 10_000, 10**9)
    signatures = [wrongly.get(position, signature) for position, signature in enumerate(run.signatures, start=1)]
    message = encode_batch(Run(1, run.previous, run.payloads, signatures), spine.signer.key_id, 0)

    async def incoming() -> AsyncIterator[sync_pb2.ReplicateUp]:
        yield encode_open(spine.journal_id, len(run))
        yield message

    async def hear(_message: sync_pb2.ReplicateDown) -> None:
        pass

    async with spine.ingest() as ingest:
        await ingest.serve(spine.edge_id, incoming(), hear)
