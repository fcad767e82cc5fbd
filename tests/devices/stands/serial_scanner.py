"""A serial scanner at the far end of a pseudo terminal, with people who hold codes before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from devices.contract import DeviceIdentity
from devices.scan_text import AS_THEY_COME, KIND, ScanSettings
from devices.serial_port import SerialPort
from devices.serial_scanner import SerialScannerDriver
from devices.simulated.serial_scanner import ScannerFolder, SimulatedScanners
from tests.devices.stands.stand import Presented

NAME = "gun"
BAUD = 9600
SEEN_MAX_S = 30.0
POLL_S = 0.01
DEVICE = "窗口1 扫码枪"
PERSON = "11010519491231002X"
OTHER = "410782199001010025"


@dataclass
class SerialScannerStand:
    """See `tests.devices.stands.stand.Stand`."""

    folder: ScannerFolder
    kind: str = KIND
    simulated: bool = True
    presented: Presented = Presented.IN_A_MOMENT
    secrets: tuple[str, ...] = (PERSON, OTHER)
    device: str = DEVICE
    hanging: bool = False

    def driver(self, settings: ScanSettings = AS_THEY_COME) -> SerialScannerDriver:
        line = self.folder.line(NAME)
        return SerialScannerDriver(DEVICE, lambda: SerialPort(line, BAUD), DeviceIdentity("Gun 1", "S1"), settings)

    async def present(self) -> None:
        if not self.hanging:
            self.show(f'codes = ["{PERSON}"]')

    async def present_other(self) -> None:
        self.show(f'codes = ["{OTHER}"]')

    async def spoil(self) -> None:
        self.show(f'codes = ["{PERSON}"]\nstop_after = 17')

    async def take_back(self) -> None:
        pass

    def touched(self) -> str:
        return self.folder.told(NAME).hex()

    def show(self, showing_toml: str) -> None:
        self.folder.show(NAME, showing_toml)

    async def unplug(self) -> None:
        self.folder.unplug(NAME)
        await self._until(plugged=False)

    async def plug(self) -> None:
        self.hanging = False
        self.folder.plug(NAME)
        await self._until(plugged=True)

    async def hang(self) -> None:
        self.hanging = True

    async def wake(self) -> None:
        self.hanging = False

    async def _until(self, *, plugged: bool) -> None:
        async with asyncio.timeout(SEEN_MAX_S):
            while self.folder.line(NAME).exists() != plugged:
                await asyncio.sleep(POLL_S)


@asynccontextmanager
async def stand(folder: Path) -> AsyncIterator[SerialScannerStand]:
    async with SimulatedScanners(folder):
        one = SerialScannerStand(ScannerFolder(folder))
        await one.plug()
        yield one
