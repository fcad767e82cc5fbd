"""A keyboard-wedge scanner in umockdev's testbed: what it types, and where that is heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from devices.evdev_keyboard import EvdevKeyboard
from devices.scan_text import AS_THEY_COME, KIND, ScanSettings
from devices.wedge_keys import Key
from devices.wedge_scanner import WedgeScannerDriver
from tests.devices.keyboard import ENTER, keys_of, stroke
from tests.devices.stands.stand import Presented
from tests.devices.testbed.machine import PRODUCT, VENDOR, Device, Machine

DEVICE = "窗口1 扫码枪"
PERSON = "11010519491231002X"
OTHER = "410782199001010025"


@dataclass
class WedgeScannerStand:
    """See `tests.devices.stands.stand.Stand`."""

    machine: Machine
    scanner: Device
    kind: str = KIND
    simulated: bool = True
    presented: Presented = Presented.IN_A_MOMENT
    secrets: tuple[str, ...] = (PERSON, OTHER)
    device: str = DEVICE
    hanging: bool = False

    def driver(self, settings: ScanSettings = AS_THEY_COME) -> WedgeScannerDriver:
        node = self.scanner.node
        return WedgeScannerDriver(DEVICE, lambda: EvdevKeyboard(node, VENDOR, PRODUCT, "S1"), settings)

    async def present(self) -> None:
        if not self.hanging:
            await self.type([*keys_of(PERSON), *stroke(ENTER)])

    async def present_other(self) -> None:
        await self.type([*keys_of(OTHER), *stroke(ENTER)])

    async def spoil(self) -> None:
        await self.type(keys_of(PERSON))

    async def take_back(self) -> None:
        pass

    def touched(self) -> str:
        return ""

    async def type(self, keys: list[Key]) -> None:
        await asyncio.to_thread(self.machine.type, self.scanner, keys)

    async def unplug(self) -> None:
        await asyncio.to_thread(self.machine.unplug, self.scanner)

    async def plug(self) -> None:
        """The kernel gives it another number than before."""
        self.hanging = False
        self.scanner = await asyncio.to_thread(self.machine.keyboard, "S1")

    async def hang(self) -> None:
        self.hanging = True

    async def wake(self) -> None:
        self.hanging = False


@asynccontextmanager
async def stand(machine: Machine) -> AsyncIterator[WedgeScannerStand]:
    scanner = await asyncio.to_thread(machine.keyboard, "S1")
    one = WedgeScannerStand(machine, scanner)
    yield one
    await one.unplug()
