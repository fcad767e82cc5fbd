"""A social-security card in a virtual reader of a private pcscd; for generation 3 with a PSAM in another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from devices.card_authentication import Algorithm, CardAuthenticator
from devices.cards import ReaderState
from devices.pcsc import PcscReaders
from devices.psam_slot import PsamSlot
from devices.simulated.card import CardText
from devices.simulated.pcscd import VirtualReaders
from devices.simulated.psam import PsamText
from devices.social_card import KIND, SocialCardDriver
from tests.devices.stands.stand import Presented

SEEN_MAX_S = 40.0  # a card service that comes again is looked for every 5 s in the end
ANSWER_MAX_S = 15.0
SILENT_AFTER_APDUS = 4
OTHER = CardText(name="李四", id_number="410782199001010025", card_number="B87654321")
PSAM = PsamText()


@dataclass
class SocialCardStand:
    """See `tests.devices.stands.stand.Stand`."""

    readers: PcscReaders
    virtual: VirtualReaders
    slot: str
    person: CardText
    keys: CardAuthenticator | None = None
    kind: str = KIND
    device: str = "card-1"
    simulated: bool = True
    presented: Presented = Presented.BEFORE

    @property
    def secrets(self) -> tuple[str, ...]:
        return self.person.name, self.person.id_number, self.person.card_number, OTHER.name, OTHER.id_number, OTHER.card_number

    @property
    def _reader(self) -> str:
        return next((one.name for one in self.readers.states if one.name.startswith(self.slot)), f"{self.slot} 00 00")

    def driver(self) -> SocialCardDriver:
        return SocialCardDriver(self.readers, self._reader, keys=self.keys, name=self.device)

    async def present(self) -> None:
        await self._insert(self.person)

    async def present_other(self) -> None:
        await self._insert(replace(OTHER, generation=self.person.generation))

    async def spoil(self) -> None:
        await self._insert(replace(self.person, mute_after=SILENT_AFTER_APDUS))

    async def _insert(self, card: CardText) -> None:
        before = max((one.insertion for one in self.readers.states if one.name == self._reader), default=0)
        await asyncio.to_thread(self.virtual.insert, self.slot, card)
        await self.until(self._reader, lambda one: one is not None and one.card_present and one.insertion > before)

    async def take_back(self) -> None:
        pass

    def touched(self) -> str:
        return ""

    async def unplug(self) -> None:
        await asyncio.to_thread(self.virtual.unplug, self.slot)

    async def plug(self) -> None:
        await asyncio.to_thread(self.virtual.plug, self.slot)
        await self.until(self._reader, lambda one: one is not None)

    async def hang(self) -> None:
        self.virtual.hang(self.slot)

    async def wake(self) -> None:
        self.virtual.unhang(self.slot)

    async def until(self, name: str, condition: Callable[[ReaderState | None], bool]) -> None:
        """Of one reader, as pcscd sees it."""
        generation = -1
        async with asyncio.timeout(SEEN_MAX_S):
            while generation < 0 or not condition(next((one for one in self.readers.states if one.name == name), None)):
                generation = await self.readers.changed(generation)


@asynccontextmanager
async def stand(_folder: Path, virtual: VirtualReaders, slot: str, person: CardText) -> AsyncIterator[SocialCardStand]:
    async with PcscReaders(answer_max_s=ANSWER_MAX_S) as readers:
        yield SocialCardStand(readers, virtual, slot, person)


@asynccontextmanager
async def with_psam(
    folder: Path, virtual: VirtualReaders, slot: str, psam_slot: str, person: CardText
) -> AsyncIterator[SocialCardStand]:
    """The same with keys: for cards of generation 3."""
    await asyncio.to_thread(virtual.insert, psam_slot, PSAM)
    async with stand(folder, virtual, slot, person) as one:
        psam = next(reader.name for reader in one.readers.states if reader.name.startswith(psam_slot))
        await one.until(psam, lambda reader: reader is not None and reader.card_present)
        one.keys = PsamSlot(one.readers, psam, {Algorithm(PSAM.algorithm): PSAM.keys})
        yield one
