"""Devices that left their list are told as gone, once; what no list named is only away, and somebody has to see to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devices.contract import DeviceIdentity, DeviceState, DeviceStatus
from devices.simulated.wire import SimulatedReaders
from edge.drafts import Draft, Stored
from edge.equipment import departures
from edge.equipment.card_source import CardReaderSource
from edge.equipment.departures import GONE_LOOKS, Departures
from edge.equipment.device import DeviceView
from edge.equipment.device_list import CurrentList, ListedDevice, listed
from edge.equipment.equipment import Equipment
from edge.equipment.events import Lister
from edge.equipment.recorder import DeviceRecorder, EventJournal
from hub.database import open_engine
from hub.fleet.devices import ailing_devices, events_behind
from hub.fleet.view import DeviceEventView
from hub.migrate import upgrade
from hub.projection.projector import Projector
from tests.spine import CEILING_S, CutWire, HandClock, Spine

OLD = DeviceIdentity("LaserJet", "S-1")
JAMMED, GONE = DeviceStatus(DeviceState.HARDWARE_ERROR, OLD, ("paperJammed",)), DeviceStatus(DeviceState.NO_DEVICE)
READER = "ACS ACR39U 00 00"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departures, "LOOK_S", 0.005)


def view(status: DeviceStatus, name: str = "printer-1", kind: str = "printer") -> DeviceView:
    return DeviceView(name, kind, status, 0)


def printers(*names: str) -> tuple[ListedDevice, ...]:
    return listed([{"name": name, "kind": "printer", "uri": f"ipp://{name}/"} for name in names])


@dataclass
class Taken:
    """A journal that takes all."""

    drafts: list[Draft] = field(default_factory=list)

    async def submit(self, draft: Draft) -> Stored:
        self.drafts.append(draft)
        return Stored(None, len(self.drafts), repeat=False)  # type: ignore[arg-type]

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(one.kind.removeprefix("device."), json.loads(one.body)["device"]) for one in self.drafts]


@dataclass
class Machine:
    """What lasts over its starts. `views` are of what is looked after beside card readers; `of_hub` is what the hub lists."""

    kept: Path
    journal: EventJournal
    of_hub: tuple[ListedDevice, ...] | None = ()
    views: Callable[[], list[DeviceView]] = list
    looks: int = 0

    @asynccontextmanager
    async def started(self, readers: SimulatedReaders) -> AsyncIterator[DeviceRecorder]:
        current = CurrentList(())
        current.follow(lambda: self.of_hub)
        recorder = DeviceRecorder(self.kept, HandClock(), current.lister_of)
        equipment = Equipment([CardReaderSource(readers, simulated=True)], HandClock(), recorder.notice)

        def views() -> list[DeviceView]:
            self.looks += 1
            return [*equipment.views, *self.views()]

        async with asyncio.timeout(CEILING_S), readers, asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one) for one in (
                equipment.run(), recorder.run(self.journal), Departures(views, current.known_whole, recorder).run())]
            yield recorder
            while recorder._waiting or DeviceRecorder(self.kept, HandClock()).listers != recorder.listers:
                await asyncio.sleep(0.002)
            for one in running:
                one.cancel()

    async def looked(self, looks: int = 3 * GONE_LOOKS) -> None:
        until = self.looks + looks
        while self.looks < until:
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("left", [JAMMED, GONE])
@pytest.mark.parametrize(("name", "ailing"), [("printer-1", ["printer-2"]), (READER, [READER, "printer-2"])])
def test_after_a_restart_what_left_its_list_counts_nowhere_and_a_card_reader_that_nobody_listed_still_does(
    tmp_path: Path, left: DeviceStatus, name: str, ailing: list[str]
) -> None:
    spine = Spine(tmp_path)
    engine = open_engine(spine.hub_db)
    upgrade(engine)
    projector = Projector(engine, spine.hub_db, spine.unsealer(), [DeviceEventView()])

    async def act() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            machine = Machine(tmp_path / "devices.json", journal, printers("printer-1", "printer-2"))
            machine.views = lambda: [view(JAMMED, "printer-2"), view(left, name)]
            async with machine.started(SimulatedReaders()) as recorder:
                for status in (DeviceStatus(DeviceState.ONLINE, OLD), left):
                    recorder.notice(view(status, name))
                recorder.notice(view(JAMMED, "printer-2"))
                await machine.looked()
            await spine.drain(journal, CutWire(ingest, spine.edge_id))
            while projector.step():
                pass
            assert [one.device for one in ailing_devices(engine)[str(spine.edge_id)]] == sorted([name, "printer-2"])

            machine.of_hub, machine.views = printers("printer-2"), lambda: [view(JAMMED, "printer-2")]
            for _ in range(2):  # the second start tells nothing more
                async with machine.started(SimulatedReaders()):
                    await machine.looked()
            await spine.drain(journal, CutWire(ingest, spine.edge_id))

    asyncio.run(act())
    while projector.step():
        pass
    assert [one.device for one in ailing_devices(engine)[str(spine.edge_id)]] == ailing
    events = events_behind(engine, spine.edge_id, 0, 100)
    departed = [one for one in events if one["reasons"] == "unlisted"]
    assert [(one["event"], one["device"], one["kind"], one["serial"], one["mender"], one["diagnosis"]) for one in departed] == (
        [("detached", "printer-1", "printer", "S-1", "", "")] if name == "printer-1" else [])
    engine.dispose()


@pytest.mark.parametrize(("serial", "told"), [
    ("S-1", [("attached", READER)]), ("S-2", [("attached", READER), ("replaced", READER)]),
])
def test_a_reader_that_is_plugged_in_long_after_the_start_is_the_one_of_before_or_has_taken_its_place(
    tmp_path: Path, serial: str, told: list[tuple[str, str]]
) -> None:
    journal = Taken()
    machine = Machine(tmp_path / "devices.json", journal)

    async def act() -> None:
        evening = SimulatedReaders()
        async with machine.started(evening):
            evening.plug(READER, "S-1")
            while not journal.drafts:
                await asyncio.sleep(0.002)
        morning = SimulatedReaders()
        async with machine.started(morning) as recorder:
            await machine.looked()
            morning.plug(READER, serial)
            while len(journal.drafts) < len(told):
                await asyncio.sleep(0.002)
            await machine.looked()
            assert recorder.listers == {READER: Lister.NOBODY}

    asyncio.run(act())
    assert journal.told == told
    if serial == "S-2":
        body = json.loads(journal.drafts[-1].body)
        assert (body["before"]["serial"], body["identity"]["serial"]) == ("S-1", "S-2")


def test_a_machine_that_has_lost_its_list_takes_nothing_for_gone_until_the_hub_has_sent_one(tmp_path: Path) -> None:
    journal = Taken()
    both = [view(JAMMED, "printer-1"), view(JAMMED, "printer-2")]
    machine = Machine(tmp_path / "devices.json", journal, printers("printer-1", "printer-2"), lambda: both)

    async def act() -> None:
        async with machine.started(SimulatedReaders()) as recorder:
            for one in both:
                recorder.notice(one)
        machine.of_hub, machine.views = None, list
        async with machine.started(SimulatedReaders()):
            await machine.looked()
            assert [event for event, _ in journal.told] == ["fault", "fault"]
            machine.of_hub, machine.views = printers("printer-2"), lambda: [view(JAMMED, "printer-2")]
            await machine.looked()

    asyncio.run(act())
    assert journal.told[2:] == [("detached", "printer-1")]


def test_a_list_that_changes_back_within_the_minute_tells_nothing(tmp_path: Path) -> None:
    journal = Taken()
    machine = Machine(tmp_path / "devices.json", journal, printers("printer-1"))

    def views() -> list[DeviceView]:
        machine.of_hub = printers("printer-1") if machine.looks % GONE_LOOKS == 0 else ()
        return [view(JAMMED, one.name) for one in machine.of_hub]

    machine.views = views

    async def act() -> None:
        async with machine.started(SimulatedReaders()) as recorder:
            recorder.notice(view(JAMMED))
            await machine.looked()
            assert recorder.listers == {"printer-1": Lister.HUB}

    asyncio.run(act())
    assert journal.told == [("fault", "printer-1")]
