"""A printer that speaks IPP: CUPS' ippeveprinter on a private port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devices.ipp import IppWire
from devices.printer import KIND, PrinterDriver
from devices.simulated.printer import SimulatedPrinter
from devices.simulated.printer_text import PrinterFolder, PrinterText
from tests.devices.stands.stand import Presented

ANSWER_MAX_S, HANGING_MAX_S = 30.0, 3.0


@dataclass
class PrinterStand:
    """See `tests.devices.stands.stand.Stand`. Nothing has to be presented: a reading is how the printer is."""

    folder: PrinterFolder
    printer: SimulatedPrinter
    kind: str = KIND
    simulated: bool = True
    presented: Presented = Presented.ALWAYS
    secrets: tuple[str, ...] = ()
    device: str = "前台打印机"
    answer_max_s: float = ANSWER_MAX_S

    def driver(self) -> PrinterDriver:
        wire = IppWire(self.printer.uri, answer_max_s=self.answer_max_s)
        return PrinterDriver(wire, self.device, follow_s=0.05, lost_max_s=1.0)

    async def present(self) -> None:
        await self.be()

    async def present_other(self) -> None:
        await self.be(PrinterText(toner=50))

    async def spoil(self) -> None:
        await self.hang()

    async def take_back(self) -> None:
        pass

    def touched(self) -> str:
        return ""

    async def be(self, text: PrinterText | None = None) -> None:
        """As described, at once."""
        self.answer_max_s = HANGING_MAX_S if text is not None and text.hang else ANSWER_MAX_S
        self.folder.plug(text)
        await self.printer.settle()

    async def unplug(self) -> None:
        self.folder.unplug()
        await self.printer.settle()

    async def plug(self) -> None:
        await self.be()

    async def hang(self) -> None:
        await self.be(PrinterText(hang=True))

    async def wake(self) -> None:
        await self.be()


@asynccontextmanager
async def stand(folder: Path) -> AsyncIterator[PrinterStand]:
    hands = PrinterFolder(folder)
    hands.plug()
    async with SimulatedPrinter(hands) as printer:
        yield PrinterStand(hands, printer)
