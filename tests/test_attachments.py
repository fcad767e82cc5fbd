"""The promise for scans (invariants 2, 3, 7, 11): sealed before they are written, uploaded whole behind all records whatever is
lost or killed, and kept by their machine until the hub has them safe."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from edge.attachments import uploader
from edge.attachments.attachments import Attachments
from edge.attachments.records import JournalRecords
from edge.attachments.uploader import ASK_AGAIN_MS
from hub.attachments.inbox import Fate
from hub.attachments.tables import attachments as attachment_rows
from hub.backup import back_up
from tests.attaching import MARK, NoRecords, ScanningSpine, end, record_of, scan, uploading
from tests.spine import CEILING_S, CutWire


@pytest.fixture
def spine(tmp_path: Path) -> ScanningSpine:
    return ScanningSpine(tmp_path)


async def _one_waits(attachments: Attachments, content: bytes) -> bytes:
    """Its address."""
    attached = await attachments.put(content, "application/pdf")
    await attachments.name([attached], "t1")
    return attached.seal.address


def test_a_scan_goes_with_its_record_and_is_opened_at_the_hub_only(spine: ScanningSpine) -> None:
    content = scan()

    async def scenario() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest, spine.attachments() as attachments:
            first = await attachments.put(content, "application/pdf")
            second = await attachments.put(b"\xff\xd8\xff" + content, "image/jpeg")
            await spine.store(journal, attachments, "t1", first, second)
            await spine.drain(journal, CutWire(ingest, spine.edge_id))
            await spine.upload(attachments, spine.wire())

    asyncio.run(scenario())
    spine.project()
    place, named, opened = spine.reader().read(record_of(spine, "t1"), 1, None)
    assert opened == content
    assert (place.media_type, named.size, named.sha256) == ("application/pdf", len(content), hashlib.sha256(content).hexdigest())
    assert spine.reader().read(record_of(spine, "t1"), 2, None)[2] == b"\xff\xd8\xff" + content
    key = named.seal.key
    for path in spine.folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        assert MARK not in data, path
        assert key not in data, path
        assert key.hex().encode() not in data, path
    spine.check_ledger()


FATES = ["cut-before", "cut-after", "double"]


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("number", range(8))
def test_each_message_lost_or_doubled_in_turn(spine: ScanningSpine, direction: str, fate: str, number: int) -> None:
    async def scenario() -> None:
        async with spine.attachments() as attachments:
            address = await _one_waits(attachments, scan(500_000))
            await spine.upload(attachments, spine.wire({(direction, number): fate}))
            assert spine.files.intact(address)
            assert attachments.waits(address)

    asyncio.run(scenario())


@pytest.mark.parametrize("who", ["machine", "hub", "both"])
def test_an_upload_goes_on_from_the_hubs_word_after_a_restart(spine: ScanningSpine, who: str) -> None:
    sent: list[int] = []

    async def life(content: bytes | None, parts_max: int) -> None:
        async with spine.attachments() as attachments:
            if content is not None:
                await _one_waits(attachments, content)
            wire = spine.wire({("up", parts_max): "cut-before"})
            async with asyncio.timeout(CEILING_S):
                with pytest.raises(Exception, match="cut the line"):
                    await spine.uploader(attachments, wire.replicate, NoRecords()).session()
            sent.append(sum(len(one.part.data) for one in wire.sent[:-1]))

    asyncio.run(life(scan(2_000_000), 8))
    if who != "machine":
        spine.engine.dispose()
    asyncio.run(life(None, 6))
    assert all(sent)

    async def finish() -> None:
        async with spine.attachments() as attachments:
            [address] = attachments.waiting()
            wire = spine.wire()
            await spine.upload(attachments, wire)
            assert spine.files.intact(address)
            assert sum(sent) + sum(len(one.part.data) for one in wire.sent) == attachments.size(address)

    asyncio.run(finish())


def test_no_part_is_sent_while_a_record_waits(spine: ScanningSpine) -> None:
    async def scenario() -> None:
        async with spine.attachments() as attachments, asyncio.timeout(CEILING_S):
            address = await _one_waits(attachments, scan(4_000_000))
            wire, records = spine.wire(), NoRecords(held=False)
            async with uploading(spine.uploader(attachments, wire.replicate, records)):
                await asyncio.sleep(0.3)
                assert wire.sent == []
                records.held = True
                while len(wire.sent) < 4:
                    await asyncio.sleep(0.001)
                records.held, before = False, len(wire.sent)
                await asyncio.sleep(0.3)
                assert len(wire.sent) <= before + 1
                assert not spine.files.holds(address)
                records.held = True
                while not spine.files.holds(address):
                    await asyncio.sleep(0.005)

    asyncio.run(scenario())


class SlowWire(CutWire):
    """Each message up takes its time, and is told in a log that several wires share."""

    log: list[str]

    async def replicate(self, requests):  # type: ignore[no-untyped-def]
        async def slowly():  # type: ignore[no-untyped-def]
            async for message in requests:
                await asyncio.sleep(0.02)
                self.log.append(str(message.WhichOneof("message")))
                yield message

        async for message in super().replicate(slowly()):
            yield message


def test_a_big_scan_delays_a_transaction_by_no_more_than_one_part(spine: ScanningSpine) -> None:
    async def scenario() -> None:
        async with (asyncio.timeout(CEILING_S), spine.journal() as journal, spine.ingest() as ingest,
                    spine.attachments() as attachments):
            log: list[str] = []
            up, scans = SlowWire(ingest, spine.edge_id), SlowWire(spine.wire().ingest, spine.edge_id)
            up.log = scans.log = log
            replicating = asyncio.create_task(spine.uplink(journal, up).session())
            big = await attachments.put(scan(12_000_000), "application/pdf")  # it outlasts all that is stored here
            await spine.store(journal, attachments, "t1", big)
            async with uploading(spine.uploader(attachments, scans.replicate, JournalRecords(journal))):
                while log.count("part") < 10:
                    await asyncio.sleep(0.001)
                for number in range(5):
                    await asyncio.sleep(0.05)
                    await spine.store(journal, attachments, f"u{number}")
                    log.append("stored")
                    while journal.queued:
                        await asyncio.sleep(0.001)
                    log.append("held")
            await end(replicating)
            assert not spine.files.holds(big.seal.address)
            stored = [index for index, word in enumerate(log) if word == "stored"]
            waits = [log[index:log.index("held", index)] for index in stored]
            assert len(waits) == 5
            assert all(one.count("part") <= 1 for one in waits), waits
            assert all(one.count("batch") <= 1 for one in waits), waits

    asyncio.run(scenario())


def test_a_scan_is_forgotten_once_a_backup_holds_it_and_its_record(spine: ScanningSpine, tmp_path: Path) -> None:
    records = NoRecords()

    async def scenario() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest, spine.attachments() as attachments:
            first, second = [await attachments.put(scan(1_000), "application/pdf") for _ in range(2)]
            await spine.store(journal, attachments, "t1", first)
            await spine.drain(journal, CutWire(ingest, spine.edge_id))
            await attachments.name([second], "t2")  # held, and no record says so
            await spine.upload(attachments, spine.wire(), records)
            addresses = [first.seal.address, second.seal.address]
            assert spine.inbox().fates(spine.edge_id, addresses) == [Fate.UNNAMED, Fate.UNNAMED]
            await asyncio.to_thread(back_up, spine.hub_db, tmp_path / "too-early.db")  # no record is projected yet
            assert spine.inbox().fates(spine.edge_id, addresses) == [Fate.UNNAMED, Fate.UNNAMED]
            await asyncio.to_thread(spine.project)
            assert spine.inbox().fates(spine.edge_id, addresses) == [Fate.HELD, Fate.UNNAMED]
            await asyncio.to_thread(back_up, spine.hub_db, tmp_path / "backup.db")
            assert spine.inbox().fates(spine.edge_id, addresses) == [Fate.SAFE, Fate.UNNAMED]
            assert attachments.waiting() == addresses
            async with uploading(spine.uploader(attachments, spine.wire().replicate, records)), asyncio.timeout(CEILING_S):
                while attachments.waits(addresses[0]):
                    await asyncio.sleep(0.005)
            assert attachments.waiting() == addresses[1:]
            assert sorted(path.stem for path in spine.blobs.glob("*.blob")) == [addresses[1].hex()]

    asyncio.run(scenario())


def test_a_backup_asks_the_machine_again_without_a_new_stream(spine: ScanningSpine, tmp_path: Path) -> None:
    records = NoRecords()

    async def scenario() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest, spine.attachments() as attachments:
            attached = await attachments.put(scan(1_000), "application/pdf")
            await spine.store(journal, attachments, "t1", attached)
            await spine.drain(journal, CutWire(ingest, spine.edge_id))
            await asyncio.to_thread(spine.project)
            wire = spine.wire()
            async with uploading(spine.uploader(attachments, wire.replicate, records)), asyncio.timeout(CEILING_S):
                while not await asyncio.to_thread(spine.rows, attachment_rows):
                    await asyncio.sleep(0.005)
                await asyncio.to_thread(back_up, spine.hub_db, tmp_path / "backup.db")
                records.backups += 1
                while attachments.waiting():
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


@pytest.mark.parametrize("sign", ["hour", "mark"])
def test_a_hub_that_lost_its_attachments_gets_them_again(spine: ScanningSpine, sign: str,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked every hour, and when it is backed up otherwise than before, as after a restore."""
    monkeypatch.setattr(uploader, "LOOK_S", 0.05)
    records = NoRecords()

    async def scenario() -> None:
        async with spine.attachments() as attachments, asyncio.timeout(CEILING_S):
            address = await _one_waits(attachments, scan(1_000))
            async with uploading(spine.uploader(attachments, spine.wire().replicate, records)):
                for _ in range(2):
                    while not await asyncio.to_thread(spine.files.holds, address):
                        await asyncio.sleep(0.005)
                    await asyncio.sleep(0.1)
                    spine.files.path(address).unlink()
                    while not await asyncio.to_thread(spine.files.holds, address):  # it may not have heard yet that it was held
                        if sign == "mark":
                            records.backups -= 1
                        else:
                            spine.clock.up_ms += ASK_AGAIN_MS + 1
                        await asyncio.sleep(0.1)

    asyncio.run(scenario())


