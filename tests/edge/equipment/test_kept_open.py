"""A device that is held all day, over a line that the test pulls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devices import scan_codes
from devices.contract import DeviceFault, DeviceIdentity, DeviceState, DeviceStatus, DeviceUnavailable, Reading
from edge.equipment import containment, kept_open
from edge.equipment.containment import DriverFailed
from edge.equipment.kept_open import KeptOpen
from tests.devices.stands import serial_scanner
from tests.spine import CEILING_S

SCANNER = DeviceIdentity("Honeywell", "S1")


class Line:
    """A scanner's line: what comes over it, and whether it is plugged in."""

    def __init__(self) -> None:
        self.plugged = True
        self.taken = 0
        self.codes: asyncio.Queue[str | Exception] = asyncio.Queue()
        self.free = asyncio.Event()  # clear: who looks has to wait
        self.free.set()


class Scanner:
    """A driver on that line."""

    kind = "barcode"

    def __init__(self, line: Line) -> None:
        self._line = line

    async def probe(self) -> DeviceStatus:
        await self._line.free.wait()
        return DeviceStatus(DeviceState.ONLINE if self._line.plugged else DeviceState.NO_DEVICE, SCANNER)

    async def __aenter__(self) -> Scanner:
        if not self._line.plugged:
            raise DeviceUnavailable("没有找到扫码枪。请插好。", DeviceState.NO_DEVICE)
        self._line.taken += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._line.taken -= 1

    def forget(self) -> None: ...

    async def read(self) -> Reading[str]:
        code = await self._line.codes.get()
        if isinstance(code, Exception):
            raise code
        return Reading("scan-1", "barcode", code, simulated=True)


@asynccontextmanager
async def held(line: Line) -> AsyncIterator[KeptOpen]:
    changed = asyncio.Event()
    kept = KeptOpen("barcode", lambda: Scanner(line), changed.set)
    running = asyncio.create_task(kept.run())
    async with asyncio.timeout(CEILING_S):
        await changed.wait()
        yield kept
        running.cancel()
        await asyncio.wait([running])
    assert running.cancelled()
    assert line.taken == 0


def with_line(act: Callable[[Line, KeptOpen], Awaitable[None]]) -> None:
    async def come() -> None:
        line = Line()
        async with held(line) as kept:
            await act(line, kept)

    asyncio.run(come())


async def read(kept: KeptOpen) -> Any:
    async with kept:
        return (await kept.read()).data


async def asking(kept: KeptOpen) -> asyncio.Task[Any]:
    """Somebody who waits for the next code by now."""
    asked = asyncio.create_task(read(kept))
    while kept._asked is None:
        await asyncio.sleep(0)
    return asked


def test_nothing_is_said_of_a_scanner_before_it_was_looked_at() -> None:
    async def scenario() -> None:
        kept = KeptOpen("barcode", lambda: Scanner(Line()), lambda: None)
        looking = asyncio.create_task(kept.probe())
        await asyncio.sleep(0.01)
        running = asyncio.create_task(kept.run())
        async with asyncio.timeout(CEILING_S):
            assert await looking == DeviceStatus(DeviceState.ONLINE, SCANNER)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(scenario())


def test_what_is_scanned_while_nobody_asks_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(line: Line, kept: KeptOpen) -> None:
        line.codes.put_nowait("before")
        while not line.codes.empty():
            await asyncio.sleep(0)
        asked = await asking(kept)
        line.codes.put_nowait("after")
        assert await asked == "after"

    with_line(act)


def test_a_code_that_had_begun_before_anybody_asked_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S), serial_scanner.stand(tmp_path) as one:
            ready = asyncio.Event()
            kept = KeptOpen("barcode", one.driver, ready.set)
            running = asyncio.create_task(kept.run())
            await ready.wait()
            for limit in ("PAUSE_MAX_S", "KEPT_MAX_S"):
                monkeypatch.setattr(scan_codes, limit, 2 * CEILING_S)
            driver: Any = kept._held
            under_way = driver._codes._units
            one.show('codes = ["BEFORE"]\nstop_after = 2')
            while not under_way:
                await asyncio.sleep(0.005)
            asked = await asking(kept)
            one.show(f'raw = "{b"FORE".hex()}0d"')
            while under_way:
                await asyncio.sleep(0.005)
            one.show('codes = ["AFTER"]')
            assert (await asked).text == "AFTER"
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(scenario())


def test_whoever_gives_up_leaves_the_next_code_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(line: Line, kept: KeptOpen) -> None:
        given_up = await asking(kept)
        given_up.cancel()
        await asyncio.wait([given_up])
        asked = await asking(kept)
        line.codes.put_nowait("mine")
        assert await asked == "mine"

    with_line(act)


def test_a_code_that_is_not_read_well_is_told_to_whoever_asked_and_the_scanner_stays() -> None:
    async def act(line: Line, kept: KeptOpen) -> None:
        asked = await asking(kept)
        line.codes.put_nowait(DeviceFault("这个码没有读清楚。请重新扫一次。"))
        with pytest.raises(DeviceFault, match="没有读清楚"):
            await asked
        assert line.taken == 1
        asked = await asking(kept)
        line.codes.put_nowait("again")
        assert await asked == "again"

    with_line(act)


def test_a_scanner_that_is_pulled_ends_the_wait_and_comes_back_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_open, "REOPEN_S", 0.01)

    async def act(line: Line, kept: KeptOpen) -> None:
        asked = await asking(kept)
        line.plugged = False
        line.codes.put_nowait(DeviceUnavailable("扫码枪已断开。请插好。", DeviceState.NO_DEVICE))
        with pytest.raises(DeviceUnavailable):
            await asked
        await asyncio.sleep(0.03)
        assert (await kept.probe()).state is DeviceState.NO_DEVICE
        with pytest.raises(DeviceUnavailable):
            await read(kept)
        line.plugged = True
        while (await kept.probe()).state is not DeviceState.ONLINE:
            await asyncio.sleep(0.005)
        asked = await asking(kept)
        line.codes.put_nowait("back")
        assert await asked == "back"

    with_line(act)


def test_a_bug_of_the_driver_ends_the_wait_and_is_its_state_until_it_is_held_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act() -> None:
        line, changed = Line(), asyncio.Event()
        kept = KeptOpen("barcode", lambda: Scanner(line), changed.set)
        monkeypatch.setattr(containment, "AFTER_BUG_S", 0.1)
        async with asyncio.timeout(CEILING_S):
            running = asyncio.create_task(containment.kept_going("scan-1", kept.run))
            await changed.wait()
            asked = await asking(kept)
            line.free.clear()
            line.codes.put_nowait(ZeroDivisionError("a bug"))
            with pytest.raises(DriverFailed):
                await asked
            assert await kept.probe() == DeviceStatus(DeviceState.HARDWARE_ERROR, reasons=("driverError",))
            assert line.taken == 0
            with pytest.raises(DeviceUnavailable) as error:
                await read(kept)
            assert error.value.reasons == ("driverError",)
            line.free.set()
            while (await kept.probe()).state is not DeviceState.ONLINE:
                await asyncio.sleep(0.01)
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(act())
