"""The wire of a keyboard-wedge scanner: one input device of the kernel, held so that nothing else hears its keys."""

import asyncio
import errno
import logging
import os
import select
import time
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Self

from evdev import InputDevice, ecodes

from devices.contract import DeviceError, DeviceFault, DeviceIdentity, DeviceState, DeviceUnavailable
from devices.plugged import udev_serial
from devices.sdk_thread import SdkThread
from devices.wedge_keys import OVERRUN, PRESS, Key

OPEN_MAX_S = 3.0
CLOSE_MAX_S = 1.0
RELEASED_MAX_S = 0.5
POLL_S = 0.01
GONE = select.POLLHUP | select.POLLERR
HELD = {errno.EBUSY}
FORBIDDEN = {errno.EACCES, errno.EPERM}

NOT_THERE = "没有找到扫码枪。请检查扫码枪的连接线，重新插上。"
LOST = "扫码枪的连接断开了。请检查连接线，重新插上。"
BUSY = "扫码枪正被另一个程序占用。请关闭用它的程序再试。"
STUCK = "扫码枪没有反应。请拔下扫码枪，重新插上；仍不行请报修。"
NO_RIGHT = "本程序没有使用扫码枪的权限。请管理员把服务账号加入 input 组，再重新启动服务。"

log = logging.getLogger(__name__)


class EvdevKeyboard:
    """`async with EvdevKeyboard(path, vendor, product) as keyboard:` grabs that device, and never another one.

    What is at `path` must say of itself that it is of that vendor and product (and of that serial, if one is named, written
    as udev does): event numbers are given away again, and the next device with this one may be the keyboard of the person at
    the counter.
    The kernel keeps about ten characters for us, so that they are fetched by a thread of its own that waits for nothing else.
    DeviceUnavailable: not there (NO_DEVICE), held by somebody else (DEVICE_BUSY), lost or stuck (OFFLINE).
    """

    def __init__(self, path: str | os.PathLike[str], vendor: int, product: int, serial: str = "") -> None:
        if not vendor:
            raise ValueError("name the vendor and product of the scanner; a keyboard that nobody named is never grabbed")
        self._path = str(path)
        self._wanted = (vendor, product)
        self._serial = serial
        self._device: InputDevice[str] | None = None
        self._thread = SdkThread("keyboard")
        self._stop = -1  # closed, it ends the thread
        self._keys: list[Key] = []
        self._came = asyncio.Event()
        self._lost = False

    @property
    def simulated(self) -> bool:
        """Whether a program plays this keyboard: its bus is the virtual one. Ask while it is held."""
        return self._device is not None and self._device.info.bustype == ecodes.BUS_VIRTUAL

    @property
    def serial(self) -> str:
        """Its maker's, as udev writes it, "" when it has none. Ask while it is held."""
        return "" if self._device is None else udev_serial(self._device.uniq)

    async def look(self) -> DeviceIdentity:
        """Who is there, without grabbing it: whatever it types meanwhile goes where it always went."""
        device = await self._open(grab=False)
        identity = DeviceIdentity(device.name, udev_serial(device.uniq))
        await self._close(device)
        return identity

    async def __aenter__(self) -> Self:
        self._device = device = await self._open(grab=True)
        self._keys, self._lost, self._came = [], False, asyncio.Event()
        loop, (stop, self._stop) = asyncio.get_running_loop(), os.pipe()
        self._thread.post(lambda: self._follow(device, stop, loop))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        device, self._device = self._device, None
        if device is None:
            return
        os.close(self._stop)
        await self._close(device)

    async def read(self) -> list[Key]:
        """The keys pressed and released since the last reading, at least one; waits for it until cancelled."""
        while not self._keys:
            if self._device is None or self._lost:
                raise DeviceUnavailable(LOST)
            self._came.clear()
            await self._came.wait()
        keys, self._keys = self._keys, []
        return keys

    async def _open(self, *, grab: bool) -> "InputDevice[str]":
        opening = self._thread.post(lambda: self._taken(grab=grab))
        try:
            async with asyncio.timeout(OPEN_MAX_S):
                return await asyncio.wrap_future(opening)
        except (TimeoutError, asyncio.CancelledError, DeviceError, OSError) as error:
            opening.add_done_callback(_close_unused)
            await self._thread.stop(0)
            self._thread = SdkThread("keyboard")
            if isinstance(error, OSError):
                raise _refusal(error) from error
            raise

    async def _close(self, device: "InputDevice[str]") -> None:
        thread, self._thread = self._thread, SdkThread("keyboard")
        thread.post(device.close)
        if not await thread.stop(CLOSE_MAX_S):
            log.warning("scanner at %s does not close, left behind; replug it", self._path)

    def _taken(self, *, grab: bool) -> "InputDevice[str]":
        device = InputDevice(self._path, readonly=True)
        try:
            self._check(device)
            if grab:
                _wait_until_released(device)
                device.grab()
        except BaseException:  # left open it would stay grabbed
            device.close()
            raise
        return device

    def _check(self, device: "InputDevice[str]") -> None:
        serial = udev_serial(device.uniq)
        if (device.info.vendor, device.info.product) != self._wanted or (self._serial and serial != self._serial):
            log.info("what is at %s now is not the scanner that is meant; left alone", self._path)
            raise DeviceUnavailable(NOT_THERE, DeviceState.NO_DEVICE)

    def _follow(self, device: "InputDevice[str]", stop: int, loop: asyncio.AbstractEventLoop) -> None:
        waiting = select.poll()
        waiting.register(device.fd, select.POLLIN)
        waiting.register(stop, select.POLLIN)
        keys: list[Key] | None = []
        with open(stop, "rb"), suppress(RuntimeError):  # the loop is closed: this thread was left behind
            while keys is not None and stop not in (ready := dict(waiting.poll())):
                keys = _keys(device, lost=bool(ready[device.fd] & GONE))
                loop.call_soon_threadsafe(self._take, keys)

    def _take(self, keys: list[Key] | None) -> None:
        if keys is None:
            self._lost = True
        else:
            self._keys += keys
        self._came.set()


def _keys(device: "InputDevice[str]", *, lost: bool) -> list[Key] | None:
    """The keys that wait to be read; None once there are none and there will be none."""
    try:
        events = list(device.read())
    except BlockingIOError:
        events = []
    except OSError:
        return None
    return None if lost and not events else [key for one in events if (key := _key(one.type, one.code, one.value))]


def _key(kind: int, code: int, value: int) -> Key | None:
    if kind == ecodes.EV_SYN and code == ecodes.SYN_DROPPED:
        return Key(OVERRUN, PRESS)
    return Key(code, value) if kind == ecodes.EV_KEY else None


def _wait_until_released(device: "InputDevice[str]") -> None:
    """A key that is down while it is grabbed stays down for everybody else, and repeats for ever."""
    last_look = time.monotonic() + RELEASED_MAX_S
    while device.active_keys():
        if time.monotonic() > last_look:
            raise DeviceUnavailable(BUSY, DeviceState.DEVICE_BUSY)
        time.sleep(POLL_S)


def _refusal(error: OSError) -> DeviceError:
    if isinstance(error, TimeoutError):
        return DeviceUnavailable(STUCK)
    if error.errno in FORBIDDEN:
        return DeviceFault(NO_RIGHT)
    if error.errno in HELD:
        return DeviceUnavailable(BUSY, DeviceState.DEVICE_BUSY)
    return DeviceUnavailable(NOT_THERE, DeviceState.NO_DEVICE)


def _close_unused(opening: "Future[InputDevice[str]]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