CUTS = st.dictionaries(st.tuples(st.sampled_from(["up", "down"]), st.integers(0, 20)), st.sampled_from(FATES), max_size=6)
# Scans of a day, what the line does to it, and after how many messages the machine is switched off (0: not).
DAYS = st.lists(st.tuples(st.lists(st.integers(9, 300_000), min_size=1, max_size=3), CUTS, st.integers(0, 12)), min_size=1,
                max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
          phases=(Phase.explicit, Phase.generate))  # shrinking takes minutes
@given(days=DAYS)
def test_every_scan_that_a_record_names_arrives_whole_and_is_forgotten_only_then(
    days: list[tuple[list[int], dict[tuple[str, int], str], int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_live(ScanningSpine(Path(folder)), days))


async def _live(spine: ScanningSpine, days: list[tuple[list[int], dict[tuple[str, int], str], int]]) -> None:
    said: list[tuple[str, bytes]] = []
    async with asyncio.timeout(CEILING_S):
        for number, (sizes, cuts, messages) in enumerate(days):
            async with spine.journal() as journal, spine.ingest() as ingest, spine.attachments() as attachments:
                for one, size in enumerate(sizes):
                    content = b"%PDF-" + os.urandom(size)
                    await spine.store(journal, attachments, f"d{number}-{one}", await attachments.put(content, "application/pdf"))
                    said.append((f"d{number}-{one}", content))
                await spine.drain(journal, CutWire(ingest, spine.edge_id))
                wire = spine.wire(cuts)
                uploading_ = asyncio.create_task(spine.upload(attachments, wire))
                while not uploading_.done() and not 0 < messages <= len(wire.sent):
                    await asyncio.wait([uploading_], timeout=0.002)
                await end(uploading_)
        spine.project()
        async with spine.attachments() as attachments:
            await spine.upload(attachments, spine.wire())
            back_up(spine.hub_db, spine.folder / "backup.db")
            async with uploading(spine.uploader(attachments, spine.wire().replicate, NoRecords())):
                while attachments.waiting():
                    await asyncio.sleep(0.005)
    for caller, content in said:
        assert spine.reader().read(record_of(spine, caller), 1, None)[2] == content
    assert list(spine.blobs.iterdir()) == []
    spine.engine.dispose()
