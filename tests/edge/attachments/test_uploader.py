"""The uploader when something is wrong with a blob, a record, the hub or its answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from edge.attachments import uploader as module
from edge.attachments import wire
from edge.attachments.attached import Attached
from edge.attachments.attachments import Attachments
from edge.attachments.wire import Down, Up
from edge.drafts import JournalBusy
from edge.line import HubRefused, LineLost
from hub.attachments import inbox
from hub.attachments.tables import attachment_names
from proto import sync_pb2
from tests.attaching import NoRecords, ScanningSpine, scan, uploading
from tests.spine import CEILING_S


@pytest.fixture
def spine(tmp_path: Path) -> ScanningSpine:
    return ScanningSpine(tmp_path)


async def _waits(attachments: Attachments, size: int = 1_000, caller: str = "t1") -> Attached:
    attached = await attachments.put(scan(size), "application/pdf")
    await attachments.name([attached], caller)
    return attached


def _blob(spine: ScanningSpine, attached: Attached) -> Path:
    return spine.blobs / f"{attached.seal.address.hex()}.blob"


@pytest.mark.parametrize("harm", ["flipped", "gone"])
def test_a_blob_that_the_disk_has_changed_is_told_and_stands_in_nobodys_way(spine: ScanningSpine, harm: str) -> None:
    async def scenario() -> None:
        async with spine.attachments() as attachments:
            bad, good = await _waits(attachments), await _waits(attachments)
            path = _blob(spine, bad)
            if harm == "gone":
                path.unlink()
            else:
                data = path.read_bytes()
                path.write_bytes(data[:500] + bytes([data[500] ^ 1]) + data[501:])
            await spine.upload(attachments, spine.wire())
            assert attachments.waiting() == [good.seal.address]
            assert spine.files.intact(good.seal.address)
            [alarm] = spine.alarms.open_alarms()
            assert (alarm.kind, "t1" in alarm.text) == ("attachment-damaged", True)
            assert path.with_suffix(".damaged").exists() is (harm == "flipped")
            assert not path.with_suffix(".names").exists()

    asyncio.run(scenario())


def test_what_the_hub_has_of_a_changed_part_is_thrown_away_and_sent_again(spine: ScanningSpine) -> None:
    async def scenario() -> None:
        async with spine.attachments() as attachments:
            attached = await _waits(attachments, 100_000)
            spine.files.write_part(spine.edge_id, attached.seal.address, 0, bytes(50_000))
            await spine.upload(attachments, spine.wire())
            assert spine.files.intact(attached.seal.address)

    asyncio.run(scenario())


def test_a_hub_that_never_keeps_what_it_gets_is_told(spine: ScanningSpine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.attachments.files._digest", lambda path: bytes(32))

    async def scenario() -> None:
        async with spine.attachments() as attachments, asyncio.timeout(CEILING_S):
            await _waits(attachments)
            with pytest.raises(HubRefused, match="does not keep"):
                await spine.uploader(attachments, spine.wire().replicate, NoRecords()).session()
            assert len(attachments.waiting()) == 1

    asyncio.run(scenario())


def test_a_full_disk_of_the_hub_keeps_the_scan_here_until_there_is_room(spine: ScanningSpine) -> None:
    async def scenario() -> None:
        async with spine.attachments() as attachments, asyncio.timeout(CEILING_S):
            attached = await _waits(attachments)
            spine.reserve_bytes = 10**18
            with pytest.raises(HubRefused, match=r"UNAVAILABLE: the hub's disk is full"):
                await spine.uploader(attachments, spine.wire().replicate, NoRecords()).session()
            spine.reserve_bytes = 0
            await spine.upload(attachments, spine.wire())
            assert attachments.waits(attached.seal.address)

    asyncio.run(scenario())


def test_a_machine_cannot_fill_the_hub_with_what_no_record_names(spine: ScanningSpine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "UNNAMED_MAX", 2)

    async def scenario() -> None:
        async with spine.attachments() as attachments, asyncio.timeout(CEILING_S):
            for _ in range(3):
                await _waits(attachments)
            with pytest.raises(HubRefused, match="TOO_MUCH"):
                await spine.uploader(attachments, spine.wire().replicate, NoRecords()).session()
            assert [spine.files.holds(one) for one in attachments.waiting()] == [True, True, False]

    asyncio.run(scenario())


def test_what_the_hub_refuses_for_want_of_a_record_keeps_nothing_else_waiting(spine: ScanningSpine,
                                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "UNNAMED_MAX", 0)
    monkeypatch.setattr(module, "QUESTION_MAX", 1)

    async def scenario() -> None:
        async with spine.attachments() as attachments, asyncio.timeout(CEILING_S):
            unnamed, named = await _waits(attachments), await _waits(attachments)
            _name(spine, named)
            with pytest.raises(HubRefused, match="TOO_MUCH"):
                await spine.uploader(attachments, spine.wire().replicate, NoRecords()).session()
            assert [spine.files.holds(one.seal.address) for one in (unnamed, named)] == [False, True]

    asyncio.run(scenario())


def _name(spine: ScanningSpine, attached: Attached) -> None:
    """As if the hub had read a record that names it."""
    with spine.engine.begin() as connection:
        connection.execute(attachment_names.insert().values(
            cursor=1, number=1, record="r", edge="e", journal="j", position=1, address=attached.seal.address.hex(),
            media_type="application/pdf", size=1))


def test_what_no_record_names_after_all_is_not_sent_and_goes_after_hours(spine: ScanningSpine) -> None:
    """Of a crash between the names and the record. While nobody can tell, it stays."""

    class Busy(NoRecords):
        async def has(self, caller_id: str) -> bool:
            raise JournalBusy("not now")

    async def look(attachments: Attachments, records: NoRecords, *, goes: bool = False) -> None:
        uploader, sent = spine.uploader(attachments, (line := spine.wire()).replicate, records), 0
        async with uploading(uploader), asyncio.timeout(CEILING_S):
            while not line.heard:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.1)
            while goes and (attachments.waiting() or list(spine.blobs.iterdir())):
                await asyncio.sleep(0.005)
            sent = sum(one.HasField("part") for one in line.sent)
        assert sent == 0

    async def scenario() -> None:
        async with spine.attachments() as attachments:
            attached = await _waits(attachments)
            await look(attachments, NoRecords(stored=False))
            assert attachments.waits(attached.seal.address)
            spine.clock.up_ms += module.ORPHAN_MS
            await look(attachments, Busy())
            assert attachments.waits(attached.seal.address)
            await look(attachments, NoRecords(stored=False), goes=True)
            assert attachments.waiting() == []
            assert list(spine.blobs.iterdir()) == []

    asyncio.run(scenario())


def test_what_the_hub_knows_a_record_names_is_sent_though_this_machine_lost_the_record(spine: ScanningSpine) -> None:
    async def scenario() -> None:
        async with spine.attachments() as attachments:
            attached = await _waits(attachments)
            _name(spine, attached)
            spine.clock.up_ms += module.ORPHAN_MS
            await spine.upload(attachments, spine.wire(), NoRecords(stored=False))
            assert spine.files.intact(attached.seal.address)

    asyncio.run(scenario())


def test_a_rate_is_kept(spine: ScanningSpine) -> None:
    async def scenario() -> None:
        async with spine.attachments() as attachments:
            attached = await _waits(attachments, 200_000)
            uploader = spine.uploader(attachments, spine.wire().replicate, NoRecords(), rate_bytes_s=500_000)
            began = time.monotonic()
            async with uploading(uploader), asyncio.timeout(CEILING_S):
                while not spine.files.holds(attached.seal.address):
                    await asyncio.sleep(0.005)
            assert time.monotonic() - began > 0.26  # the last part, of 64 KiB at most, is not waited for

    asyncio.run(scenario())


class Hub:
    """Says these messages, one for each that it hears, and then nothing."""

    def __init__(self, *messages: Down) -> None:
        self._messages = messages

    async def attach(self, requests: AsyncIterator[Up]) -> AsyncGenerator[Down, None]:
        for message in self._messages:
            await anext(requests)
            yield message


ANSWER = Down(answer=sync_pb2.AttachAnswer(fates=["MISSED"]))
STRANGE = Down(standing=sync_pb2.AttachStanding(address=bytes(32), held=5))


@pytest.mark.parametrize("messages", [
    (Down(),), (Down(answer=sync_pb2.AttachAnswer(fates=["HELD", "HELD"])),), (STRANGE,), (ANSWER, STRANGE), (ANSWER, ANSWER)],
    ids=["nothing", "two-fates", "another-word", "another-address", "two-answers"])
def test_a_hub_that_says_something_else_is_refused(spine: ScanningSpine, messages: tuple[Down, ...]) -> None:
    async def scenario() -> None:
        async with spine.attachments() as attachments, asyncio.timeout(CEILING_S):
            await _waits(attachments)
            with pytest.raises(HubRefused, match="same version"):
                await spine.uploader(attachments, Hub(*messages).attach, NoRecords()).session()

    asyncio.run(scenario())


def test_a_hub_that_ends_or_says_nothing_is_a_lost_line(spine: ScanningSpine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Hub):
        async def attach(self, requests: AsyncIterator[Up]) -> AsyncGenerator[Down, None]:
            if self._messages:
                yield self._messages[0]
            await asyncio.Event().wait()

    async def scenario() -> None:
        async with spine.attachments() as attachments, asyncio.timeout(CEILING_S):
            await _waits(attachments)
            with pytest.raises(LineLost, match="ended"):
                await spine.uploader(attachments, Hub(ANSWER).attach, NoRecords()).session()
            monkeypatch.setattr(wire, "ANSWER_MAX_S", 0.05)
            with pytest.raises(LineLost, match="does not answer"):
                await spine.uploader(attachments, Mute().attach, NoRecords()).session()

    asyncio.run(scenario())
