"""One device of this machine: looked after by a task of its own, used by one window at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import structlog

from devices.contract import (
    CardAbsent,
    CardRefused,
    DeviceError,
    DeviceState,
    DeviceStatus,
    DeviceUnavailable,
    Driver,
)
from edge.equipment.containment import FAILED, LET_GO_MAX_S, Confined, DriverFailed, is_bug, status_of
from security.clock import Clock

LOOK_S = 10.0  # whoever hears of a change by udev or PC/SC says so at once
LOOK_AGAIN_S = 2.0  # while it is not online: it comes back by itself
LOOK_PATIENCE_S = 0.5
PROBE_MAX_S = 15.0  # a document scanner takes some
NO_ANSWER = "noAnswer"

UNSEEN = DeviceStatus(DeviceState.OFFLINE, reasons=("unseen",))  # so that the first look is told, whatever it sees

log = structlog.get_logger()
T = TypeVar("T")


class DeviceBusy(DeviceUnavailable):
    """Somebody else uses it; `user` is the name of that window."""

    state = DeviceState.DEVICE_BUSY

    def __init__(self, user: str) -> None:
        super().__init__(f"设备正由“{user}”使用。请等其用完，或在该窗口取消后再试。")
        self.user = user


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device as it is known now: `since_ms` (Unix) it has been so, `user` is who uses it ("" for nobody)."""

    name: str
    kind: str
    status: DeviceStatus
    since_ms: int
    simulated: bool = False
    user: str = ""

    @property
    def state(self) -> DeviceState:
        return DeviceState.DEVICE_BUSY if self.user else self.status.state


class Device:
    """`make` gives a driver on the device's wire, as often as it is asked. `told` gets each new view."""

    def __init__(self, name: str, kind: str, make: Callable[[], Driver[Any]], clock: Clock,
                 told: Callable[[DeviceView], None], *, simulated: bool = False) -> None:
        self._make = make
        self._clock = clock
        self._told = told
        self._look = asyncio.Event()
        self._looking: asyncio.Task[DeviceStatus] | None = None
        self._use = Confined()
        self.hints = 0
        self.view = DeviceView(name, kind, UNSEEN, clock.unix_ms(), simulated)

    def look_now(self) -> None:
        """Somebody saw that something has changed."""
        self.hints += 1
        look, self._look = self._look, asyncio.Event()
        look.set()

    async def hinted(self, after: int) -> int:
        """Wait until `hints` is above `after`, and return it."""
        while self.hints <= after:
            await self._look.wait()
        return self.hints

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                hints = self.hints  # before the look: what changes in the middle of it is looked at again
                await self.checked()
                pause_s = LOOK_S if self.view.status.state is DeviceState.ONLINE else LOOK_AGAIN_S
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):  # wait_for would swallow a cancelling that meets a hint
                        await self.hinted(hints)
        finally:
            await self._stop_looking()

    async def checked(self) -> DeviceView:
        """A look of this moment; what is known, while somebody uses it."""
        if not self.view.user and not self._use.stuck:
            look = self._looking = self._looking or asyncio.create_task(self._probed(), name=f"look at {self.view.name}")
            await asyncio.wait([look], timeout=PROBE_MAX_S + LET_GO_MAX_S)
            if not look.done():
                self._see(FAILED)
            elif not look.cancelled():
                self._see(look.result())
            if look.done() and self._looking is look:
                self._looking = None
        return self.view

    async def _stop_looking(self, patience_s: float = 0) -> bool:
        """Whoever uses the device goes before whoever looks at it, who may be done in a moment. False: it does not end."""
        look = self._looking
        if look is not None and not (await asyncio.wait([look], timeout=patience_s))[0]:
            look.cancel()
            await asyncio.wait([look], timeout=LET_GO_MAX_S)
        if look is None or look.done():
            self._looking = None
        return self._looking is None

    async def _probed(self) -> DeviceStatus:
        try:
            async with asyncio.timeout(PROBE_MAX_S):
                return status_of(await self._make().probe())
        except TimeoutError:
            return DeviceStatus(DeviceState.HARDWARE_ERROR, reasons=(NO_ANSWER,))
        except BaseException as error:  # the outermost edge of one device: a bug in its driver takes no other down
            if not is_bug(error):
                raise
            if self.view.status != FAILED:  # once, and not at every look
                log.exception("driver failed", device=self.view.name, kind=self.view.kind, next="report it with this log")
            return FAILED

    @contextmanager
    def owned_by(self, user: str) -> Iterator[None]:
        """Nobody else may use it meanwhile. Raises DeviceBusy."""
        if self.view.user:
            raise DeviceBusy(self.view.user)
        self._change(replace(self.view, user=user))
        try:
            yield
        finally:
            self._change(replace(self.view, user=""))
            self.look_now()

    async def used(self, use: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What its owner does with it; cancelled, it ends within LET_GO_MAX_S, whatever the driver does. Raises DriverFailed."""
        try:
            return await self._use.run(use)
        finally:
            if self._use.stuck:
                log.error("driver does not let go", device=self.view.name, kind=self.view.kind, next="restart the agent")
                self._see(FAILED)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Driver[Any]]:
        """The driver, for its owner. Raises DeviceUnavailable, DeviceFault."""
        assert self.view.user
        if not await self._stop_looking(LOOK_PATIENCE_S):
            self._see(FAILED)
            raise DriverFailed
        try:
            async with self._make() as driver:
                yield driver
        except (CardAbsent, CardRefused) as error:
            if error.state is DeviceState.POTENTIAL_FRAUD:  # somebody has to hear of it, whoever put it in
                self._see(DeviceStatus(error.state, self.view.status.identity, error.reasons))
            raise  # of what was put in, not of the device
        except DeviceError as error:
            if error.state is not DeviceState.DEVICE_BUSY:
                self._see(DeviceStatus(error.state, self.view.status.identity, error.reasons))
            raise
        except (SystemExit, GeneratorExit) as error:  # of a maker's library: they would end the loop, or the window
            log.exception("driver failed", device=self.view.name, kind=self.view.kind, next="report it with this log")
            self._see(FAILED)
            raise DriverFailed from error

    def _see(self, status: DeviceStatus) -> None:
        before = self.view.status
        if status.state is DeviceState.DEVICE_BUSY:  # by a program that is none of ours: it is there
            status = replace(status, identity=status.identity or before.identity)
        if status == before:
            return
        since_ms = self.view.since_ms if status.state is before.state else self._clock.unix_ms()
        if status.state is not before.state:
            log.info("device", name=self.view.name, kind=self.view.kind, state=status.state.value, reasons=status.reasons)
        self._change(replace(self.view, status=status, since_ms=since_ms))

    def _change(self, view: DeviceView) -> None:
        if view != self.view:
            self.view = view
            self._told(view)
