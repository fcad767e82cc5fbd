"""An ID card reader at the far end of a pseudo terminal, with people who lay their cards on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from devices.id_card import KIND, IdCardDriver
from devices.id_card_line import Bauds
from devices.serial_port import SerialPort
from devices.simulated.id_readers import IdReaderFolder, SimulatedIdReaders
from tests.devices.stands.stand import Presented

NAME = "window 1"
DEVICE = "窗口1"
PERSON = "name = '张三'\nid_number = '11010519491231002X'\naddress = '北京市朝阳区'\nnewest_address = '北京市西城区'\n"
OTHER = "name = '李四'\nid_number = '410782199001010025'\naddress = '河南省辉县市'\n"
SEEN_MAX_S = 30.0
POLL_S = 0.005


@dataclass
class IdCardStand:
    """See `tests.devices.stands.stand.Stand`."""

    folder: IdReaderFolder
    bauds: Bauds = field(default_factory=Bauds)
    kind: str = KIND
    simulated: bool = True
    presented: Presented = Presented.MEANWHILE
    secrets: tuple[str, ...] = ("张三", "11010519491231002X", "19491231", "朝阳", "西城", "b'", "photo=b")
    device: str = DEVICE

    def driver(self, *, fingerprints: bool = False) -> IdCardDriver:
        line = partial(SerialPort, self.folder.line(NAME))
        return IdCardDriver(DEVICE, line, self.bauds, fingerprints=fingerprints)

    async def present(self) -> None:
        self.lay(PERSON)

    async def present_other(self) -> None:
        self.lay(OTHER)

    async def spoil(self) -> None:
        self.lay(f"{PERSON}pull_after = 3\n[reader]\nnoise = 'AAAA00'")

    async def take_back(self) -> None:
        self.lift()

    def touched(self) -> str:
        return ""

    def lay(self, text: str) -> None:
        self.folder.lay(NAME, text)

    def lift(self) -> None:
        self.folder.plug(NAME)

    async def unplug(self) -> None:
        self.folder.unplug(NAME)
        await self._until(plugged=False)

    async def plug(self) -> None:
        self.folder.plug(NAME)
        await self._until(plugged=True)

    async def hang(self) -> None:
        self.lay("[reader]\nmute = true")

    async def wake(self) -> None:
        self.lift()

    async def _until(self, *, plugged: bool) -> None:
        async with asyncio.timeout(SEEN_MAX_S):
            while self.folder.line(NAME).exists() != plugged:
                await asyncio.sleep(POLL_S)


@asynccontextmanager
async def stand(folder: Path) -> AsyncIterator[IdCardStand]:
    one = IdCardStand(IdReaderFolder(folder))
    one.lift()
    async with SimulatedIdReaders(folder):
        await one.plug()
        yield one
