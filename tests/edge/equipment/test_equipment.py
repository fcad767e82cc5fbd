"""Devices looked after over their lives, with card readers on simulated wires."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from devices.contract import (
    UNREADABLE,
    CardAbsent,
    CardRefused,
    DeviceFault,
    DeviceState,
    DeviceStatus,
    Reading,
    Unreadable,
)
from devices.discovery import Discovery
from devices.generation import Generation
from devices.simulated.card import CardText
from devices.simulated.wire import SimulatedReaders
from edge.equipment import containment
from edge.equipment import device as device_module
from edge.equipment.actions import Event
from edge.equipment.card_source import CardReaderSource
from edge.equipment.commands import BadValues, Commands, CommandTimedOut, Order, UnknownCommand
from edge.equipment.containment import DRIVER_ERROR, DriverFailed
from edge.equipment.device import NO_ANSWER, DeviceBusy, DeviceView
from edge.equipment.device_list import IdCardReader, Printer
from edge.equipment.diagnosis import Mender, diagnose
from edge.equipment.equipment import Equipment, NoSuchDevice, Wanted
from edge.equipment.listed_source import ListedSource
from tests.spine import CEILING_S, HandClock

ZHANG = CardText(name="张三", id_number="11010519491231002X", card_number="A12345678")
LI = CardText(name="李四", id_number="410782199001010025", card_number="B87654321", sex="2")


@dataclass
class Counter:
    readers: SimulatedReaders
    equipment: Equipment
    commands: Commands
    noticed: list[DeviceView] = field(default_factory=list)

    async def until(self, condition: Callable[[], bool]) -> None:
        generation = -1
        while generation < 0 or not condition():
            generation = await self.equipment.changed(generation)

    def state(self, name: str = "R1") -> DeviceState:
        return self.equipment.device(name).view.state

    def read(self, user: str = "窗口1", timeout_s: float = 60.0, told: list[Event] | None = None) -> asyncio.Task[Reading[Any]]:
        events = [] if told is None else told
        return asyncio.create_task(self.commands.run(Order("R1", "read", user, timeout_s), events.append))


@asynccontextmanager
async def counter(*more: Wanted) -> AsyncIterator[Counter]:
    clock = HandClock()
    async with asyncio.timeout(CEILING_S), SimulatedReaders(readers=("R1",)) as readers:
        noticed: list[DeviceView] = []
        sources: list[Any] = [CardReaderSource(readers, simulated=True), Listed(more)]
        equipment = Equipment(sources, clock, noticed.append)
        running = asyncio.create_task(equipment.run())
        one = Counter(readers, equipment, Commands(equipment, lambda reading: None), noticed)
        try:
            await one.until(lambda: "R1" in {view.name for view in equipment.views} and one.state() is DeviceState.ONLINE)
            yield one
        finally:
            running.cancel()
            await asyncio.wait([running])
            assert running.cancelled()


class Listed:
    """A list that never changes."""

    def __init__(self, devices: tuple[Wanted, ...]) -> None:
        self._devices = devices

    def wanted(self) -> tuple[Wanted, ...]:
        return self._devices

    async def changed(self, after: int) -> int:
        if after == 0:
            return 1
        await asyncio.Event().wait()
        raise AssertionError


class Changing:
    """A list that is said anew."""

    def __init__(self, *devices: Wanted) -> None:
        self.devices = devices
        self._changes = Generation()

    def say(self, *devices: Wanted) -> None:
        self.devices = devices
        self._changes.rise()

    def wanted(self) -> tuple[Wanted, ...]:
        return self.devices

    async def changed(self, after: int) -> int:
        return await self._changes.above(after)


def at(act: Callable[[Counter], Awaitable[None]], *more: Wanted) -> None:
    async def come() -> None:
        async with counter(*more) as one:
            await act(one)

    asyncio.run(come())


def test_a_card_is_waited_for_and_read_as_soon_as_it_is_in() -> None:
    async def act(one: Counter) -> None:
        told: list[Event] = []
        reading = one.read(told=told)
        await one.until(lambda: one.state() is DeviceState.DEVICE_BUSY)
        await asyncio.sleep(0)
        one.readers.insert("R1", ZHANG)
        assert (await reading).data.name == "张三"
        assert [event.name for event in told] == ["present"]
        await one.until(lambda: one.state() is DeviceState.ONLINE)

    at(act)


def test_a_device_in_use_is_refused_to_others_and_says_by_whom() -> None:
    async def act(one: Counter) -> None:
        first = one.read("窗口1")
        await asyncio.sleep(0)
        with pytest.raises(DeviceBusy, match="窗口1"):
            await one.read("窗口2")
        assert one.equipment.device("R1").view.user == "窗口1"
        first.cancel()
        await asyncio.wait([first])
        one.readers.insert("R1", LI)
        assert (await one.read("窗口2")).data.name == "李四"

    at(act)


def test_a_card_that_is_pulled_while_it_is_read_ends_the_command_and_the_next_card_is_not_taken_for_it() -> None:
    async def act(one: Counter) -> None:
        one.readers.insert("R1", CardText(name="张三", pull_after=5))
        reading = one.read()
        with pytest.raises(CardAbsent):
            await reading
        one.readers.insert("R1", LI)
        assert (await one.read()).data.name == "李四"

    at(act)


def test_nobody_comes_and_the_command_ends_in_its_time() -> None:
    async def act(one: Counter) -> None:
        with pytest.raises(CommandTimedOut):
            await one.read(timeout_s=0.05)
        assert one.equipment.device("R1").view.user == ""

    at(act)


def test_what_there_is_not_is_refused() -> None:
    async def act(one: Counter) -> None:
        with pytest.raises(NoSuchDevice, match="R7"):
            await one.commands.run(Order("R7", "read", "窗口1"), lambda event: None)
        with pytest.raises(UnknownCommand) as unknown:
            await one.commands.run(Order("R1", "print", "窗口1"), lambda event: None)
        assert unknown.value.names == ("read", "read-with-pin")
        with pytest.raises(BadValues) as bad:
            await one.commands.run(Order("R1", "read-with-pin", "窗口1", values={"pin": "secret"}))
        assert bad.value.fields == ("pin",)

    at(act)


def test_a_reader_that_is_unplugged_is_away_and_comes_back_by_itself() -> None:
    async def act(one: Counter) -> None:
        one.readers.unplug("R1")
        await one.until(lambda: one.state() is DeviceState.NO_DEVICE)
        one.readers.plug("R1")
        await one.until(lambda: one.state() is DeviceState.ONLINE)
        states = [view.status.state for view in one.noticed if view.name == "R1"]
        assert states[-2:] == [DeviceState.NO_DEVICE, DeviceState.ONLINE]

    at(act)


class Imitation:
    """A driver that is shown a card which does not prove itself."""

    kind = "social-card"

    async def probe(self) -> DeviceStatus:
        return DeviceStatus(DeviceState.ONLINE)

    async def __aenter__(self) -> Imitation:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def read(self) -> Reading[str]:
        raise CardRefused("这张卡没有通过验证。请停止办理，并报告负责人。", DeviceState.POTENTIAL_FRAUD)


def test_a_card_that_may_be_forged_is_an_event_and_the_reader_is_well_again_after_it() -> None:
    async def act(one: Counter) -> None:
        await one.until(lambda: one.state("reader") is DeviceState.ONLINE)
        with pytest.raises(CardRefused):
            await one.commands.run(Order("reader", "read", "窗口1"))
        await one.until(lambda: one.state("reader") is DeviceState.ONLINE)
        states = [view.status.state for view in one.noticed if view.name == "reader" and not view.user]
        assert DeviceState.POTENTIAL_FRAUD in [view.status.state for view in one.noticed if view.name == "reader"]
        assert states[-1] is DeviceState.ONLINE

    at(act, Wanted("reader", "social-card", Imitation))


class SlowToLookAt:
    """A driver whose device is held by whoever looks at it, as a card in a reader is."""

    kind = "barcode"

    def __init__(self, held: list[str]) -> None:
        self._held = held

    async def probe(self) -> DeviceStatus:
        self._held.append("look")
        try:
            await asyncio.sleep(CEILING_S)
        finally:
            await asyncio.sleep(0.01)  # letting go takes its time
            self._held.remove("look")
        raise AssertionError

    async def __aenter__(self) -> SlowToLookAt:
        if self._held:
            raise DeviceFault("设备正被占用。请稍候再试。")
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def read(self) -> Reading[str]:
        return Reading("slow", "barcode", "code", simulated=True)


def test_whoever_uses_a_device_goes_before_whoever_looks_at_it() -> None:
    held: list[str] = []

    async def act(one: Counter) -> None:
        while not held:
            await asyncio.sleep(0)
        assert (await one.commands.run(Order("slow", "read", "窗口1"))).data == "code"

    at(act, Wanted("slow", "barcode", lambda: SlowToLookAt(held)))
    assert held == []


@pytest.mark.parametrize("card", [CardText(mute_after=3), replace(ZHANG, name="")], ids=["mute", "without a name"])
def test_a_card_that_cannot_be_read_sends_nobody_to_repair_the_reader(card: CardText) -> None:
    """It is recorded all the same: where every card is so, it is the reader."""

    async def act(one: Counter) -> None:
        one.readers.insert("R1", card)
        with pytest.raises(Unreadable):
            await one.read()
        [told] = {view.status for view in one.noticed if view.status.reasons}
        assert (told.state, told.reasons) == (DeviceState.HARDWARE_ERROR, (UNREADABLE,))
        assert diagnose("social-card", told).mender is Mender.COUNTER
        await one.until(lambda: one.state("R1") is DeviceState.ONLINE)

    at(act)


class Broken:
    """A driver with a bug, or of an SDK that hangs."""

    kind = "barcode"

    def __init__(self, trouble: BaseException | None, found: Any = None, *, opens: bool = False) -> None:
        self._trouble = trouble
        self._found = found
        self._opens = opens

    async def probe(self) -> DeviceStatus:
        if self._trouble is not None:
            raise self._trouble
        if self._found is not None:
            return self._found
        await asyncio.Event().wait()
        raise AssertionError

    async def __aenter__(self) -> Broken:
        if not self._opens:
            raise DeviceFault("扫码枪没有应答。请拔下重新插上；仍不行请报修。")
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def read(self) -> Reading[str]:
        assert self._trouble is not None
        raise self._trouble


OWN_END = (SystemExit(3), GeneratorExit(), asyncio.CancelledError())


@pytest.mark.parametrize(("driver", "reason"), [
    (Broken(KeyError("a bug")), DRIVER_ERROR), (Broken(None), NO_ANSWER), (Broken(None, "online"), DRIVER_ERROR),
    *((Broken(end), DRIVER_ERROR) for end in OWN_END),
])
def test_a_driver_that_fails_or_hangs_takes_no_other_device_down(
    driver: Broken, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == NO_ANSWER:
        monkeypatch.setattr(device_module, "PROBE_MAX_S", 0.05)

    async def act(one: Counter) -> None:
        await one.until(lambda: one.state("broken") is DeviceState.HARDWARE_ERROR)
        monkeypatch.undo()
        assert one.equipment.device("broken").view.status.reasons == (reason,)
        one.readers.insert("R1", ZHANG)
        assert (await one.read()).data.name == "张三"
        with pytest.raises(DeviceFault):
            await one.commands.run(Order("broken", "read", "窗口1"), lambda event: None)

    at(act, Wanted("broken", "barcode", lambda: driver))


@pytest.mark.parametrize("end", OWN_END[:2])
def test_a_driver_that_ends_the_program_while_it_reads_fails_this_command_alone(end: BaseException) -> None:
    async def act(one: Counter) -> None:
        with pytest.raises(DriverFailed, match="驱动程序出错"):
            await one.commands.run(Order("broken", "read", "窗口1"), lambda event: None)
        one.readers.insert("R1", ZHANG)
        assert (await one.read()).data.name == "张三"

    at(act, Wanted("broken", "barcode", lambda: Broken(end, opens=True)))


def test_an_entry_of_the_list_that_breaks_its_driver_is_one_device_in_fault() -> None:
    slip = Printer.model_construct(name="printer-1", kind="printer", uri="ipp:///ipp/print")
    scanner = IdCardReader(name="id-1", kind="id-card", port="/dev/nowhere")
    (broken, well) = ListedSource(lambda: (slip, scanner), Discovery(), simulated=False).wanted()
    assert well.make().kind == "id-card"

    async def act(one: Counter) -> None:
        await one.until(lambda: one.state("printer-1") is DeviceState.HARDWARE_ERROR)
        assert one.equipment.device("printer-1").view.status.reasons == (DRIVER_ERROR,)
        assert one.state() is DeviceState.ONLINE

    at(act, broken)


class Stubborn:
    """A driver that swallows a cancelling, or hangs on the way out, until it is let go."""

    kind = "barcode"

    def __init__(self, where: str, let_go: asyncio.Event) -> None:
        self._where = where
        self._let_go = let_go

    async def _held(self, where: str) -> None:
        while self._where == where and not self._let_go.is_set():
            with suppress(asyncio.CancelledError):
                await self._let_go.wait()

    async def probe(self) -> DeviceStatus:
        await self._held("probe")
        return DeviceStatus(DeviceState.ONLINE)

    async def __aenter__(self) -> Stubborn:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._held("exit")

    async def read(self) -> Reading[str]:
        await self._held("read")
        if not self._let_go.is_set():
            await asyncio.Event().wait()
        return Reading("broken", "barcode", "code", simulated=True)


@pytest.mark.parametrize("where", ["read", "exit", "probe"])
def test_a_driver_that_does_not_let_go_fails_its_device_alone_until_it_does(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "PROBE_MAX_S", 0.05)
    monkeypatch.setattr(device_module, "LOOK_PATIENCE_S", 0.05)
    monkeypatch.setattr(device_module, "LOOK_AGAIN_S", 0.05)
    let_go = asyncio.Event()

    def letting_go_takes(limit_s: float) -> None:
        for module in (device_module, containment):
            monkeypatch.setattr(module, "LET_GO_MAX_S", limit_s)

    async def act(one: Counter) -> None:
        try:
            with pytest.raises(DriverFailed if where == "probe" else CommandTimedOut):
                await one.commands.run(Order("broken", "read", "窗口1", timeout_s=CEILING_S if where == "probe" else 0.2))
            await one.until(lambda: one.state("broken") is DeviceState.HARDWARE_ERROR)
            assert one.equipment.device("broken").view.status.reasons == (DRIVER_ERROR,)
            with pytest.raises(DriverFailed):
                await one.commands.run(Order("broken", "read", "窗口2"))
            letting_go_takes(CEILING_S)  # of the reader, which does
            one.readers.insert("R1", ZHANG)
            assert (await one.read()).data.name == "张三"
            assert one.state("broken") is DeviceState.HARDWARE_ERROR
        finally:
            let_go.set()
        await one.until(lambda: one.state("broken") is DeviceState.ONLINE)

    letting_go_takes(0.05)
    at(act, Wanted("broken", "barcode", lambda: Stubborn(where, let_go)))


def test_a_name_that_goes_from_one_source_to_another_stays() -> None:
    async def come() -> None:
        first, second = Changing(Wanted("one", "social-card", Imitation)), Changing()
        equipment = Equipment([first, second], HandClock(), lambda view: None)
        async with asyncio.timeout(CEILING_S):
            running = asyncio.create_task(equipment.run())
            while not equipment.views:
                await equipment.changed(equipment.generation)
            second.say(Wanted("one", "barcode", Imitation))
            while equipment.device("one").view.kind != "barcode":
                await equipment.changed(equipment.generation)
            first.say()
            for _ in range(10):
                await asyncio.sleep(0)
            assert equipment.device("one").view.kind == "barcode"
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(come())


class Waiting(Imitation):
    """A driver that reads once it is told to."""

    def __init__(self, go: asyncio.Event) -> None:
        self._go = go

    async def read(self) -> Reading[str]:
        await self._go.wait()
        return Reading("one", "social-card", "read", simulated=True)


@pytest.mark.parametrize("again", ["as it was", "with other settings", "gone"])
def test_a_device_that_goes_from_the_list_while_it_is_used_goes_once_it_is_free(again: str) -> None:
    async def come() -> None:
        go = asyncio.Event()
        one = Wanted("one", "social-card", lambda: Waiting(go), settings=1)
        last = {"as it was": (one,), "with other settings": (replace(one, settings=2),), "gone": ()}[again]
        source = Changing(one)
        equipment = Equipment([source], HandClock(), lambda view: None)
        commands = Commands(equipment, lambda reading: None)
        async with asyncio.timeout(CEILING_S):
            running = asyncio.create_task(equipment.run())
            while not equipment.views:
                await equipment.changed(equipment.generation)
            first = asyncio.create_task(commands.run(Order("one", "read", "窗口1")))
            for devices in ((), (replace(one, settings=2),), last):
                source.say(*devices)
                for _ in range(10):
                    await asyncio.sleep(0)
                with pytest.raises(DeviceBusy, match="窗口1"):
                    await commands.run(Order("one", "read", "窗口2"))
            used = equipment.device("one")
            go.set()
            assert (await first).data == "read"
            for _ in range(10):
                await asyncio.sleep(0)
            if again == "gone":
                assert not equipment.views
            else:
                assert (equipment.device("one") is used) is (again == "as it was")
                assert (await commands.run(Order("one", "read", "窗口2"))).data == "read"
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(come())
