"""Events of devices on their way into the journal, and from there to the hub's view."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from devices.contract import DeviceIdentity, DeviceState, DeviceStatus
from edge.drafts import Draft, JournalFull, Stored
from edge.equipment import recorder as recorder_module
from edge.equipment.device import DeviceView
from edge.equipment.events import Lister
from edge.equipment.recorder import LOST, DeviceRecorder
from edge.journal import Journal
from hub.database import open_engine
from hub.fleet.devices import ailing_devices, devices_of, events_behind
from hub.fleet.view import DeviceEventBody, DeviceEventView
from hub.migrate import upgrade
from hub.projection.projector import Projector
from tests.spine import CEILING_S, CutWire, HandClock, Spine

OLD, NEW = DeviceIdentity("LaserJet", "S-1"), DeviceIdentity("LaserJet", "S-2")
JAMMED = DeviceStatus(DeviceState.HARDWARE_ERROR, OLD, ("paperJammed",))


def view(status: DeviceStatus, name: str = "printer-1") -> DeviceView:
    return DeviceView(name, "printer", status, 0)


class Full:
    """A journal that takes nothing until it has room."""

    def __init__(self) -> None:
        self.taken: list[Draft] = []
        self.full = True

    async def submit(self, draft: Draft) -> Stored:
        if self.full:
            raise JournalFull("quota")
        self.taken.append(draft)
        return Stored(None, len(self.taken), repeat=False)  # type: ignore[arg-type]


async def recorded(recorder: DeviceRecorder, journal: Journal | Full, until: int) -> None:
    writing = asyncio.create_task(recorder.run(journal))
    async with asyncio.timeout(CEILING_S):
        while (len(journal.taken) if isinstance(journal, Full) else journal.head.position) < until:
            await asyncio.sleep(0.005)
    writing.cancel()
    await asyncio.wait([writing])


def test_what_devices_do_reaches_the_hubs_view_once_and_in_order(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    engine = open_engine(spine.hub_db)
    upgrade(engine)

    async def act() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            recorder = DeviceRecorder(tmp_path / "devices.json", spine.clock)
            for status in (DeviceStatus(DeviceState.ONLINE, OLD), JAMMED, DeviceStatus(DeviceState.ONLINE, OLD),
                           DeviceStatus(DeviceState.NO_DEVICE), DeviceStatus(DeviceState.ONLINE, NEW)):
                recorder.notice(view(status))
            await recorded(recorder, journal, 6)  # behind the data key
            await spine.drain(journal, CutWire(ingest, spine.edge_id))

    asyncio.run(act())
    projector = Projector(engine, spine.hub_db, spine.unsealer(), [DeviceEventView()])
    while projector.step():
        pass
    events = events_behind(engine, spine.edge_id, 0, 100)
    assert [one["event"] for one in events] == ["attached", "fault", "recovered", "detached", "replaced"]
    assert (events[1]["reasons"], events[1]["mender"]) == ("paperJammed", "counter")
    assert events[1]["diagnosis"].startswith("打印机卡纸。")
    assert (events[4]["serial_before"], events[4]["serial"]) == ("S-1", "S-2")
    assert [one["cursor"] for one in devices_of(engine, spine.edge_id)] == [events[4]["cursor"]]
    engine.dispose()


def test_a_restart_tells_nothing_twice_and_notices_what_was_swapped_meanwhile(tmp_path: Path) -> None:
    spine, journal = Spine(tmp_path), Full()
    journal.full = False
    for status, kinds in ((DeviceStatus(DeviceState.ONLINE, OLD), ["device.attached"]),
                          (DeviceStatus(DeviceState.ONLINE, OLD), ["device.attached"]),
                          (DeviceStatus(DeviceState.ONLINE, NEW), ["device.attached", "device.replaced"])):
        async def act(status: DeviceStatus = status, kinds: list[str] = kinds) -> None:
            recorder = DeviceRecorder(tmp_path / "devices.json", spine.clock)
            recorder.notice(view(status))
            await recorded(recorder, journal, len(kinds))

        asyncio.run(act())
        assert [one.kind for one in journal.taken] == kinds


def test_what_a_full_journal_does_not_take_waits_and_is_counted_where_it_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "WAITING_MAX", 4)
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.01)
    spine, journal = Spine(tmp_path), Full()

    async def act() -> None:
        recorder = DeviceRecorder(tmp_path / "devices.json", spine.clock)
        for number in range(10):
            recorder.notice(view(DeviceStatus(DeviceState.ONLINE, OLD), f"printer-{number}"))
        writing = asyncio.create_task(recorder.run(journal))
        await asyncio.sleep(0.05)
        assert journal.taken == []
        journal.full = False
        async with asyncio.timeout(CEILING_S):
            while len(journal.taken) < 5:
                await asyncio.sleep(0.005)
        writing.cancel()
        await asyncio.wait([writing])

    asyncio.run(act())
    assert [one.kind for one in journal.taken] == [LOST] + ["device.attached"] * 4
    assert json.loads(journal.taken[0].body)["count"] == 6


class Slow(Full):
    """A journal that takes its time with each record."""

    async def submit(self, draft: Draft) -> Stored:
        await asyncio.sleep(0.02)
        return await super().submit(draft)


def test_what_is_lost_while_the_loss_is_recorded_is_counted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "WAITING_MAX", 4)
    spine, journal = Spine(tmp_path), Slow()
    journal.full = False

    async def act() -> None:
        recorder = DeviceRecorder(tmp_path / "devices.json", spine.clock)
        writing = asyncio.create_task(recorder.run(journal))
        for number in range(40):
            recorder.notice(view(DeviceStatus(DeviceState.ONLINE, OLD), f"printer-{number}"))
            await asyncio.sleep(0.005)
        async with asyncio.timeout(CEILING_S):
            while sum(one.kind != LOST for one in journal.taken) + lost(journal) < 40:
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        writing.cancel()
        await asyncio.wait([writing])

    def lost(journal: Full) -> int:
        return sum(json.loads(one.body)["count"] for one in journal.taken if one.kind == LOST)

    asyncio.run(act())
    assert lost(journal) > 0
    assert sum(one.kind != LOST for one in journal.taken) + lost(journal) == 40


def test_the_hub_shows_how_many_events_a_machine_lost_and_counts_no_device_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "WAITING_MAX", 1)
    spine = Spine(tmp_path)
    engine = open_engine(spine.hub_db)
    upgrade(engine)

    async def act() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            recorder = DeviceRecorder(tmp_path / "devices.json", spine.clock)
            for number in range(4):
                recorder.notice(view(DeviceStatus(DeviceState.ONLINE, OLD), f"printer-{number}"))
            await recorded(recorder, journal, 3)  # behind the data key
            await spine.drain(journal, CutWire(ingest, spine.edge_id))

    asyncio.run(act())
    projector = Projector(engine, spine.hub_db, spine.unsealer(), [DeviceEventView()])
    while projector.step():
        pass
    lost, attached = events_behind(engine, spine.edge_id, 0, 100)
    assert (lost["event"], lost["device"], lost["mender"]) == ("events-lost", "", "technician")
    assert "3条" in lost["diagnosis"]
    assert devices_of(engine, spine.edge_id) == [attached]
    assert ailing_devices(engine) == {}
    engine.dispose()


def test_a_fault_whose_words_change_all_the_time_is_told_in_its_newest_words_once_in_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "REWORDED_LOOK_S", 0.01)
    clock, journal = HandClock(), Full()
    journal.full = False

    async def act() -> None:
        recorder = DeviceRecorder(tmp_path / "devices.json", clock)
        for number in range(50):
            recorder.notice(view(DeviceStatus(DeviceState.HARDWARE_ERROR, OLD, (f"vendorCode{number}",))))
        await recorded(recorder, journal, 1)
        clock.up_ms += int(recorder_module.FAULT_AGAIN_S * 1_000)
        await recorded(recorder, journal, 2)
        recorder.notice(view(DeviceStatus(DeviceState.HARDWARE_ERROR, OLD, ("vendorCode50",))))
        recorder.notice(view(DeviceStatus(DeviceState.ONLINE, OLD)))  # what is mended is told at once, and so is a new fault
        recorder.notice(view(JAMMED))
        await recorded(recorder, journal, 4)
        clock.up_ms += int(recorder_module.FAULT_AGAIN_S * 1_000)
        recorder.notice(view(JAMMED, "printer-2"))
        await recorded(recorder, journal, 5)

    asyncio.run(act())
    said = [(one.kind, *json.loads(one.body)["reasons"]) for one in journal.taken]
    assert said == [("device.fault", "vendorCode0"), ("device.fault", "vendorCode49"), ("device.recovered",),
                    ("device.fault", "paperJammed"), ("device.fault", "paperJammed")]


@pytest.mark.parametrize("identity", [
    DeviceIdentity("x" * 900_000, "y" * 900_000), DeviceIdentity("指纹仪\ud83d", "\udce4"),
    DeviceIdentity("x\0y", "\x1b[31m\u202e"),
])
def test_whatever_a_device_says_of_itself_is_recorded_as_the_hub_takes_it(tmp_path: Path, identity: DeviceIdentity) -> None:
    status = DeviceStatus(DeviceState.HARDWARE_ERROR, identity, tuple(f"vendorReason{number}\ud83d" for number in range(3_000)))

    async def act() -> None:
        journal = Full()
        journal.full = False
        recorder = DeviceRecorder(tmp_path / "devices.json", HandClock())
        recorder.notice(view(status))
        await recorded(recorder, journal, 1)
        body = DeviceEventBody.model_validate_json(journal.taken[0].body)
        assert body.identity is not None
        assert (body.identity.model + body.identity.serial + "".join(body.reasons)).isprintable()
        DeviceRecorder(tmp_path / "devices.json", HandClock()).notice(view(status))

    asyncio.run(act())


def test_who_lists_a_device_is_kept_though_nothing_happens_to_it(tmp_path: Path) -> None:
    """A file that an agent of before wrote says it of none."""
    kept = tmp_path / "devices.json"
    kept.write_text('{"printer-1": {"condition": "here", "identity": {"model": "LaserJet", "serial": "S-1"}, "reasons": []}}')
    recorder, journal = DeviceRecorder(kept, HandClock(), lambda _: Lister.HUB), Full()
    assert recorder.listers == {"printer-1": Lister.NOBODY}

    async def act() -> None:
        async with asyncio.timeout(CEILING_S):
            writing = asyncio.create_task(recorder.run(journal))
            await asyncio.sleep(0)
            recorder.notice(view(DeviceStatus(DeviceState.ONLINE, OLD)))
            while DeviceRecorder(kept, HandClock()).listers != {"printer-1": Lister.HUB}:
                await asyncio.sleep(0.005)
            writing.cancel()
            await asyncio.wait([writing])

    asyncio.run(act())
    assert journal.taken == []


def test_a_device_that_is_still_in_use_as_its_list_drops_it_was_listed_all_the_same(tmp_path: Path) -> None:
    listers = {"printer-1": Lister.HUB}
    recorder = DeviceRecorder(tmp_path / "devices.json", HandClock(), lambda name: listers.get(name, Lister.NOBODY))
    recorder.notice(view(DeviceStatus(DeviceState.ONLINE, OLD)))
    listers.clear()
    recorder.notice(view(JAMMED))
    assert recorder.listers == {"printer-1": Lister.HUB}


@pytest.mark.parametrize("damage", [
    b"", b"{", b"[]", b'{"printer-1": {}}', b'{"printer-1": null}', b"\xff",
    b'{"printer-1": {"condition": "here", "identity": null, "reasons": [], "listed": "nobody knows"}}',
])
def test_a_damaged_file_of_what_is_known_stops_nothing(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "devices.json").write_bytes(damage)
    async def act() -> None:
        journal = Full()
        journal.full = False
        recorder = DeviceRecorder(tmp_path / "devices.json", HandClock())
        recorder.notice(view(JAMMED))
        await recorded(recorder, journal, 1)

    asyncio.run(act())


def test_the_newest_event_of_each_device_is_asked_for_by_machine(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    engine = open_engine(spine.hub_db)
    assert devices_of(engine, spine.edge_id) == []
    engine.dispose()
