"""A document scanner of SANE's test backend, in a configuration of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devices.document_scanner import KIND, DocumentScannerDriver
from devices.scanners import ScanSettings
from devices.simulated.document_scanner import SimulatedScanner
from devices.simulated.scanner_text import ScannerFolder, ScannerText
from tests.devices.stands.stand import Presented

HANGING_MAX_S = 3.0
COARSE = ScanSettings(resolution_dpi=75)


@dataclass
class DocumentScannerStand:
    """See `tests.devices.stands.stand.Stand`. A page always lies on the glass."""

    folder: ScannerFolder
    wire: SimulatedScanner
    kind: str = KIND
    simulated: bool = True
    presented: Presented = Presented.ALWAYS
    secrets: tuple[str, ...] = ("\\xff\\xd8",)  # how the content of a page begins
    device: str = "document-1"

    def driver(self) -> DocumentScannerDriver:
        return DocumentScannerDriver(self.wire, settings=COARSE, name=self.device)

    async def present(self) -> None:
        self.folder.plug()

    async def present_other(self) -> None:
        self.folder.plug(ScannerText(picture="Grid"))

    async def spoil(self) -> None:
        self.folder.plug(ScannerText(fault="jam"))

    async def take_back(self) -> None:
        pass

    def touched(self) -> str:
        return ""

    async def unplug(self) -> None:
        self.folder.unplug()

    async def plug(self) -> None:
        await self.wake()

    async def hang(self) -> None:
        self.folder.plug(ScannerText(hang=True))
        self.wire = SimulatedScanner(self.folder.directory, list_max_s=HANGING_MAX_S)

    async def wake(self) -> None:
        self.folder.plug()
        self.wire = SimulatedScanner(self.folder.directory)


@asynccontextmanager
async def stand(folder: Path) -> AsyncIterator[DocumentScannerStand]:
    hands = ScannerFolder(folder)
    hands.plug()
    yield DocumentScannerStand(hands, SimulatedScanner(folder))
