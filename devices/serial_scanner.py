"""Driver for barcode and QR scanners on a serial line, real or USB: what they send by themselves, code by code."""

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
from devices.scan_text import AS_THEY_COME, KIND, ScanReading, ScanSettings, decoded, scanned

NOT_OPEN = "扫码枪未打开。请重新开始扫码。"


class SerialWire(Protocol):
    """A serial line: `devices.serial_port.SerialPort`."""

    @property
    def simulated(self) -> bool: ...

    async def read(self) -> bytes:
        """What came, as soon as there is any. Raises DeviceUnavailable once the line is lost."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SerialScannerDriver:
    """`async with SerialScannerDriver("gun", lambda: SerialPort(path, 9600), identity) as driver: await driver.read()`.

    `port` gives a new line at every entering. A scanner says not who it is: `identity` is what discovery knows
    (`devices.listed.serial_identity`).
    Held open between readings, it forgets what was shown while nobody read (`devices.scan_codes.KEPT_MAX_S`).
    A DeviceFault from `read` concerns one code only; reading may go on.
    """

    kind = KIND

    def __init__(
        self,
        device: str,
        port: Callable[[], SerialWire],
        identity: DeviceIdentity,
        settings: ScanSettings = AS_THEY_COME,
        now: Callable[[], datetime] = now,
    ) -> None:
        self._device = device
        self._port = port
        self._identity = identity
        self._settings = settings
        self._now = now
        self._stack = AsyncExitStack()
        self._codes: Codes | None = None
        self._simulated = False

    async def probe(self) -> DeviceStatus:
        """Whether the line is there and free. A scanner that hangs looks no other than one that nobody uses."""
        try:
            async with self._port():
                return DeviceStatus(DeviceState.ONLINE, self._identity)
        except DeviceError as error:
            away = error.state in (DeviceState.NO_DEVICE, DeviceState.OFFLINE)
            return DeviceStatus(error.state, None if away else self._identity)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(self._port())
            self._simulated = port.simulated
            codes = Codes(port.read, self._now)
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
        data = scanned(decoded(bytes(code.units), self._settings.encoding), self._settings)
        serial = self._identity.serial
        return Reading(self._device, KIND, data, self._simulated, code.observed_at, serial=serial)
