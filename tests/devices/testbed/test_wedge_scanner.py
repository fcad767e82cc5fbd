"""Keyboard-wedge scanners over the kernel's evdev interface: whole codes only, and heard by nobody else."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from devices import evdev_keyboard, scan_codes
from devices.contract import DeviceFault, DeviceIdentity, DeviceState, DeviceUnavailable
from devices.evdev_keyboard import EvdevKeyboard
from devices.scan_text import Encoding, ScanReading, ScanSettings
from devices.wedge_keys import PRESS, RELEASE, Key
from devices.wedge_scanner import WedgeScannerDriver
from tests.devices.keyboard import ENTER, SHIFT, gbk_typed, keys_of, stroke
from tests.devices.stands.wedge_scanner import WedgeScannerStand, stand
from tests.devices.testbed.machine import PRODUCT, VENDOR, Device, Machine

WAIT_MAX_S = 60.0
PAUSE_MAX_S, QUIET_MIN_S = 0.1, 1.5
END = stroke(ENTER)

Act = Callable[[WedgeScannerStand], Awaitable[None]]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_codes, "PAUSE_MAX_S", PAUSE_MAX_S)
    monkeypatch.setattr(scan_codes, "QUIET_MIN_S", QUIET_MIN_S)


def on(machine: Machine, act: Act) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WAIT_MAX_S), stand(machine) as one:
            await act(one)
        assert len(asyncio.all_tasks()) == 1

    handles = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    asyncio.run(bounded())
    last_look = time.monotonic() + WAIT_MAX_S
    while [thread.name for thread in threading.enumerate() if thread.name == "keyboard"]:
        assert time.monotonic() < last_look, "its thread has not ended"
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) == handles  # noqa: PTH208


@asynccontextmanager
async def held(driver: WedgeScannerDriver, pause_max_s: float = WAIT_MAX_S) -> AsyncIterator[WedgeScannerDriver]:
    """What is typed in one go is not cut where the machine stands still."""
    async with driver:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scan_codes, "PAUSE_MAX_S", pause_max_s)
            yield driver


async def quiet(driver: WedgeScannerDriver) -> None:
    """After a code that was spoiled."""
    assert driver._codes is not None
    await driver._codes.settle()


async def read(driver: WedgeScannerDriver) -> ScanReading:
    return (await driver.read()).data


def test_what_is_scanned_is_read_and_heard_by_no_window(machine: Machine) -> None:
    async def act(one: WedgeScannerStand) -> None:
        async with held(one.driver()) as driver:
            await one.type([*keys_of("Ab-12~"), *END])
            reading = await driver.read()
            assert reading.data == ScanReading("Ab-12~")
            assert (reading.serial, reading.simulated) == ("S1", True)
            assert machine.grabs(one.scanner) == 1
        assert machine.heard(one.scanner) == []
        while machine.grabbed(one.scanner):  # until its thread has let go
            await asyncio.sleep(0.01)
        await one.type(keys_of("x"))
        assert machine.heard(one.scanner) == [45, 45]  # nobody holds it any more

    on(machine, act)


def test_without_the_grab_every_window_would_hear_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evdev_keyboard.InputDevice, "grab", lambda device: None)

    async def act(one: WedgeScannerStand) -> None:
        async with held(one.driver()) as driver:
            await one.type([*keys_of("12"), *END])
            assert await read(driver) == ScanReading("12")
        assert machine.heard(one.scanner) == [2, 2, 3, 3, 28, 28]

    on(machine, act)


@pytest.mark.parametrize(
    ("vendor", "product", "serial"),
    [(0x046D, 0xC31C, ""), (VENDOR, PRODUCT, "S2"), (VENDOR, PRODUCT + 1, "S1"), (VENDOR + 1, PRODUCT, "S1")],
)
def test_a_keyboard_that_is_not_the_one_that_is_meant_is_never_grabbed(
    machine: Machine, vendor: int, product: int, serial: str
) -> None:
    clerks = machine.keyboard(serial, vendor=vendor, product=product, name="Keyboard")

    async def act(one: WedgeScannerStand) -> None:
        moved = WedgeScannerStand(machine, clerks)  # the number that the scanner had is the keyboard's now
        with pytest.raises(DeviceUnavailable) as other:
            async with moved.driver():
                pytest.fail("it was grabbed")
        assert other.value.state is DeviceState.NO_DEVICE
        assert (await moved.driver().probe()).state is DeviceState.NO_DEVICE
        assert machine.grabs(clerks) == 0

    on(machine, act)


def test_a_serial_with_blanks_is_known_as_udev_writes_it(machine: Machine) -> None:
    blanks = machine.keyboard(" S 7 ")

    async def act(one: WedgeScannerStand) -> None:
        driver = WedgeScannerDriver("窗口2", lambda: EvdevKeyboard(blanks.node, VENDOR, PRODUCT, "S_7"))
        assert (await driver.probe()).identity == DeviceIdentity("Scan Gun", "S_7")
        async with driver:
            machine.type(blanks, [*keys_of("1"), *END])
            assert (await driver.read()).serial == "S_7"

    on(machine, act)


def test_a_keyboard_that_nobody_named_is_never_grabbed() -> None:
    with pytest.raises(ValueError, match="vendor"):
        EvdevKeyboard("/dev/input/event3", 0, 0)


def test_chinese_comes_through_the_keypad(machine: Machine) -> None:
    async def act(one: WedgeScannerStand) -> None:
        async with held(one.driver(ScanSettings(prefix="#", aim=True))) as driver:
            await one.type([*keys_of("#]Q3"), *gbk_typed("欧阳一"), *keys_of(" 110105"), *END])
            assert await read(driver) == ScanReading("欧阳一 110105", "]Q3")

    on(machine, act)


def test_a_number_that_is_not_of_the_named_encoding_is_told(machine: Machine) -> None:
    async def act(one: WedgeScannerStand) -> None:
        async with held(one.driver(ScanSettings(encoding=Encoding.UTF_8))) as driver:
            await one.type([*gbk_typed("啊"), *END])
            assert (await read(driver)).text != "啊"
            await one.type([*stroke(58), *keys_of("a"), *END])
            with pytest.raises(DeviceFault) as odd:
                await driver.read()
            assert "大写锁定" in odd.value.hint

    on(machine, act)


def test_two_codes_back_to_back_stay_two(machine: Machine) -> None:
    async def act(one: WedgeScannerStand) -> None:
        async with held(one.driver()) as driver:
            await one.type([*keys_of("A1"), *END, *keys_of("A1"), *stroke(15), *keys_of("B2"), *END])
            assert [(await read(driver)).text for _ in range(3)] == ["A1", "A1", "B2"]

    on(machine, act)


def test_half_a_code_is_none_and_neither_is_its_other_half(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(one: WedgeScannerStand) -> None:
        async with one.driver() as driver:
            await one.type(keys_of("1101051949"))
            with pytest.raises(DeviceFault) as half:
                await driver.read()
            assert "半个" in half.value.hint
            await asyncio.sleep(PAUSE_MAX_S)
            await one.type([*keys_of("1231002X"), *END])
            await quiet(driver)
            monkeypatch.setattr(scan_codes, "PAUSE_MAX_S", WAIT_MAX_S)
            await one.type([*keys_of("WHOLE"), *END])
            assert await read(driver) == ScanReading("WHOLE")

    on(machine, act)


def test_unplugged_in_the_middle_of_a_code_gives_none_and_the_scanner_comes_back(machine: Machine) -> None:
    async def act(one: WedgeScannerStand) -> None:
        before = one.scanner.node
        async with held(one.driver()) as driver:
            await one.type([Key(SHIFT, PRESS), *keys_of("1101")])
            await one.unplug()
            with pytest.raises(DeviceUnavailable):
                await driver.read()
        await one.plug()
        assert one.scanner.node != before
        async with held(one.driver()) as driver:
            await one.type([*keys_of("x"), *END])
            assert await read(driver) == ScanReading("x")

    on(machine, act)


def test_lost_keys_spoil_the_code(machine: Machine) -> None:
    async def act(one: WedgeScannerStand) -> None:
        async with held(one.driver()) as driver:
            await one.type(keys_of("12"))
            machine.overrun(one.scanner)
            await one.type([*keys_of("56"), *END])
            with pytest.raises(DeviceFault):
                await driver.read()
            await quiet(driver)
            await one.type([*keys_of("WHOLE"), *END])
            assert await read(driver) == ScanReading("WHOLE")

    on(machine, act)


def test_a_busy_loop_cuts_no_code(machine: Machine) -> None:
    async def act(one: WedgeScannerStand) -> None:
        async with held(one.driver(), pause_max_s := 1.5) as driver:
            assert driver._codes is not None
            await one.type(keys_of("1101"))
            while len(driver._codes._units) < len("1101"):
                await asyncio.sleep(0.01)
            typing = threading.Timer(0.1, lambda: machine.type(one.scanner, [*keys_of("05"), *END]))
            typing.start()
            time.sleep(pause_max_s + 0.3)  # noqa: ASYNC251  # that is the point
            assert await read(driver) == ScanReading("110105")

    on(machine, act)


def test_a_scanner_held_by_somebody_else_is_busy(machine: Machine) -> None:
    async def act(one: WedgeScannerStand) -> None:
        async with one.driver():
            assert (await one.driver().probe()).state is DeviceState.ONLINE
            with pytest.raises(DeviceUnavailable) as busy:
                async with one.driver():
                    pytest.fail("it was taken twice")
            assert busy.value.state is DeviceState.DEVICE_BUSY

    on(machine, act)


def test_a_key_that_is_down_is_let_go_before_the_grab(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evdev_keyboard, "RELEASED_MAX_S", 0.1)

    async def act(one: WedgeScannerStand) -> None:
        machine.hold_down(one.scanner, [ENTER])
        with pytest.raises(DeviceUnavailable):
            async with one.driver():
                pytest.fail("Enter would stay down for every window")
        assert machine.grabs(one.scanner) == 0
        monkeypatch.setattr(evdev_keyboard, "RELEASED_MAX_S", WAIT_MAX_S)
        monkeypatch.setattr(evdev_keyboard, "OPEN_MAX_S", WAIT_MAX_S)
        letting_go = threading.Timer(0.05, lambda: machine.type(one.scanner, [Key(ENTER, RELEASE)]))
        letting_go.start()
        async with one.driver():
            assert machine.grabbed(one.scanner)

    on(machine, act)


def test_what_may_not_be_opened_is_for_the_administrator(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(evdev_keyboard, "InputDevice", forbidden)

    async def act(one: WedgeScannerStand) -> None:
        with pytest.raises(DeviceFault) as no_right:
            async with one.driver():
                pytest.fail("it was taken")
        assert "input 组" in no_right.value.hint
        assert (await one.driver().probe()).state is DeviceState.HARDWARE_ERROR

    on(machine, act)


def test_one_that_does_not_open_is_left_alone_in_time(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evdev_keyboard, "OPEN_MAX_S", 0.1)
    release = threading.Event()
    opened: list[Device] = []
    device_of_evdev = evdev_keyboard.InputDevice

    def hanging(path: str, *, readonly: bool) -> object:
        release.wait(WAIT_MAX_S)
        opened.append(device := device_of_evdev(path, readonly=readonly))
        return device

    monkeypatch.setattr(evdev_keyboard, "InputDevice", hanging)

    async def act(one: WedgeScannerStand) -> None:
        with pytest.raises(DeviceUnavailable) as stuck:
            async with one.driver():
                pytest.fail("it was taken")
        assert stuck.value.state is DeviceState.OFFLINE
        release.set()
        while not opened or opened[0].fd >= 0:
            await asyncio.sleep(0.01)
        assert not machine.grabbed(one.scanner)
        await asyncio.sleep(0.05)

    on(machine, act)


def test_two_scanners_do_not_mix(machine: Machine) -> None:
    other = machine.keyboard("S2")

    async def act(one: WedgeScannerStand) -> None:
        second = WedgeScannerDriver("窗口2", lambda: EvdevKeyboard(other.node, VENDOR, PRODUCT, "S2"))
        async with one.driver() as driver, second:
            for ours, theirs in zip([*keys_of("123"), *END], [*keys_of("789"), *END], strict=True):
                machine.type(one.scanner, [ours])
                machine.type(other, [theirs])
            assert await read(driver) == ScanReading("123")
            assert (await second.read()).data == ScanReading("789")

    on(machine, act)
