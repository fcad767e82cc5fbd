"""A device that is held all day: a scanner that types would type into whatever window is in front while nobody holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

import structlog

from devices.contract import DeviceError, DeviceFault, DeviceState, DeviceStatus, DeviceUnavailable, Driver, Reading
from edge.equipment.containment import FAILED, DriverFailed, is_bug

REOPEN_S = 1.0
NOT_READY = "设备正在重新连接。请稍候再试；一分钟后仍不行请检查连接线。"

log = structlog.get_logger()


class HeldDriver(Driver[Any], Protocol):
    """One that is read all day, for whoever asks."""

    def forget(self) -> None:
        """What was presented until now is for nobody, also what has only begun. Not held: does nothing."""
        ...


class KeptOpen:
    """A driver over another one that `run` holds. What is read, or begins, while nobody asks is dropped. `told` hears of each new
    state.
    """

    def __init__(self, kind: str, make: Callable[[], HeldDriver], told: Callable[[], None]) -> None:
        self.kind = kind
        self._make = make
        self._told = told
        self._status = DeviceStatus(DeviceState.OFFLINE)
        self._seen = asyncio.Event()
        self._held: HeldDriver | None = None
        self._asked: asyncio.Future[Reading[Any]] | None = None

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._hold()
                await asyncio.sleep(REOPEN_S)
        except BaseException as error:  # whoever asked hears of a bug, too; it is logged where it ends
            if is_bug(error):
                self._see(FAILED)
                self._end(DriverFailed())
            raise

    async def _hold(self) -> None:
        """Until the device is lost."""
        status = await self._make().probe()
        try:
            async with self._make() as driver:
                self._held = driver
                self._see(DeviceStatus(DeviceState.ONLINE, status.identity))
                while True:
                    await self._pass_on(driver)
        except DeviceError as error:
            self._see(DeviceStatus(error.state, status.identity, error.reasons))
            self._end(error)

    async def _pass_on(self, driver: Driver[Any]) -> None:
        """One reading, or what was wrong with one. Raises DeviceUnavailable once the device is gone."""
        try:
            reading = await driver.read()
        except DeviceFault as fault:  # of this one code
            self._end(fault)
            return
        if self._asked is None or self._asked.done():
            log.info("nobody asked for what was scanned", device=reading.device)
        else:
            self._asked.set_result(reading)

    def _end(self, error: DeviceError) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(error)

    def _see(self, status: DeviceStatus) -> None:
        self._seen.set()
        if status != self._status:
            self._status = status
            self._told()

    async def probe(self) -> DeviceStatus:
        """What `run` last saw; waits for its first sight: before that a scanner that is there would be told as detached."""
        await self._seen.wait()
        return self._status

    async def __aenter__(self) -> Self:
        if self._status.state is not DeviceState.ONLINE:
            away = DeviceUnavailable(NOT_READY, self._status.state)
            away.reasons = self._status.reasons
            raise away
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def read(self) -> Reading[Any]:
        """The next one, from now on."""
        if self._held is not None:
            self._held.forget()
        asked: asyncio.Future[Reading[Any]] = asyncio.get_running_loop().create_future()
        self._asked = asked
        try:
            return await asked
        finally:
            self._asked = None
