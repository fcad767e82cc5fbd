"""The serial wire over a pseudo terminal: bytes as they come, and every way in which a line goes away."""

import asyncio
import fcntl
import os
import pty
import sys
import termios
import threading
import time
import tty
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from devices import serial_port
from devices.contract import DeviceFault, DeviceState, DeviceUnavailable
from devices.serial_port import SerialPort, stable_name

WAIT_MAX_S = 30.0
PAUSE_S = 0.05


@dataclass
class Line:
    """A pseudo terminal: the far end, and the path under which the near end is plugged in."""

    path: Path
    far: int = -1
    _near: int = -1

    def plug(self) -> None:
        self.far, self._near = pty.openpty()
        tty.setraw(self._near)
        os.set_blocking(self.far, False)
        self.path.symlink_to(os.ttyname(self._near))

    def bring(self, data: bytes) -> None:
        """To the near end, which takes the kernel a moment; nobody reads it meanwhile."""
        os.write(self.far, data)
        while int.from_bytes(fcntl.ioctl(self._near, termios.FIONREAD, bytes(4)), sys.byteorder) < len(data):
            time.sleep(0.001)

    async def heard(self, size: int) -> bytes:
        """What came to the far end, once it is so much."""
        got = b""
        while len(got) < size:
            try:
                got += os.read(self.far, 1 << 16)
            except BlockingIOError:
                await asyncio.sleep(0.001)
        return got

    def unplug(self) -> None:
        if self.far >= 0:
            self.path.unlink()
            os.close(self.far)
            os.close(self._near)
            self.far = -1


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    one = Line(tmp_path / "tty")
    one.plug()
    threads = set(threading.enumerate())
    handles = len(list(Path("/proc/self/fd").iterdir()))
    yield one
    one.unplug()
    last_look = time.monotonic() + WAIT_MAX_S
    while left := set(threading.enumerate()) - threads:
        assert time.monotonic() < last_look, left
        time.sleep(0.01)
    assert len(list(Path("/proc/self/fd").iterdir())) <= handles


def run(act: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WAIT_MAX_S):
            await act()

    asyncio.run(bounded())


def test_bytes_go_both_ways_as_they_come(line: Line) -> None:
    async def act() -> None:
        async with SerialPort(line.path, 9600) as port:
            await port.write(b"\xaa\x00\r\n\x11\x13\x03")
            assert await line.heard(7) == b"\xaa\x00\r\n\x11\x13\x03"
            os.write(line.far, b"\x03\x11\r")
            assert await port.read() == b"\x03\x11\r"
            os.write(line.far, b"\x13\n\xff")
            assert await port.read() == b"\x13\n\xff"

    run(act)


def test_what_was_not_read_can_be_forgotten(line: Line) -> None:
    async def act() -> None:
        async with SerialPort(line.path, 9600) as port:
            os.write(line.far, b"seen")
            while not port._inbox._unread:
                await asyncio.sleep(0.001)
            line.bring(b"not seen")
            port.discard()
            os.write(line.far, b"new")
            assert await port.read() == b"new"

    run(act)


def test_nothing_comes_and_the_wait_can_be_given_up(line: Line) -> None:
    async def act() -> None:
        async with SerialPort(line.path, 9600) as port:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(PAUSE_S):
                    await port.read()
            os.write(line.far, b"late")
            assert await port.read() == b"late"

    run(act)


def test_an_unplugged_line_gives_what_came_and_then_ends_and_comes_back(line: Line) -> None:
    async def act() -> None:
        async with SerialPort(line.path, 9600) as port:
            os.write(line.far, b"last")
            await asyncio.sleep(PAUSE_S)
            waiting = asyncio.create_task(port.read())
            assert await waiting == b"last"
            waiting = asyncio.create_task(port.read())
            await asyncio.sleep(PAUSE_S)
            line.unplug()
            for _ in range(2):
                with pytest.raises(DeviceUnavailable) as lost:
                    await waiting
                waiting = asyncio.create_task(port.read())
            assert lost.value.state is DeviceState.OFFLINE
            with pytest.raises(DeviceUnavailable):
                await waiting
            with pytest.raises(DeviceUnavailable):
                await port.write(b"x")
            with pytest.raises(DeviceUnavailable):
                port.discard()
        with pytest.raises(DeviceUnavailable) as away:
            await SerialPort(line.path, 9600).__aenter__()
        assert away.value.state is DeviceState.NO_DEVICE
        line.plug()
        async with port:
            os.write(line.far, b"again")
            assert await port.read() == b"again"

    run(act)


def test_a_line_that_takes_nothing_ends_the_write_and_the_exit(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "WRITE_MAX_S", PAUSE_S)

    async def act() -> None:
        async with SerialPort(line.path, 9600) as port:
            with pytest.raises(DeviceUnavailable) as stuck:
                await port.write(bytes(1 << 17))
            assert stuck.value.hint
        async with SerialPort(line.path, 9600):
            pass

    run(act)


