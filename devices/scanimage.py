"""The scanner wire by SANE: `scanimage` (Debian's sane-utils), a process for every listing and every stack of pages."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devices import scanimage_output as says
from devices.contract import DeviceFault, DeviceState, DeviceUnavailable
from devices.memory_folder import MEMORY, memory_folder
from devices.scanimage_run import Run, running
from devices.scanners import PAGES_MAX, Progress, Scanner, ScanSettings

LIST_MAX_S = 20.0  # backends that look for scanners on the network take their time
QUIET_MAX_S = 60.0  # a cold lamp, a head that travels back
END_MAX_S = 10.0
PAGE_MAX_BYTES = 128 * 1024 * 1024
CAMERAS = ("v4l",)  # backends without an option for the resolution


class Scanimage:
    """All scanners of one SANE configuration: the system's, or that in the folder `configuration` (dll.conf and so on).

    A backend that hangs while scanners are listed holds up the listing of all in its configuration: give each scanner
    a configuration of its own with one backend in it; that is also what makes listing fast.
    """

    def __init__(
        self, configuration: Path | None = None, *, spool: Path = MEMORY,
        list_max_s: float = LIST_MAX_S, quiet_max_s: float = QUIET_MAX_S,
    ) -> None:  # fmt: skip
        self._environment = {} if configuration is None else {"SANE_CONFIG_DIR": str(configuration)}
        self._spool = spool
        self._list_max_s = list_max_s
        self._quiet_max_s = quiet_max_s
        self._listed: tuple[Scanner, ...] = ()
        self._listing = asyncio.Lock()
        self._held: set[str] = set()
        self._scanning: set[str] = set()

    async def scanners(self) -> tuple[Scanner, ...]:
        """See `ScannerWire.scanners`. Raises DeviceFault when the listing hangs, DeviceUnavailable when it crashes."""
        async with self._listing:
            if not self._scanning:
                self._listed = await self._list()
            return self._listed

    async def _list(self) -> tuple[Scanner, ...]:
        async with running(["-f", says.LIST_FORMAT], self._environment, None, PAGE_MAX_BYTES) as run:
            lines = [line async for line in run.lines(self._list_max_s)]
            if await run.status(END_MAX_S) < 0:
                raise DeviceUnavailable(says.CRASHED)
        return says.scanners_of("\n".join(lines))

    def scanning(self, name: str) -> bool:
        """See `ScannerWire.scanning`."""
        return name in self._scanning

    @asynccontextmanager
    async def hold(self, scanner: Scanner) -> AsyncIterator["HeldBySane"]:
        """See `ScannerWire.hold`."""
        if scanner.name in self._held:
            raise DeviceUnavailable(says.BUSY, DeviceState.DEVICE_BUSY)
        self._held.add(scanner.name)
        try:
            yield HeldBySane(scanner, self)
        finally:
            self._held.remove(scanner.name)

    async def sources(self, scanner: Scanner) -> tuple[str, ...]:
        """See `HeldScanner.sources`."""
        async with self._alone(scanner), self._asked(scanner) as run:
            lines = [line async for line in run.lines(self._quiet_max_s)]
            status = await run.status(END_MAX_S)
        if status and (error := says.ending(status, says.complaints(lines), 0)):
            raise error
        return says.sources_of(lines)

    def _asked(self, scanner: Scanner) -> AbstractAsyncContextManager[Run]:
        return running([f"--device-name={scanner.name}", "--all-options"], self._environment, None, PAGE_MAX_BYTES)

    async def scan(
        self, scanner: Scanner, settings: ScanSettings, pages_max: int, progress: Progress
    ) -> AsyncGenerator[bytes, None]:
        """See `HeldScanner.scan`."""
        if not 0 < pages_max <= PAGES_MAX:
            raise ValueError(f"pages_max: 1 to {PAGES_MAX}, not {pages_max}")
        arguments = arguments_of(scanner, settings, pages_max)
        async with self._alone(scanner), AsyncExitStack() as stack:
            try:
                folder = stack.enter_context(memory_folder("scan", self._spool))
            except OSError as error:
                raise DeviceFault(says.TOO_LARGE) from error
            run = await stack.enter_async_context(running(arguments, self._environment, folder, PAGE_MAX_BYTES))
            pages = await stack.enter_async_context(aclosing(self._pages(run, folder, progress)))
            async for page in pages:
                yield page

    @asynccontextmanager
    async def _alone(self, scanner: Scanner) -> AsyncIterator[None]:
        """Not while a listing looks at all scanners, and none while this one scans."""
        async with self._listing:
            self._scanning.add(scanner.name)
        try:
            yield
        finally:
            self._scanning.discard(scanner.name)

    async def _pages(self, run: Run, folder: Path, progress: Progress) -> AsyncGenerator[bytes, None]:
        pages, over = 0, False
        words: list[str] = []
        async with aclosing(run.lines(self._quiet_max_s)) as lines:
            async for line in lines:
                match says.line_of(line):
                    case says.PageProgress(percent):
                        progress(pages + 1, percent)
                    case says.PageFile(name):
                        content = await asyncio.to_thread(_taken, folder / name)
                        pages += 1
                        yield content
                    case says.Complaint(said):
                        words.append(said)
                    case says.BatchEnd():  # backends hang or crash in letting go, libsane-test as well: all is said by then
                        over = True
                        break
        status = await run.let_go(END_MAX_S) if over else await run.status(END_MAX_S)
        error = says.ending(status, words, pages)
        if error is not None:
            raise error


@dataclass(frozen=True)
class HeldBySane:
    """See `devices.scanners.HeldScanner`."""

    scanner: Scanner
    _wire: Scanimage

    async def sources(self) -> tuple[str, ...]:
        return await self._wire.sources(self.scanner)

    def scan(self, settings: ScanSettings, pages_max: int, progress: Progress) -> AsyncGenerator[bytes, None]:
        return self._wire.scan(self.scanner, settings, pages_max, progress)


def arguments_of(scanner: Scanner, settings: ScanSettings, pages_max: int) -> list[str]:
    """Batch mode always: it says when a page is whole, and keeps a feeder's stack in one run."""
    arguments = [
        f"--device-name={scanner.name}", f"--format={settings.picture}", f"--batch=%d.{settings.picture}",
        f"--batch-count={pages_max}", "--batch-print", "--progress",
    ]  # fmt: skip
    if settings.resolution_dpi is not None and scanner.name.split(":")[0] not in CAMERAS:
        arguments.append(f"--resolution={settings.resolution_dpi}")
    if settings.mode:
        arguments.append(f"--mode={settings.mode}")
    if settings.source:
        arguments.append(f"--source={settings.source}")
    if settings.area_mm is not None:
        width, height = settings.area_mm
        arguments += ["-l", "0", "-t", "0", "-x", str(width), "-y", str(height)]
    return arguments


def _taken(file: Path) -> bytes:
    try:
        content = file.read_bytes()
        file.unlink()
    except OSError as error:
        raise DeviceFault(says.STRANGE) from error
    return content
