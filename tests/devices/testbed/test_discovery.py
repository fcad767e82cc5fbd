"""What is plugged in, and what comes and goes, as udev tells it."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from devices import discovery
from devices.contract import DeviceState
from devices.discovery import Discovery
from devices.listed import listed_keyboard
from devices.plugged import Plugged, PluggedKind
from devices.scan_text import ScanReading
from devices.sdk_thread import SdkThread
from devices.wedge_scanner import WedgeScannerDriver
from tests.devices.keyboard import ENTER, keys_of, stroke
from tests.devices.testbed.machine import PRODUCT, VENDOR, Device, Machine

WAIT_MAX_S = 50.0
SEEN_MAX_S = 30.0  # it looks again by itself after 60

LINE = {"ID_BUS": "usb", "ID_VENDOR": "Prolific", "ID_MODEL": "Serial", "ID_VENDOR_ID": "067b", "ID_MODEL_ID": "23a3"}


def line(machine: Machine, serial: str = "A1", place: str = "pci-1") -> Device:
    return machine.plug(
        "tty", "ttyUSB{}", major=188, ID_SERIAL_SHORT=serial, ID_PATH=place, **LINE
    )


def on(act: Callable[[Discovery], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WAIT_MAX_S):
            async with Discovery() as one:
                await act(one)
        assert len(asyncio.all_tasks()) == 1

    handles = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    asyncio.run(bounded())
    last_look = time.monotonic() + WAIT_MAX_S
    while [thread.name for thread in threading.enumerate() if thread.name == "udev"]:
        assert time.monotonic() < last_look, "its thread has not ended"
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) == handles  # noqa: PTH208


async def until(one: Discovery, condition: Callable[[tuple[Plugged, ...]], bool]) -> None:
    generation = one.generation
    while not condition(one.plugged):
        generation = await one.changed(generation)


def test_what_is_plugged_in_is_known_from_the_beginning(machine: Machine) -> None:
    devices = [line(machine), machine.keyboard("K1"), machine.keyboard("K2", vendor=0x046D, product=0xC31C, name="Keyboard")]
    devices.append(machine.plug("tty", "ttyS{}", major=4))
    devices.append(machine.plug("usb", "bus/usb/001/{}", major=189, DEVTYPE="usb_device", ID_USB_INTERFACES=":070102:"))

    async def act(one: Discovery) -> None:
        seen = {(device.kind, device.path, device.serial) for device in one.plugged}
        assert seen == {
            (PluggedKind.SERIAL_PORT, devices[0].node, "A1"),
            (PluggedKind.KEYBOARD, devices[1].node, "K1"),
            (PluggedKind.KEYBOARD, devices[2].node, "K2"),
            (PluggedKind.PRINTER, devices[4].node, ""),
        }
        serial = one.plugged[[device.kind for device in one.plugged].index(PluggedKind.SERIAL_PORT)]
        assert (serial.model, serial.vendor, serial.product, serial.place) == ("Prolific Serial", "067b", "23a3", "pci-1")
        assert one.generation == 1

    on(act)


def test_what_comes_and_goes_is_told_at_once(machine: Machine) -> None:
    async def act(one: Discovery) -> None:
        assert one.plugged == ()
        for _ in range(3):
            async with asyncio.timeout(SEEN_MAX_S):
                device = line(machine)
                await until(one, lambda plugged: len(plugged) == 1)
                machine.unplug(device)
                await until(one, lambda plugged: plugged == ())

    on(act)


def test_a_device_that_is_plugged_in_again_is_the_same_whatever_number_it_gets(machine: Machine) -> None:
    async def act(one: Discovery) -> None:
        first = line(machine)
        line(machine, "B2")
        await until(one, lambda plugged: len(plugged) == 2)
        was = next(device for device in one.plugged if device.serial == "A1")
        machine.unplug(first)
        await until(one, lambda plugged: len(plugged) == 1)
        assert one.find(was.identity) is None
        second = line(machine, place="pci-7")
        await until(one, lambda plugged: len(plugged) == 2)
        found = one.find(was.identity)
        assert found is not None
        assert (found.path, found.serial, found.place) == (second.node, "A1", "pci-7")
        assert found.path != was.path
        assert found.insertion != was.insertion

    on(act)


def test_events_that_change_nothing_wake_nobody(machine: Machine) -> None:
    line(machine)

    async def act(one: Discovery) -> None:
        machine.plug("input", "input/event{}", ID_BUS="usb", ID_INPUT_MOUSE="1")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await one.changed(one.generation)

    on(act)


def test_an_event_that_was_lost_is_made_up_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "LOOK_AGAIN_S", 0.1)
    monkeypatch.setattr(Discovery, "_told", lambda self: self._monitor and self._monitor.poll(timeout=0))

    async def act(one: Discovery) -> None:
        device = line(machine)
        await until(one, lambda plugged: len(plugged) == 1)
        machine.unplug(device)
        await until(one, lambda plugged: plugged == ())

    on(act)


def test_a_udev_that_hangs_holds_up_nobody(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "LOOK_MAX_S", 0.1)
    monkeypatch.setattr(discovery, "LOOK_AGAIN_S", 0.1)
    release = threading.Event()
    look, looks = Discovery._look, []
    call, limits = SdkThread.call, []

    async def bounded(self: SdkThread, to_do: Callable[[], tuple[Plugged, ...]], limit_s: float) -> tuple[Plugged, ...]:
        limits.append(limit_s)
        return await call(self, to_do, limit_s)

    def hanging(self: Discovery) -> tuple[Plugged, ...]:
        looks.append(self)
        release.wait(WAIT_MAX_S)
        return look(self)

    monkeypatch.setattr(Discovery, "_look", hanging)
    monkeypatch.setattr(SdkThread, "call", bounded)
    line(machine)

    async def act(one: Discovery) -> None:
        assert one.plugged == ()
        while len(limits) < 3:
            await asyncio.sleep(0.01)
        monkeypatch.setattr(discovery, "LOOK_MAX_S", WAIT_MAX_S)
        while limits[-1] != WAIT_MAX_S:
            await asyncio.sleep(0.01)
        release.set()
        await until(one, lambda plugged: len(plugged) == 1)
        assert len(looks) == 2  # those that were due meanwhile are not made up for

    on(act)


def test_a_bug_in_looking_is_not_kept_secret(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    monkeypatch.setattr(discovery, "LOOK_MAX_S", 0.1)
    monkeypatch.setattr(discovery, "LOOK_AGAIN_S", 0.1)

    def broken(self: Discovery) -> tuple[Plugged, ...]:
        raise ZeroDivisionError

    monkeypatch.setattr(Discovery, "_look", broken)

    async def looked(one: Discovery) -> None:
        assert one._following is not None
        await asyncio.wait([one._following])

    with pytest.raises(ZeroDivisionError):
        on(looked)


def test_giving_up_the_first_look_leaves_nothing_behind(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(Discovery, "_look", lambda self: release.wait(WAIT_MAX_S) and ())
    stop = SdkThread.stop

    async def stopping(self: SdkThread, limit_s: float) -> bool:
        release.set()
        return await stop(self, limit_s)

    monkeypatch.setattr(SdkThread, "stop", stopping)

    async def run() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), Discovery():
                pytest.fail("there was a look")
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    assert release.is_set()


def test_the_scanner_is_found_beside_the_keyboard_of_the_counter_and_that_one_is_left_alone(machine: Machine) -> None:
    clerks = machine.keyboard("", vendor=0x046D, product=0xC31C, name="Keyboard")
    scanner = machine.keyboard("S1")

    async def act(one: Discovery) -> None:
        driver = WedgeScannerDriver("窗口1 扫码枪", lambda: listed_keyboard(one.plugged, f"{VENDOR:04x}:{PRODUCT:04x}"))
        assert (await driver.probe()).state is DeviceState.ONLINE
        async with driver:
            machine.type(clerks, keys_of("clerk"))
            machine.type(scanner, [*keys_of("110105"), *stroke(ENTER)])
            assert (await driver.read()).data == ScanReading("110105")
        assert machine.grabs(clerks) == 0
        assert len(machine.heard(clerks)) == 2 * len("clerk")
        assert machine.heard(scanner) == []
        machine.unplug(scanner)
        await until(one, lambda plugged: len(plugged) == 1)
        assert (await driver.probe()).state is DeviceState.NO_DEVICE
        machine.keyboard("S1")
        await until(one, lambda plugged: len(plugged) == 2)
        assert (await driver.probe()).state is DeviceState.ONLINE

    on(act)
