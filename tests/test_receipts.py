"""Receipts from the real ledger to the real journal: proved, kept, and refused when they prove nothing (invariant 6)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from edge.journal import Journal
from edge.line import HubRefused
from edge.receipt_book import ReceiptBook
from edge.receipt_store import Receipt, ReceiptStore
from hub.attention.alarms import Alarms
from hub.attention.approvals import Approvals
from hub.backup import back_up
from hub.database import open_engine
from hub.ledger.ingest import Ingest
from hub.ledger.receipts import Known, Receipts
from hub.ledger.store import Ledger
from hub.ledger.transparency import Published
from hub.ledger.tree_store import TreeStore
from proto import sync_pb2
from security.chain import leaf_hash
from security.checkpoint import Checkpoint
from security.log_epoch import LogEpoch
from security.note import NoteKey
from security.proofs import check_inclusion
from security.tiles import TileMissing
from security.tree import Frontier
from tests.spine import CEILING_S, CutWire, Spine, clear_page, damage, draft

Change = Callable[[sync_pb2.ReplicateDown], sync_pb2.ReplicateDown]


class ChangingWire(CutWire):
    """A hub that says something else than ours would."""

    def __init__(self, ingest: Ingest, spine: Spine, change: Change) -> None:
        super().__init__(ingest, spine.edge_id)
        self._change = change

    async def replicate(self, requests: AsyncIterator[sync_pb2.ReplicateUp]) -> AsyncGenerator[sync_pb2.ReplicateDown, None]:
        async for message in super().replicate(requests):
            yield self._change(message)


async def _until(spine: Spine, journal: Journal, wire: CutWire, condition: Callable[[], bool]) -> None:
    """One stream, until something has happened."""
    async with asyncio.timeout(CEILING_S):
        session = asyncio.create_task(spine.uplink(journal, wire).session())
        while not condition() and not session.done():
            await asyncio.sleep(0.01)
        session.cancel()
        with suppress(asyncio.CancelledError):
            await session
    assert condition()


def _proved(spine: Spine) -> int:
    return max((one.position for one in ReceiptStore(spine.journal_db).after(0)), default=0)


async def _deliver(spine: Spine, *callers: str) -> None:
    """Written, in the ledger, and proved."""
    async with spine.journal() as journal, spine.ingest() as ingest:
        for caller in callers:
            await journal.submit(draft(caller))
        wire = CutWire(ingest, spine.edge_id)
        await _until(spine, journal, wire, lambda: not journal.queued and _proved(spine) == journal.head.position
                     and spine.first_held() >= journal.standing.backed_up)


def _check_receipts(spine: Spine) -> None:
    """By nothing that the edge or the hub uses to accept or to make them: keys, ledger, and the RFC's own formulas."""
    receipts = ReceiptStore(spine.journal_db).after(0)
    assert receipts
    digests = {entry.position: entry for entry in spine.entries()}
    for one in receipts:
        origin = f"suozhan.hub/{spine.hub_id}/{one.epoch}"
        checkpoint = Checkpoint.open(one.checkpoint.encode(), [NoteKey(origin, spine.log_signer.public_key)])
        if one.position in digests:
            entry = digests[one.position]
            assert one.signature == entry.signature
            leaf = leaf_hash(spine.signer.key_id, spine.journal_id.bytes, one.position, entry.digest, one.signature,
                             one.arrived_ms)
            check_inclusion(leaf, one.index, checkpoint.size, one.proof, checkpoint.root)


