"""Driver for document scanners and document cameras (高拍仪): whole pages as JPEG or PNG."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Self

from devices.contract import (
    CardRefused,
    DeviceError,
    DeviceFault,
    DeviceIdentity,
    DeviceState,
    DeviceStatus,
    DeviceUnavailable,
    Reading,
    now,
)
from devices.picture import NotAPicture
from devices.scanners import (
    PAGES_MAX,
    PREVIEW_DPI,
    HeldScanner,
    Page,
    Progress,
    Scanner,
    ScannerWire,
    ScanSettings,
    feeder_of,
    page_of,
)

KIND = "document"

ABSENT = "没有找到扫描仪。请检查扫描仪的电源和连接线，重新插好。"
CLOSED = "扫描仪未打开。请重新开始扫描。"
DAMAGED = "扫描的图像不完整，这一页没有扫成。请再扫一次；仍不行请拔下扫描仪重新插上。"
NO_FEEDER = "这台扫描仪没有自动进纸器，不能整叠扫描。请逐页扫描，或换用带进纸器的扫描仪。"
NO_PAGE = "扫描仪没有给出图像。请放好材料再扫一次。"


def silent(page: int, percent: float) -> None:
    """For a caller who needs no progress."""


class DocumentScannerDriver:
    """`async with DocumentScannerDriver(wire, device) as driver: reading = await driver.read()`.

    `device` is the scanner's serial, model ("Canon LiDE 300" or "LiDE 300") or SANE name; "" is the first one listed.
    `feeder` is what the scanner calls its feeder ("ADF Duplex": both sides); "" is the first that looks like one. `name` is the
    site's, if it has one.
    """

    kind = KIND

    def __init__(
        self, wire: ScannerWire, device: str = "", settings: ScanSettings | None = None,
        now: Callable[[], datetime] = now, feeder: str = "", name: str = "",
    ) -> None:  # fmt: skip
        self._wire = wire
        self._feeder = feeder
        self._device = device
        self._name = name or device
        self._settings = ScanSettings() if settings is None else settings
        self._now = now
        self._stack = AsyncExitStack()
        self._held: HeldScanner | None = None

    async def probe(self) -> DeviceStatus:
        """Whether it is listed. While it scans it is left alone. Paper and covers show only when a page is scanned."""
        try:
            scanner = await self._chosen()
        except DeviceError as error:
            return DeviceStatus(error.state)
        state = DeviceState.DEVICE_BUSY if self._wire.scanning(scanner.name) else DeviceState.ONLINE
        return DeviceStatus(state, DeviceIdentity(f"{scanner.vendor} {scanner.model}", scanner.serial))

    async def _chosen(self) -> Scanner:
        found = chosen(await self._wire.scanners(), self._device)
        if found is None:
            raise DeviceUnavailable(ABSENT, DeviceState.NO_DEVICE)
        return found

    async def __aenter__(self) -> Self:
        self._held = await self._stack.enter_async_context(self._wire.hold(await self._chosen()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held = None
        await self._stack.aclose()

    async def read(self, progress: Progress = silent) -> Reading[Page]:
        """One page: the one on the glass, under the camera, or the next in the feeder."""
        return await self._one(self._settings, progress, preview=False)

    async def preview(self, progress: Progress = silent) -> Reading[Page]:
        """One page, coarse and soon, to see how it lies. Not from a feeder: the page would be through."""
        return await self._one(replace(self._settings, resolution_dpi=PREVIEW_DPI), progress, preview=True)

    async def pages(
        self, pages_max: int = PAGES_MAX, progress: Progress = silent
    ) -> AsyncGenerator[Reading[Page], None]:
        """A feeder's pages, each as soon as it is whole; ends when the feeder is empty or `pages_max` came.

        Close it (`contextlib.aclosing`). An error after some pages leaves those valid: go on with the page that failed.
        Raises CardRefused where there is no feeder: from a glass or camera every page would be the same one.
        """
        settings = replace(self._settings, source=await self._feeder_source())
        async with aclosing(self._scan(settings, pages_max, progress, preview=False)) as readings:
            async for reading in readings:
                yield reading

    async def _feeder_source(self) -> str:
        source = self._feeder or feeder_of(await self._taken().sources())
        if source is None:
            raise CardRefused(NO_FEEDER)
        return source

    async def _one(self, settings: ScanSettings, progress: Progress, *, preview: bool) -> Reading[Page]:
        async with aclosing(self._scan(settings, 1, progress, preview=preview)) as readings:
            async for reading in readings:
                return reading
        raise DeviceFault(NO_PAGE)

    async def _scan(
        self, settings: ScanSettings, pages_max: int, progress: Progress, *, preview: bool
    ) -> AsyncGenerator[Reading[Page], None]:
        held = self._taken()
        scanner = held.scanner
        async with aclosing(held.scan(settings, pages_max, progress)) as contents:
            async for content in contents:
                try:
                    page = page_of(content, preview=preview)
                except NotAPicture as error:
                    raise DeviceFault(DAMAGED) from error
                yield Reading(
                    self._name or scanner.model, KIND, page, scanner.simulated, self._now(), serial=scanner.serial
                )

    def _taken(self) -> HeldScanner:
        if self._held is None:
            raise DeviceUnavailable(CLOSED)
        return self._held


def chosen(listed: tuple[Scanner, ...], device: str) -> Scanner | None:
    """By serial before name before model, since a name may be another scanner's after plugging; None when it is away."""
    by_serial = [scanner for scanner in listed if device in ("", scanner.serial)]
    by_name = [scanner for scanner in listed if device == scanner.name]
    by_model = [scanner for scanner in listed if device in (scanner.model, f"{scanner.vendor} {scanner.model}")]
    return next(iter([*by_serial, *by_name, *by_model]), None)
