"""Driver for barcode and QR scanners that type like a keyboard (USB HID, or by radio): what they type, code by code."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from devices.contract import (
    DeviceError,
    DeviceIdentity,
    DeviceState,
    DeviceStatus,
    DeviceUnavailable,
    Reading,
    now,
)
from devices.scan_codes import Codes
from devices.scan_text import AS_THEY_COME, KIND, ScanReading, ScanSettings, scanned
from devices.wedge_keys import Key, Typing, typed

NOT_OPEN = "扫码枪未打开。请重新开始扫码。"


class KeyWire(Protocol):
    """A keyboard whose keys nobody else hears while it is held: `devices.evdev_keyboard.EvdevKeyboard`."""

    @property
    def simulated(self) -> bool: ...

    @property
    def serial(self) -> str: ...

    async def look(self) -> DeviceIdentity:
        """Who it is, without holding it. Raises DeviceError."""
        ...

    async def read(self) -> list[Key]:
        """What was pressed, as soon as anything was. Raises DeviceUnavailable once it is lost."""
        ...

    async def __aenter__(self) -> Self:
        """Hold it, with no key down."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class WedgeScannerDriver:
    """`async with WedgeScannerDriver("gun", lambda: listed_keyboard(discovery.plugged, "0c2e:0200")) as driver: ...`.

    `keyboard` gives a new wire at every entering, or raises DeviceError. Hold it open as long as the site is at work: while
    it is not held, what is scanned is typed into whatever window is in front. It forgets what was shown while nobody read
    (`devices.scan_codes.KEPT_MAX_S`). A DeviceFault from `read` concerns one code only; reading may go on.
    """

    kind = KIND

    def __init__(
        self,
        device: str,
        keyboard: Callable[[], KeyWire],
        settings: ScanSettings = AS_THEY_COME,
        now: Callable[[], datetime] = now,
    ) -> None:
        self._device = device
        self._keyboard = keyboard
        self._settings = settings
        self._now = now
        self._stack = AsyncExitStack()
        self._codes: Codes | None = None
        self._serial = ""
        self._simulated = False

    async def probe(self) -> DeviceStatus:
        """Whether it is there. A scanner that hangs looks no other than one that nobody uses."""
        try:
            return DeviceStatus(DeviceState.ONLINE, await self._keyboard().look())
        except DeviceError as error:
            return DeviceStatus(error.state)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            keyboard, typing = self._keyboard(), Typing()
            await stack.enter_async_context(keyboard)
            self._serial, self._simulated = keyboard.serial, keyboard.simulated

            async def units() -> list[int]:
                return typing.units(await keyboard.read())

            codes = Codes(units, self._now)
            stack.push_async_callback(codes.stop)
            await codes.settle()
            self._codes, self._stack = codes, stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._codes = None
        await self._stack.aclose()

    def forget(self) -> None:
        """What was shown until now is for nobody, a code that has only begun included."""
        if self._codes is not None:
            self._codes.forget()

    async def read(self) -> Reading[ScanReading]:
        """The next code; waits for it until cancelled. DeviceFault: half, garbled, or not as set; show the hint, read on."""
        if self._codes is None:
            raise DeviceUnavailable(NOT_OPEN)
        code = await self._codes.next()
        data = scanned(typed(code.units, self._settings.encoding), self._settings)
        return Reading(self._device, KIND, data, self._simulated, code.observed_at, serial=self._serial)