def test_a_long_write_is_taken_piece_by_piece(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial_port, "WRITE_MAX_S", WAIT_MAX_S)

    async def act() -> None:
        async with SerialPort(line.path, 9600) as port:
            writing = asyncio.create_task(port.write(bytes(range(256)) * 256))
            assert await line.heard(1 << 16) == bytes(range(256)) * 256
            await writing

    run(act)


def test_what_nobody_reads_does_not_grow(line: Line) -> None:
    async def act() -> None:
        async with SerialPort(line.path, 9600) as port:
            sent = 0
            last_look = time.monotonic() + 0.2
            while time.monotonic() < last_look and sent < 1 << 20:
                try:
                    sent += os.write(line.far, bytes(4096))
                except BlockingIOError:
                    await asyncio.sleep(0.001)
            assert sent < 3 * serial_port.UNREAD_MAX_BYTES
            got = 0
            while got < sent:
                got += len(await port.read())

    run(act)


def test_a_line_has_one_holder_and_is_not_disturbed_by_the_next(line: Line) -> None:
    async def act() -> None:
        async with SerialPort(line.path, 9600) as port:
            os.write(line.far, b"for the ")
            with pytest.raises(DeviceUnavailable) as busy:
                await SerialPort(line.path, 115200).__aenter__()
            assert busy.value.state is DeviceState.DEVICE_BUSY
            os.write(line.far, b"first")
            got = b""
            while len(got) < len(b"for the first"):
                got += await port.read()
            assert got == b"for the first"

    run(act)


def test_an_open_that_blocks_is_given_up_and_closed_when_it_comes(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    wake = threading.Event()
    opened = []

    class Slow(serial_port.Serial):
        def open(self) -> None:
            wake.wait(2 * WAIT_MAX_S)
            super().open()
            opened.append(self)

    monkeypatch.setattr(serial_port, "Serial", Slow)
    monkeypatch.setattr(serial_port, "OPEN_MAX_S", PAUSE_S)

    async def act() -> None:
        with pytest.raises(DeviceUnavailable) as stuck:
            await SerialPort(line.path, 9600).__aenter__()
        assert stuck.value.state is DeviceState.OFFLINE
        monkeypatch.setattr(serial_port, "OPEN_MAX_S", WAIT_MAX_S)
        taking = asyncio.create_task(SerialPort(line.path, 9600).__aenter__())
        await asyncio.sleep(0.01)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        assert not opened, "the open was waited for"
        wake.set()
        while not opened or any(one.is_open for one in opened):
            await asyncio.sleep(0.01)

    run(act)


def test_what_is_no_serial_line_is_not_there(tmp_path: Path) -> None:
    async def act() -> None:
        file = tmp_path / "file"
        file.touch()
        for path in (file, tmp_path, tmp_path / "none"):
            with pytest.raises(DeviceUnavailable) as away:
                await SerialPort(path, 9600).__aenter__()
            assert away.value.state is DeviceState.NO_DEVICE

    run(act)


def test_a_line_that_goes_while_it_is_opened_is_not_there(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise termios.error(5, "Input/output error")

    async def act() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(termios, "tcsetattr", fail)
            with pytest.raises(DeviceUnavailable):
                await SerialPort(line.path, 9600).__aenter__()
        async with SerialPort(line.path, 9600) as port:
            monkeypatch.setattr(termios, "tcflush", fail)
            port.discard()

    run(act)


def test_a_line_that_may_not_be_used_is_for_a_person(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    async def act() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refuse)
            with pytest.raises(DeviceFault, match="dialout"):
                await SerialPort(line.path, 9600).__aenter__()

    run(act)


def test_a_pseudo_terminal_says_that_it_is_simulated(line: Line) -> None:
    assert SerialPort(line.path, 9600).simulated
    assert not SerialPort("/dev/null", 9600).simulated
    assert not SerialPort(line.path.parent / "none", 9600).simulated


def test_a_device_is_known_by_udev_s_name_wherever_it_is_plugged_in(line: Line, tmp_path: Path) -> None:
    by_id = tmp_path / "by-id"
    assert stable_name(line.path, by_id) == ""
    by_id.mkdir()
    (by_id / "usb-FTDI_FT232R_A50285BI-if00-port0").symlink_to(line.path.readlink())
    (by_id / "usb-other-if00").symlink_to("/dev/null")
    assert stable_name(line.path, by_id) == "usb-FTDI_FT232R_A50285BI-if00-port0"
    assert stable_name(by_id / "usb-other-if00", by_id) == "usb-other-if00"
    assert stable_name(tmp_path / "none", by_id) == ""
