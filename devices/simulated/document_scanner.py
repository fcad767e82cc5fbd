"""A document scanner without hardware: SANE's own test backend in a private configuration, played from a file (scanner_text)."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from devices.paper import PAPER_OUT, PaperFault
from devices.scanimage import LIST_MAX_S, QUIET_MAX_S, Scanimage
from devices.scanners import HeldScanner, Progress, Scanner, ScanSettings
from devices.simulated.scanner_text import ScannerFolder


class SimulatedScanner:
    """The `ScannerWire` of the scanner that a folder describes. Its readings are marked as simulated."""

    def __init__(self, directory: Path, *, list_max_s: float = LIST_MAX_S, quiet_max_s: float = QUIET_MAX_S) -> None:
        self._folder = ScannerFolder(directory)
        self._sane = Scanimage(self._folder.configuration, list_max_s=list_max_s, quiet_max_s=quiet_max_s)

    async def scanners(self) -> tuple[Scanner, ...]:
        """See `ScannerWire.scanners`."""
        self._folder.follow()
        text = self._folder.text()
        serial = "" if text is None else text.serial
        return tuple(replace(scanner, serial=serial) for scanner in await self._sane.scanners())

    def scanning(self, name: str) -> bool:
        """See `ScannerWire.scanning`."""
        return self._sane.scanning(name)

    @asynccontextmanager
    async def hold(self, scanner: Scanner) -> AsyncIterator[HeldScanner]:
        """See `ScannerWire.hold`."""
        async with self._sane.hold(scanner) as held:
            yield SimulatedHold(held, self._folder)


@dataclass(frozen=True)
class SimulatedHold:
    """See `devices.scanners.HeldScanner`."""

    _held: HeldScanner
    _folder: ScannerFolder

    @property
    def scanner(self) -> Scanner:
        return self._held.scanner

    async def sources(self) -> tuple[str, ...]:
        """See `HeldScanner.sources`."""
        self._folder.follow()
        return await self._held.sources()

    async def scan(
        self, settings: ScanSettings, pages_max: int, progress: Progress
    ) -> AsyncGenerator[bytes, None]:
        """See `HeldScanner.scan`. SANE's backend has its fault on every page or none: a stack with one later is two runs."""
        self._folder.follow()
        text = self._folder.text()
        before = min(text.after, pages_max) if text is not None and text.fault else 0
        if text is not None and before:
            self._folder.hold_back(text)
            async with aclosing(self._held.scan(settings, before, progress)) as pages:
                async for page in pages:
                    yield page
            self._folder.configure()
        if before < pages_max:
            async with aclosing(self._rest(settings, pages_max - before, progress, before)) as pages:
                async for page in pages:
                    yield page

    async def _rest(
        self, settings: ScanSettings, pages_max: int, progress: Progress, before: int
    ) -> AsyncGenerator[bytes, None]:
        def later(page: int, percent: float) -> None:
            progress(before + page, percent)

        try:
            async with aclosing(self._held.scan(settings, pages_max, later)) as pages:
                async for page in pages:
                    yield page
        except PaperFault as fault:
            if not before or PAPER_OUT not in fault.reasons:  # else it is the good end of a small stack
                raise
