"""Worked example of a driver: a pad with five buttons on a serial line, on which a resident rates a handling (好差评)."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from devices.contract import DeviceError, DeviceIdentity, DeviceState, DeviceStatus, DeviceUnavailable, Reading, now
from devices.serial_port import SerialPort

KIND = "rating"
LEVELS = {b"1": 1, b"2": 2, b"3": 3, b"4": 4, b"5": 5}  # GB/T 39734: five levels, 1 is the best
NOT_OPEN = "评价器未打开。请重新开始评价。"


@dataclass(frozen=True)
class Rating:
    """One press. `repr` shows no level: a rating is the resident's own."""

    level: int

    def __repr__(self) -> str:
        return "Rating(level=***)"


class RatingPadDriver:
    """`async with RatingPadDriver("窗口1 评价器", lambda: SerialPort(path, 9600), identity) as driver: await driver.read()`."""

    kind = KIND

    def __init__(self, device: str, port: Callable[[], SerialPort], identity: DeviceIdentity,
                 now: Callable[[], datetime] = now) -> None:  # fmt: skip
        self._device = device
        self._new_port = port  # the wire is given, and made anew at each entering: after unplugging the old one is dead
        self._identity = identity
        self._now = now
        self._stack = AsyncExitStack()
        self._port: SerialPort | None = None

    async def probe(self) -> DeviceStatus:
        """Whether the line is there and free. Opens it and lets go, which presses no button."""
        try:
            async with self._new_port():
                return DeviceStatus(DeviceState.ONLINE, self._identity)
        except DeviceError as error:
            here = error.state is DeviceState.DEVICE_BUSY
            return DeviceStatus(error.state, self._identity if here else None, error.reasons)

    async def __aenter__(self) -> Self:
        self._port = await self._stack.enter_async_context(self._new_port())
        self._port.discard()  # what was pressed before anybody was asked is no answer
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._port = None
        await self._stack.aclose()

    async def read(self) -> Reading[Rating]:
        """The first press from now on; waits for it until cancelled. Whatever else comes over the line is no press."""
        if self._port is None:
            raise DeviceUnavailable(NOT_OPEN)
        while True:
            came = await self._port.read()
            levels = [LEVELS[byte] for byte in (came[at : at + 1] for at in range(len(came))) if byte in LEVELS]
            if levels:
                rating = Rating(levels[0])
                return Reading(self._device, KIND, rating, self._port.simulated, self._now(), serial=self._identity.serial)
