"""Where a bug in one driver ends, so that it takes no other device down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from devices.contract import DeviceFault, DeviceIdentity, DeviceState, DeviceStatus

AFTER_BUG_S = 30.0
LET_GO_MAX_S = 6.0  # by the contract a driver lets go within three; a machine may stand still meanwhile
DRIVER_ERROR = "driverError"
FAILED = DeviceStatus(DeviceState.HARDWARE_ERROR, reasons=(DRIVER_ERROR,))
HINT = "设备的驱动程序出错。请联系市信息中心，并保留本机日志。"

log = structlog.get_logger()
T = TypeVar("T")


class DriverFailed(DeviceFault):
    """A bug in its driver; the log says which."""

    reasons = (DRIVER_ERROR,)

    def __init__(self) -> None:
        super().__init__(HINT)


def is_bug(error: BaseException) -> bool:
    """All but a cancelling of ours, and Ctrl-C: sys.exit() of a maker's library would end the loop for all."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or not task.cancelling()
    return not isinstance(error, KeyboardInterrupt)


def status_of(seen: object) -> DeviceStatus:
    """What a probe gave. Raises TypeError for what it must not give."""
    if not isinstance(seen, DeviceStatus) or not isinstance(seen.identity, DeviceIdentity | None):
        raise TypeError(f"a probe gives a DeviceStatus with an identity or None, not {type(seen).__name__}")
    return seen


async def kept_going(name: str, background: Callable[[], Coroutine[None, None, None]]) -> None:
    """Work of one device that never ends by itself."""
    while True:
        try:
            await background()
        except BaseException as error:  # the outermost edge of one device
            if not is_bug(error):
                raise
            log.exception("driver failed", device=name, next="report it with this log")
        await asyncio.sleep(AFTER_BUG_S)


class Confined:
    """Calls into one driver, each in a task of its own: one that does not end though it is cancelled is left behind."""

    def __init__(self) -> None:
        self._call: asyncio.Task[Any] | None = None

    @property
    def stuck(self) -> bool:
        """Of a call that was left behind: it has not ended. Ask only when no `run` is waited for."""
        return self._call is not None and not self._call.done()

    async def run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `call` gives or raises. Raises DriverFailed while another one is stuck."""
        if self.stuck:
            raise DriverFailed
        task: asyncio.Task[T] = asyncio.create_task(call())
        self._call = task
        task.add_done_callback(_heard)
        try:
            await asyncio.wait([task])
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=LET_GO_MAX_S)
            if task.done():
                self._call = None  # what it gave is somebody's data
        if task.cancelled():  # by none of us
            raise DriverFailed
        return task.result()


def _heard(task: asyncio.Task[Any]) -> None:
    """asyncio complains of errors that nobody looked at; whoever gave up does not look."""
    if not task.cancelled():
        task.exception()
