"""The serial wire: one tty, as the kernel and pyserial-asyncio-fast give it, for any driver that talks over a serial line."""

import asyncio
import errno
import logging
import os
import termios
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from serial import Serial
from serial_asyncio_fast import SerialTransport, connection_for_serial

from devices.contract import DeviceError, DeviceFault, DeviceState, DeviceUnavailable
from devices.sdk_thread import SdkThread

BY_ID = Path("/dev/serial/by-id")  # udev's names, the same at whatever socket the device is plugged in
PTY_MAJORS = range(136, 144)  # the kernel's numbers of pseudo terminals (Documentation/admin-guide/devices.txt)
OPEN_MAX_S = 3.0
WRITE_MAX_S = 2.0  # for the line to take what is written; 1 KiB at 9600 baud takes 1.1 s
CLOSE_MAX_S = 1.0
UNREAD_MAX_BYTES = 1 << 16  # beyond, the line is left to the kernel, which drops what comes
HELD = {errno.EBUSY, errno.EWOULDBLOCK}
FORBIDDEN = {errno.EACCES, errno.EPERM}
TTY_ERRORS = (OSError, termios.error)  # pyserial lets the second kind through

NOT_THERE = "没有找到设备。请检查设备的电源和连接线，再插一次。"
LOST = "设备的连接断开了。请检查连接线，重新插上。"
BUSY = "设备正被另一个程序占用。请关闭用它的程序再试。"
STUCK = "设备的串口没有反应。请拔下设备，重新插上；仍不行请报修。"
NO_RIGHT = "本程序没有使用串口的权限。请管理员把服务账号加入 dialout 组，再重新启动服务。"

log = logging.getLogger(__name__)


class SerialPort:
    """`async with SerialPort(path, 9600) as port:` holds the tty alone, 8N1, without flow control.

    All calls raise DeviceUnavailable: not there (NO_DEVICE), held by somebody else (DEVICE_BUSY), lost
    or stuck (OFFLINE). Once lost it stays lost until entered again. DeviceFault only when this program may not open the port.
    """

    def __init__(self, path: str | os.PathLike[str], baud: int) -> None:
        self._path = Path(path)
        self._baud = baud
        self._inbox = _Inbox()
        self._transport: SerialTransport | None = None

    @property
    def simulated(self) -> bool:
        """Whether a program plays this device: the tty is a pseudo terminal. Ask while it is plugged in."""
        return is_pseudo(self._path)

    async def __aenter__(self) -> Self:
        serial = await self._open()
        self._inbox = _Inbox()
        transport, _ = await connection_for_serial(asyncio.get_running_loop(), lambda: self._inbox, serial)
        transport.set_write_buffer_limits(high=0)
        self._transport = transport
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transport, self._transport = self._transport, None
        if transport is None:
            return
        if not transport.is_closing():
            _flush(transport, termios.TCOFLUSH)  # else the kernel holds up the close until it is sent
            transport.abort()
        try:
            async with asyncio.timeout(CLOSE_MAX_S):
                await self._inbox.lost.wait()
        except TimeoutError:
            log.warning("serial port %s does not close, left behind; replug the device", self._path)

    async def write(self, data: bytes) -> None:
        """Returns once the kernel has taken all of it."""
        self._connected().write(data)
        try:
            async with asyncio.timeout(WRITE_MAX_S):
                await self._inbox.taken.wait()
        except TimeoutError as error:
            raise DeviceUnavailable(STUCK) from error
        self._connected()

    async def read(self) -> bytes:
        """What has come and was not read yet, at least one byte; waits for it until cancelled. One reader at a time."""
        transport = self._transport
        data = b"" if transport is None else await self._inbox.take()
        if transport is None or not data:
            raise DeviceUnavailable(LOST)
        if not transport.is_closing():
            transport.resume_reading()
        return data

    def discard(self) -> None:
        """Forget what has come and was not read."""
        _flush(self._connected(), termios.TCIFLUSH)
        self._inbox.clear()

    def _connected(self) -> SerialTransport:
        if self._transport is None or self._transport.is_closing():
            raise DeviceUnavailable(LOST)
        return self._transport

    async def _open(self) -> Serial:
        """In a thread of its own, since some drivers block in open; what comes too late is closed there."""
        thread = SdkThread(f"serial {self._path}")
        opening = thread.post(lambda: Serial(str(self._path), self._baud, timeout=0, write_timeout=0, exclusive=True))
        try:
            async with asyncio.timeout(OPEN_MAX_S):
                return await asyncio.wrap_future(opening)
        except TimeoutError as error:
            opening.add_done_callback(_close_unused)
            raise DeviceUnavailable(STUCK) from error
        except TTY_ERRORS as error:  # a TimeoutError is one of them too
            raise _refusal(error) from error
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unused)
            raise
        finally:
            await thread.stop(0)


class _Inbox(asyncio.Protocol):
    """What came over the line and what became of it."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.taken = asyncio.Event()  # clear while the line has not taken all that was written
        self.taken.set()
        self._came = asyncio.Event()
        self._unread = bytearray()
        self._transport: asyncio.ReadTransport | None = None

    async def take(self) -> bytes:
        """All that came; nothing only once the line is lost."""
        await self._came.wait()
        data = bytes(self._unread)
        self.clear()
        return data

    def clear(self) -> None:
        self._unread.clear()
        if not self.lost.is_set():
            self._came.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, SerialTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._unread += data
        self._came.set()
        if len(self._unread) > UNREAD_MAX_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self.taken.clear()

    def resume_writing(self) -> None:
        self.taken.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio gives it
        self._transport = None
        for event in (self.lost, self.taken, self._came):
            event.set()


def is_pseudo(path: Path) -> bool:
    """Whether the tty is a pseudo terminal, so that a program is at its other end; False when it is not there."""
    try:
        return os.major(path.stat().st_rdev) in PTY_MAJORS
    except OSError:
        return False


def stable_name(path: str | os.PathLike[str], by_id: Path = BY_ID) -> str:
    """The name that udev gives the device at this tty, from maker, model and serial; "" when it has none."""
    try:
        here = Path(path).resolve(strict=True)
        return min((link.name for link in by_id.iterdir() if link.resolve() == here), default="")
    except OSError:
        return ""


def _flush(transport: SerialTransport, queue: int) -> None:
    if transport.serial is not None:
        with suppress(*TTY_ERRORS):  # a line that was just lost: the next call says so
            termios.tcflush(transport.serial.fileno(), queue)


def _refusal(error: Exception) -> DeviceError:
    number = getattr(error, "errno", None)
    if number in FORBIDDEN:
        return DeviceFault(NO_RIGHT)
    if number in HELD:
        return DeviceUnavailable(BUSY, DeviceState.DEVICE_BUSY)
    return DeviceUnavailable(NOT_THERE, DeviceState.NO_DEVICE)


def _close_unused(opening: Future[Serial]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
