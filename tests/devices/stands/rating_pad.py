"""The worked example of docs/drivers.md: a rating pad at the far end of a pseudo terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devices.contract import DeviceIdentity
from devices.serial_port import SerialPort
from devices.simulated.serial_scanner import ScannerFolder, SimulatedScanners
from docs.examples.rating_pad import KIND, RatingPadDriver
from tests.devices.stands.serial_scanner import BAUD, NAME, SerialScannerStand


@dataclass
class RatingPadStand(SerialScannerStand):
    """See `tests.devices.stands.stand.Stand`."""

    kind: str = KIND
    secrets: tuple[str, ...] = ("level=3", "level=5")
    device: str = "窗口1 评价器"
    made_of: type[RatingPadDriver] = RatingPadDriver

    def driver(self) -> RatingPadDriver:  # type: ignore[override]  # the same line, another device at its end
        line = self.folder.line(NAME)
        return self.made_of(self.device, lambda: SerialPort(line, BAUD), DeviceIdentity("Pad 5", "P1"))

    async def present(self) -> None:
        if not self.hanging:
            self.show('raw = "FF33"')  # noise of the key, then "3"

    async def present_other(self) -> None:
        self.show('raw = "35"')

    async def spoil(self) -> None:
        self.show('raw = "FF00"')


@asynccontextmanager
async def stand(folder: Path, driver: type[RatingPadDriver] = RatingPadDriver) -> AsyncIterator[RatingPadStand]:
    async with SimulatedScanners(folder):
        one = RatingPadStand(ScannerFolder(folder), made_of=driver)
        await one.plug()
        yield one
