"""Serial scanners over a pseudo terminal: whole codes only, whatever the line and the people do."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest

from devices import scan_codes
from devices.contract import DeviceFault, DeviceState, DeviceUnavailable
from devices.scan_codes import Codes
from devices.scan_text import Encoding, ScanReading, ScanSettings
from devices.serial_scanner import SerialScannerDriver
from devices.simulated.serial_scanner import ScannerFolder, Showing
from tests.devices.stands.serial_scanner import NAME, SerialScannerStand, stand

WAIT_MAX_S = 30.0
PAUSE_MAX_S, QUIET_MIN_S = 0.1, 0.2

LONG_S = 2 * WAIT_MAX_S

Act = Callable[[SerialScannerStand], Awaitable[None]]
Patience = Callable[[str, float], None]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_codes, "PAUSE_MAX_S", PAUSE_MAX_S)
    monkeypatch.setattr(scan_codes, "QUIET_MIN_S", QUIET_MIN_S)
    monkeypatch.setattr(scan_codes, "KEPT_MAX_S", LONG_S)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Patience:
    """Sets a limit of `devices.scan_codes` for what begins from now on."""
    return lambda limit, value: monkeypatch.setattr(scan_codes, limit, value)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """All units that came to the driver, in order, each once it has dealt with it."""
    take, units = Codes._take, list[int]()

    def taken(codes: Codes, some: Iterable[int]) -> None:
        some = list(some)
        take(codes, some)
        units.extend(some)

    monkeypatch.setattr(Codes, "_take", taken)
    return units


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def on(folder: Path, act: Act) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WAIT_MAX_S), stand(folder) as one:
            await act(one)
        assert len(asyncio.all_tasks()) == 1

    handles = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    asyncio.run(bounded())
    assert len(os.listdir("/proc/self/fd")) == handles  # noqa: PTH208


async def read(driver: SerialScannerDriver) -> ScanReading:
    return (await driver.read()).data


@pytest.mark.parametrize("piece_bytes", [0, 1, 2, 7])
def test_a_code_is_whole_in_whatever_pieces_it_comes(tmp_path: Path, patience: Patience, piece_bytes: int) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            patience("PAUSE_MAX_S", LONG_S)
            one.show(f'codes = ["张三 110105"]\npiece_bytes = {piece_bytes}\npause_ms = 5')
            assert await read(driver) == ScanReading("张三 110105")

    on(tmp_path, act)


@pytest.mark.parametrize("end", [r"\r", r"\n", r"\r\n", r"\t"])
def test_two_codes_back_to_back_stay_two(tmp_path: Path, end: str) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            one.show(f'codes = ["A1", "A1", "B2"]\nend = "{end}"')
            assert [(await read(driver)).text for _ in range(3)] == ["A1", "A1", "B2"]

    on(tmp_path, act)


def test_settings_of_the_scanner_come_off(tmp_path: Path) -> None:
    async def act(one: SerialScannerStand) -> None:
        settings = ScanSettings(prefix="\x02", suffix="\x03", encoding=Encoding.GBK, aim=True)
        async with one.driver(settings) as driver:
            one.show(r'codes = ["]Q3一"]' + '\nprefix = "\\u0002"\nsuffix = "\\u0003"\nencoding = "gbk"')
            assert await read(driver) == ScanReading("一", "]Q3")

    on(tmp_path, act)


def test_half_a_code_is_none_and_neither_is_its_other_half(
    tmp_path: Path, heard: list[int], patience: Patience
) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            patience("QUIET_MIN_S", LONG_S)  # until its other half has come
            one.show('codes = ["11010519491231002X"]\nstop_after = 10')
            with pytest.raises(DeviceFault) as half:
                await driver.read()
            assert "半个" in half.value.hint
            patience("QUIET_MIN_S", QUIET_MIN_S)
            one.show(f'raw = "{b"9491231002X".hex()}0d"')
            await until(lambda: heard[-1] == 0x0D)
            assert driver._codes is not None
            await driver._codes._quiet.wait()
            one.show('codes = ["WHOLE"]')
            assert await read(driver) == ScanReading("WHOLE")

    on(tmp_path, act)


def test_a_code_without_its_end_never_joins_the_next(tmp_path: Path) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            one.show('codes = ["FIRST"]\nstop_after = 5')
            with pytest.raises(DeviceFault):
                await driver.read()
            assert driver._codes is not None
            await driver._codes._quiet.wait()
            one.show('codes = ["SECOND"]')
            assert await read(driver) == ScanReading("SECOND")

    on(tmp_path, act)


def test_what_is_under_way_when_the_scanner_is_taken_is_no_code(
    tmp_path: Path, heard: list[int], patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, settling = Codes.settle, asyncio.Event()

    async def settled(codes: Codes) -> None:
        settling.set()
        await settle(codes)

    async def goes_on(one: SerialScannerStand) -> None:
        await settling.wait()
        for piece in (b"19491231", b"002X\r"):
            if piece.endswith(b"\r"):
                patience("PAUSE_MAX_S", PAUSE_MAX_S)
            before = len(heard)
            one.show(f'raw = "{piece.hex()}"')
            await until(lambda before=before, piece=piece: len(heard) == before + len(piece))

    async def act(one: SerialScannerStand) -> None:
        one.show('codes = ["110105"]\nstop_after = 6')
        await asyncio.sleep(0.1)
        going_on = asyncio.create_task(goes_on(one))
        async with one.driver() as driver:
            assert going_on.done()
            one.show('codes = ["WHOLE"]')
            assert await read(driver) == ScanReading("WHOLE")

    monkeypatch.setattr(Codes, "settle", settled)
    patience("PAUSE_MAX_S", LONG_S)
    patience("SETTLE_MAX_S", LONG_S)

    on(tmp_path, act)


def test_a_scanner_that_never_stops_can_not_be_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_codes, "SETTLE_MAX_S", 1.0)
    monkeypatch.setattr(scan_codes, "HELD_UP_S", 0.5)

    async def act(one: SerialScannerStand) -> None:
        one.show(f'raw = "{"55" * 4000}"\npiece_bytes = 1\npause_ms = 5')
        await asyncio.sleep(0.1)
        with pytest.raises(DeviceFault) as babbling:
            async with one.driver():
                pytest.fail("it was taken")
        assert "不停" in babbling.value.hint

    on(tmp_path, act)


@pytest.mark.parametrize("raw", ["00ff0d", "8130810d", "1b5b410d", "3132001d0d"])
def test_garbage_is_told_and_the_next_code_is_read(tmp_path: Path, raw: str) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            one.show(f'raw = "{raw}"')
            with pytest.raises(DeviceFault):
                await driver.read()
            one.show('codes = ["WHOLE"]')
            assert await read(driver) == ScanReading("WHOLE")

    on(tmp_path, act)


def test_a_flood_without_an_end_is_told_once_and_kept_nowhere(
    tmp_path: Path, heard: list[int], patience: Patience
) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            patience("PAUSE_MAX_S", LONG_S)
            patience("QUIET_MIN_S", LONG_S)
            one.show(f'raw = "{"41" * 3 * scan_codes.UNITS_MAX}"\npiece_bytes = 2000\npause_ms = 5')
            with pytest.raises(DeviceFault) as flood:
                await driver.read()
            assert "太长" in flood.value.hint
            await until(lambda: len(heard) == 3 * scan_codes.UNITS_MAX)
            patience("QUIET_MIN_S", QUIET_MIN_S)
            one.show('raw = "41"')
            assert driver._codes is not None
            await driver._codes._quiet.wait()
            one.show('codes = ["WHOLE"]')
            assert await read(driver) == ScanReading("WHOLE")

    on(tmp_path, act)


def test_unplugged_in_the_middle_of_a_code_gives_none_and_the_scanner_comes_back(
    tmp_path: Path, patience: Patience
) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            patience("PAUSE_MAX_S", LONG_S)
            one.show('codes = ["11010519491231002X"]\nunplug_after = 17')
            with pytest.raises(DeviceUnavailable):
                await driver.read()
            with pytest.raises(DeviceUnavailable):
                await driver.read()
        assert (await one.driver().probe()).state is DeviceState.NO_DEVICE
        patience("PAUSE_MAX_S", PAUSE_MAX_S)
        await one.plug()
        async with one.driver() as driver:
            one.show('codes = ["WHOLE"]')
            assert await read(driver) == ScanReading("WHOLE")

    on(tmp_path, act)


def test_a_code_shown_while_nobody_reads_goes_to_nobody_who_comes_later(
    tmp_path: Path, heard: list[int], patience: Patience
) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            patience("PAUSE_MAX_S", LONG_S)
            patience("KEPT_MAX_S", 0.1)
            one.show('codes = ["THE ONE BEFORE"]')
            await until(lambda: bool(heard) and heard[-1] == 0x0D)
            await asyncio.sleep(0.2)
            asked = asyncio.create_task(read(driver))
            assert driver._codes is not None
            whole = driver._codes._whole
            await until(lambda: not whole)
            patience("KEPT_MAX_S", LONG_S)
            one.show('codes = ["MINE"]')
            assert await asked == ScanReading("MINE")

    on(tmp_path, act)


@pytest.mark.parametrize("goes_on", [True, False], ids=["its other half comes", "it stops"])
def test_what_is_forgotten_is_forgotten_whole_where_it_has_begun(
    tmp_path: Path, heard: list[int], patience: Patience, goes_on: bool
) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            codes = driver._codes
            assert codes is not None
            patience("PAUSE_MAX_S", LONG_S)
            one.show('codes = ["WHOLE"]')
            await until(lambda: bytes(heard) == b"WHOLE\r")
            patience("PAUSE_MAX_S", LONG_S if goes_on else PAUSE_MAX_S)
            one.show('codes = ["BEFORE"]\nstop_after = 3')
            await until(lambda: bytes(heard) == b"WHOLE\rBEF")
            driver.forget()
            asked = asyncio.create_task(read(driver))
            if goes_on:
                one.show(f'raw = "{b"ORE".hex()}0d"')
                await until(lambda: bytes(heard) == b"WHOLE\rBEFORE\r")
            await until(lambda: not codes._units)
            await codes._quiet.wait()
            patience("PAUSE_MAX_S", LONG_S)
            one.show('codes = ["MINE"]')
            assert await asked == ScanReading("MINE")

    on(tmp_path, act)


def test_more_codes_than_are_kept_push_out_the_oldest(tmp_path: Path, heard: list[int]) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            one.show(f"codes = {[str(number) for number in range(100)]}")
            await until(lambda: bytes(heard).endswith(b"\r99\r"))
            kept = [(await read(driver)).text for _ in range(scan_codes.KEPT_MAX)]
            assert kept == [str(number) for number in range(100 - scan_codes.KEPT_MAX, 100)]

    on(tmp_path, act)


def test_a_reading_that_is_given_up_loses_no_code(tmp_path: Path) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await driver.read()
            one.show('codes = ["A", "B"]')
            assert [(await read(driver)).text for _ in range(2)] == ["A", "B"]

    on(tmp_path, act)


def test_a_reading_bears_the_moment_at_which_it_was_shown_and_who_saw_it(tmp_path: Path, heard: list[int]) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            one.show('codes = ["A"]')
            await until(lambda: bytes(heard) == b"A\r")
            await asyncio.sleep(0.01)
            before = time.time()
            reading = await driver.read()
            assert reading.observed_at.timestamp() < before
            assert (reading.device, reading.kind, reading.serial) == ("窗口1 扫码枪", "barcode", "S1")

    on(tmp_path, act)


def test_a_scanner_held_by_somebody_else_is_busy(tmp_path: Path) -> None:
    async def act(one: SerialScannerStand) -> None:
        async with one.driver():
            status = await one.driver().probe()
            assert (status.state, status.identity is not None) == (DeviceState.DEVICE_BUSY, True)
            with pytest.raises(DeviceUnavailable):
                async with one.driver():
                    pytest.fail("it was taken twice")

    on(tmp_path, act)


def test_nothing_can_be_read_before_it_is_opened(tmp_path: Path) -> None:
    async def act(one: SerialScannerStand) -> None:
        with pytest.raises(DeviceUnavailable):
            await one.driver().read()

    on(tmp_path, act)


def test_another_process_holds_up_codes(tmp_path: Path) -> None:
    hands = "import sys; from pathlib import Path; from devices.simulated.serial_scanner import ScannerFolder; "
    hands += "ScannerFolder(Path(sys.argv[1])).show(sys.argv[2], sys.argv[3])"

    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            for _ in range(2):  # the same text again is shown again
                command = [sys.executable, "-c", hands, str(tmp_path), NAME, 'codes = ["A"]']
                await asyncio.to_thread(subprocess.run, command, check=True)
                assert await read(driver) == ScanReading("A")

    on(tmp_path, act)


def test_a_file_that_says_nothing_shows_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kodes"):
        ScannerFolder(tmp_path).show(NAME, 'kodes = ["A"]')

    async def act(one: SerialScannerStand) -> None:
        async with one.driver() as driver:
            (tmp_path / f"{NAME}.toml").write_text("codes = [")
            await asyncio.sleep(0.15)
            one.show('codes = ["A"]')
            assert await read(driver) == ScanReading("A")

    on(tmp_path, act)


def test_a_showing_says_what_goes_over_the_line() -> None:
    assert Showing(codes=("A", "B"), end="\n", piece_bytes=3).pieces == [b"A\nB", b"\n"]
    assert Showing().pieces == []