def test_every_record_is_covered_by_a_receipt_that_anybody_can_check(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    asyncio.run(_deliver(spine, "a", "b", "c"))
    asyncio.run(_deliver(spine, "d"))  # another start of both: what was accepted is found again
    assert _proved(spine) == 6
    _check_receipts(spine)
    assert spine.alarms.open_alarms() == ()
    with TreeStore(spine.hub_db) as store, Ledger(spine.hub_db) as ledger:
        newest = Checkpoint.open(store.checkpoint(1).encode(), [NoteKey(f"suozhan.hub/{spine.hub_id}/1",
                                                                        spine.log_signer.public_key)])
        leaves = [entry.leaf for entry in ledger.feed(0, 10**6)][:newest.size]
    assert Frontier().extended(leaves).root() == newest.root


def _another_leaf(message: sync_pb2.ReplicateDown) -> None:
    message.receipt.arrived_ms += 1


def _another_index(message: sync_pb2.ReplicateDown) -> None:
    message.receipt.index -= 1


def _another_record(message: sync_pb2.ReplicateDown) -> None:
    message.receipt.position -= 1


def _beyond_the_head(message: sync_pb2.ReplicateDown) -> None:
    message.receipt.position += 100


def _a_broken_proof(message: sync_pb2.ReplicateDown) -> None:
    message.receipt.inclusion[0] = bytes(32)


def _a_longer_proof(message: sync_pb2.ReplicateDown) -> None:
    message.receipt.inclusion.append(bytes(32))


def _a_forged_checkpoint(message: sync_pb2.ReplicateDown) -> None:
    lines = message.receipt.checkpoint.split("\n")
    lines[1] = str(int(lines[1]) + 1)
    message.receipt.checkpoint = "\n".join(lines)


def _nonsense(message: sync_pb2.ReplicateDown) -> None:
    message.receipt.checkpoint = "nonsense"


FORGERIES = (_another_leaf, _another_index, _another_record, _beyond_the_head, _a_broken_proof, _a_longer_proof,
             _a_forged_checkpoint, _nonsense)


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_receipt_is_refused_with_an_alarm_and_nothing_is_pruned_for_it(
        tmp_path: Path, forge: Callable[[sync_pb2.ReplicateDown], None]) -> None:
    """Invariants 3 and 6: work and delivery go on."""
    spine = Spine(tmp_path)

    def change(message: sync_pb2.ReplicateDown) -> sync_pb2.ReplicateDown:
        if message.HasField("receipt") and message.receipt.position:
            forge(message)
        return message

    async def run() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            await journal.submit(draft("a"))
            await _until(spine, journal, ChangingWire(ingest, spine, change),
                         lambda: not journal.queued and bool(spine.alarms.open_alarms()))
            await journal.submit(draft("b"))
            with Ledger(spine.hub_db) as ledger:
                ledger.mark_backed_up({spine.journal_id: 2})
            await _until(spine, journal, ChangingWire(ingest, spine, change),
                         lambda: not journal.queued and journal.standing.backed_up == 2)
            assert await journal.pruned_to() == 0

    asyncio.run(run())
    (alarm,) = spine.alarms.open_alarms()
    assert alarm.kind == "history"
    assert "市信息中心" in alarm.hint
    assert alarm.evidence
    assert _proved(spine) == 0


class BlindWire(ChangingWire):
    """A hub that does not look at what the edge holds: an honest one would see itself that it was put back."""

    async def replicate(self, requests: AsyncIterator[sync_pb2.ReplicateUp]) -> AsyncGenerator[sync_pb2.ReplicateDown, None]:
        async def blind() -> AsyncIterator[sync_pb2.ReplicateUp]:
            async for message in requests:
                if message.HasField("open"):
                    message.open.checkpoint, message.open.receipt = "", 0
                yield message

        async for message in super().replicate(blind()):
            yield message


def _snapshot(spine: Spine, folder: Path) -> None:
    """The whole hub, its high-water mark included, as a snapshot of a virtual machine holds it."""
    folder.mkdir(exist_ok=True)
    back_up(spine.hub_db, folder / "hub.db")
    shutil.copy(spine.folder / "high-water.note", folder)


def _put_back(spine: Spine, folder: Path) -> None:
    for ending in ("-wal", "-shm"):
        Path(f"{spine.hub_db}{ending}").unlink(missing_ok=True)
    shutil.copy(folder / "hub.db", spine.hub_db)
    shutil.copy(folder / "high-water.note", spine.folder)


def _restore(spine: Spine, backup: Path) -> LogEpoch:
    """The hub from a backup; its epoch."""
    Path(f"{spine.hub_db}-wal").unlink(missing_ok=True)
    shutil.copy(backup, spine.hub_db)
    return spine.transparency().open_epoch()


def test_a_hub_that_was_put_back_with_its_mark_learns_it_from_an_edge_and_signs_no_second_history(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    asyncio.run(_deliver(spine, "a"))
    _snapshot(spine, tmp_path / "snapshot")
    asyncio.run(_deliver(spine, "b", "c"))
    _put_back(spine, tmp_path / "snapshot")
    spine.clock.now_ms += 60_000

    async def come_back() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            await _until(spine, journal, CutWire(ingest, spine.edge_id),
                         lambda: bool(spine.hub_alarms()) and len(spine.entries()) == 5)

    for _ in range(2):  # and a restart of the hub does not make it forget
        asyncio.run(come_back())
        assert [one.kind for one in spine.hub_alarms()] == ["log-halted"]
    assert spine.alarms.open_alarms() == ()
    spine.check_ledger(("high-water mark", "high-water mark"))  # what the edge showed, and that it does not belong to the ledger


def test_a_hub_that_shows_another_history_is_found_out_by_the_checkpoint_that_the_edge_kept(tmp_path: Path) -> None:
    """Nobody can make one tree lead to the other: the edge keeps both checkpoints, which prove it to everybody."""
    spine = Spine(tmp_path)
    asyncio.run(_deliver(spine, "a"))
    _snapshot(spine, tmp_path / "snapshot")
    asyncio.run(_deliver(spine, "b", "c"))
    before = ReceiptStore(spine.journal_db).checkpoint()
    _put_back(spine, tmp_path / "snapshot")
    spine.clock.now_ms += 60_000

    async def meet() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            await _until(spine, journal, BlindWire(ingest, spine, lambda message: message),
                         lambda: bool(spine.alarms.open_alarms()) and not journal.queued)

    asyncio.run(meet())
    (alarm,) = spine.alarms.open_alarms()
    assert alarm.kind == "history"
    assert ReceiptStore(spine.journal_db).checkpoint() == before
    notes = bytes.fromhex(alarm.evidence).decode().split("suozhan.hub/")
    assert len(notes) == 5  # each of the two names its log twice: in its text, and before its signature


def test_a_hub_that_came_back_from_a_backup_gets_again_what_edges_hold_and_proves_it_anew(tmp_path: Path) -> None:
    """Invariants 2, 3 and 6."""
    spine = Spine(tmp_path)
    asyncio.run(_deliver(spine, "a"))
    back_up(spine.hub_db, tmp_path / "backup.db")
    asyncio.run(_deliver(spine, "b", "c"))
    epoch = _restore(spine, tmp_path / "backup.db")
    assert (epoch.number, epoch.base_size < (epoch.last_size or 0)) == (2, True)
    asyncio.run(_deliver(spine, "d"))
    assert [entry.position for entry in spine.entries()] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.epoch for one in ReceiptStore(spine.journal_db).after(0)][-1] == 2
    assert [one.kind for one in spine.alarms.open_alarms()] == ["hub-restored"]
    assert not spine.hub_alarms()
    asyncio.run(_deliver(spine, "e"))
    assert [one.kind for one in spine.alarms.open_alarms()] == ["hub-restored"]
    _check_receipts(spine)
    spine.check_ledger()


def test_what_neither_side_has_any_more_becomes_a_hole_that_somebody_approves(tmp_path: Path) -> None:
    """Invariant 3: nobody goes on behind a gap as if nothing had been lost."""
    spine = Spine(tmp_path)
    asyncio.run(_deliver(spine, "a"))
    back_up(spine.hub_db, tmp_path / "old.db")
    asyncio.run(_deliver(spine, "b", "c", "c2"))
    back_up(spine.hub_db, tmp_path / "new.db")
    asyncio.run(_deliver(spine, "d"))  # and what the newer backup holds is pruned
    lost = [entry for entry in spine.entries() if 3 <= entry.position <= 5]
    _restore(spine, tmp_path / "old.db")

    async def come_back(expected: str) -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            assert await journal.pruned_to() == 5
            with pytest.raises(HubRefused, match=expected):
                await spine.uplink(journal, CutWire(ingest, spine.edge_id)).session()

    asyncio.run(come_back("HOLE: positions 3 to 5 .* approvals approve 1"))
    asyncio.run(come_back("HOLE: positions 3 to 5"))  # asking again is the same request
    engine = open_engine(spine.hub_db)
    approvals = Approvals(engine, spine.own, spine.clock)
    (request,) = approvals.waiting()
    assert (request.body["first"], request.body["last"], request.body["records"]) == (3, 5, 3)
    approvals.decide(request.id, "周敏", "both backups are gone", approved=True)
    engine.dispose()
    asyncio.run(_deliver(spine, "e"))
    assert [entry.position for entry in spine.entries()] == [1, 2, 6, 7, 8, 9, 10]
    with Ledger(spine.hub_db) as ledger:
        (hole,) = ledger.holes(ledger.journal(spine.journal_id))
    assert list(hole.digests) == [entry.digest for entry in lost]
    assert (hole.first, hole.last, hole.approval) == (3, 5, request.id)
    _check_receipts(spine)
    spine.check_ledger()


def _clear_index(path: Path) -> None:
    clear_page(path, "sqlite_autoindex_receipts_1")


def _harm(statement: str) -> Callable[[Path], None]:
    return lambda path: damage(path, statement)


@pytest.mark.parametrize(("harm", "mended"), [
    (_harm("UPDATE log_view SET checkpoint = cast(x'ff' || checkpoint AS TEXT)"), True),
    (_harm("UPDATE log_view SET checkpoint = replace(checkpoint, '/1', '/2')"), True),
    (_harm("DELETE FROM log_view"), True),
    (_clear_index, False),
])
def test_what_the_disk_did_to_receipts_stops_no_delivery_and_accuses_no_hub(
        tmp_path: Path, harm: Callable[[Path], None], mended: bool) -> None:
    """Invariant 6: the log still has to grow out of the newest checkpoint that can be read."""
    spine = Spine(tmp_path)
    asyncio.run(_deliver(spine, "a"))
    harm(spine.journal_db)

    async def go_on() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            book = spine.receipts(journal)
            assert (await book.opening()).startswith("suozhan.hub/")
            await journal.submit(draft("b"))
            await _until(spine, journal, CutWire(ingest, spine.edge_id),
                         lambda: not journal.queued and bool(spine.alarms.open_alarms())
                         and (not mended or _proved(spine) == journal.head.position))
            assert not journal.stopped

    asyncio.run(go_on())
    (alarm,) = spine.alarms.open_alarms()
    assert (alarm.kind, alarm.evidence) == ("receipts-damaged", "")
    assert "suozhan-edge verify" in alarm.text
    if mended:
        assert list(spine.receipt_check().findings()) == []


def test_nothing_is_pruned_by_receipts_of_a_tree_that_the_hub_has_no_more(tmp_path: Path) -> None:
    """Invariant 3: a hub that came back from a backup proves anew what it holds."""
    spine = Spine(tmp_path)

    def without_proof(message: sync_pb2.ReplicateDown) -> sync_pb2.ReplicateDown:
        if message.HasField("receipt"):
            message.receipt.checkpoint = "nonsense"
        return message

    async def live() -> None:
        async with spine.journal() as journal:
            await journal.submit(draft("a"))
            async with spine.ingest() as ingest:
                await _until(spine, journal, CutWire(ingest, spine.edge_id), lambda: _proved(spine) == 2)
            back_up(spine.hub_db, tmp_path / "backup.db")
            _restore(spine, tmp_path / "backup.db")
            with Ledger(spine.hub_db) as ledger:
                ledger.mark_backed_up({spine.journal_id: 2})
            async with spine.ingest() as ingest:
                await _until(spine, journal, ChangingWire(ingest, spine, without_proof),
                             lambda: journal.standing.backed_up == 2 and bool(spine.alarms.open_alarms()))
                assert await journal.pruned_to() == 0
                await _until(spine, journal, CutWire(ingest, spine.edge_id), lambda: spine.first_held() == 2)

    asyncio.run(live())
    assert [one.epoch for one in ReceiptStore(spine.journal_db).after(0)] == [1, 2]


def test_a_hole_that_is_too_large_for_one_request_is_asked_for_in_several(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.ledger.holes.MISSING_MAX_RECORDS", 2)
    monkeypatch.setattr("edge.uplink.MISSING_STEP", 1)
    spine = Spine(tmp_path)
    back_up(spine.hub_db, tmp_path / "old.db")  # of a hub that has no record of the machine
    asyncio.run(_deliver(spine, "a", "b", "c"))
    back_up(spine.hub_db, tmp_path / "new.db")
    asyncio.run(_deliver(spine, "d"))
    Path(f"{spine.hub_db}-wal").unlink(missing_ok=True)
    shutil.copy(tmp_path / "old.db", spine.hub_db)
    spine.transparency().open_epoch()
    engine = open_engine(spine.hub_db)
    approvals = Approvals(engine, spine.own, spine.clock)

    async def come_back(expected: str) -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            assert await journal.pruned_to() == 3
            with pytest.raises(HubRefused, match=expected):
                await spine.uplink(journal, CutWire(ingest, spine.edge_id)).session()

    asyncio.run(come_back("HOLE: positions 1 to 2 .* approve 1"))
    approvals.decide(1, "周敏", "the backup is gone", approved=True)
    asyncio.run(come_back("HOLE: positions 3 to 3 .* approve 2"))
    approvals.decide(2, "周敏", "the backup is gone", approved=True)
    engine.dispose()
    asyncio.run(_deliver(spine, "e"))
    assert [entry.position for entry in spine.entries()] == [4, 5, 6, 7, 8]
    with Ledger(spine.hub_db) as ledger:
        head = ledger.journal(spine.journal_id)
        assert [(hole.first, hole.last) for hole in ledger.holes(head)] == [(1, 2), (3, 3)]
        assert [entry.position for entry in ledger.entries(head, 0)] == [4, 5, 6, 7, 8]
    spine.check_ledger()


def test_a_receipt_that_the_disk_does_not_take_alarms_nobody_and_the_next_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub goes on from what it has given: its next proof would else look like a rewritten history."""
    spine = Spine(tmp_path)
    keep, full = ReceiptStore.keep, []

    def fail_once(self: ReceiptStore, checkpoint: str, receipt: Receipt | None) -> None:
        if not full:
            full.append(receipt)
            raise sqlite3.OperationalError("database or disk is full")
        keep(self, checkpoint, receipt)

    async def live() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            await journal.submit(draft("first"))
            await _until(spine, journal, CutWire(ingest, spine.edge_id), lambda: _proved(spine) == journal.head.position)
            monkeypatch.setattr(ReceiptStore, "keep", fail_once)

            async def next_ones() -> None:
                await journal.submit(draft("unkept"))
                while not full:
                    await asyncio.sleep(0.01)
                await journal.submit(draft("kept"))

            submitting = asyncio.create_task(next_ones())
            await _until(spine, journal, CutWire(ingest, spine.edge_id),
                         lambda: submitting.done() and _proved(spine) == journal.head.position)
            submitting.result()

    asyncio.run(live())
    assert spine.alarms.open_alarms() == ()
    _check_receipts(spine)


def test_a_busy_moment_costs_a_stream_none_of_its_later_receipts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spine = Spine(tmp_path)
    known_by, asked = Receipts.known_by, []

    def busy_twice(self: Receipts, note: str, published: Published) -> Known:
        asked.append(published.size)
        if len(asked) == 1:
            raise sqlite3.OperationalError("database is locked")
        if len(asked) == 2:
            raise TileMissing("tile 0 of level 0 has 0 bytes")
        return known_by(self, note, published)

    monkeypatch.setattr(Receipts, "known_by", busy_twice)

    async def live() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:

            async def go_on() -> None:  # so that there are checkpoints
                while len(asked) < 3:
                    await journal.submit(draft(str(len(asked))))
                    await asyncio.sleep(0.05)

            going = asyncio.create_task(go_on())
            await _until(spine, journal, CutWire(ingest, spine.edge_id),
                         lambda: going.done() and _proved(spine) == journal.head.position)
            going.result()

    asyncio.run(live())
    assert [one.kind for one in spine.hub_alarms()] == ["tree-damaged"]  # of the second one
    _check_receipts(spine)


def test_a_database_that_takes_no_alarm_ends_no_machines_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spine, tried = Spine(tmp_path), list[str]()

    def locked(_self: Alarms, kind: str, _subject: str, _text: str) -> None:
        tried.append(kind)
        raise sa.exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr(Alarms, "raise_alarm", locked)
    monkeypatch.setattr(ReceiptBook, "opening", _foreign)

    async def live() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            await journal.submit(draft("a"))
            wire = CutWire(ingest, spine.edge_id)
            session = asyncio.create_task(spine.uplink(journal, wire).session())
            async with asyncio.timeout(CEILING_S):
                while not tried or journal.queued:
                    await asyncio.sleep(0.01)
                await journal.submit(draft("b"))
                while journal.queued:
                    await asyncio.sleep(0.01)
            assert not session.done()
            session.cancel()
            with suppress(asyncio.CancelledError):
                await session
            assert len(wire.sent) >= 3  # one stream: its beginning, and two batches

    asyncio.run(live())
    assert tried == ["foreign-checkpoint"]


async def _foreign(_book: ReceiptBook) -> str:
    return "of another hub"


class RepeatingWire(CutWire):
    """Every receipt comes twice."""

    repeated = 0

    async def replicate(self, requests: AsyncIterator[sync_pb2.ReplicateUp]) -> AsyncGenerator[sync_pb2.ReplicateDown, None]:
        async for message in super().replicate(requests):
            yield message
            if message.HasField("receipt"):
                yield message
                self.repeated += 1  # it has been taken


def test_a_receipt_that_comes_twice_alarms_nobody(tmp_path: Path) -> None:
    """A repeat is success; its proof begins where the machine no longer stands."""
    spine = Spine(tmp_path)
    asyncio.run(_deliver(spine, "first"))

    async def live() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            await journal.submit(draft("second"))
            wire = RepeatingWire(ingest, spine.edge_id)
            await _until(spine, journal, wire, lambda: wire.repeated > 0)

    asyncio.run(live())
    assert spine.alarms.open_alarms() == ()
    _check_receipts(spine)
