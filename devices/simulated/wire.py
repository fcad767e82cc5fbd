"""Simulated card readers in this process, no pcscd needed; driven by calls, or by files from another process.

With a `directory`, the files in it are the truth, looked at every LOOK_S and at every APDU: one file per reader,
"NAME.toml"; it exists: plugged; empty: no card; otherwise the card or PSAM that is in, as text (see
`devices.simulated.chip_text`). "NAME.serial" is the reader's serial, where it is not the one made up from its name.
`ReaderFolder` writes them. Everything read here is marked as simulated.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from devices import apdu as short_apdu
from devices.apdu import Command
from devices.cards import CardWire, ReaderState
from devices.contract import CardAbsent, CardRefused, DeviceIdentity, DeviceState, DeviceUnavailable, Unreadable
from devices.generation import Generation
from devices.simulated.chip import ChipText, VirtualChip
from devices.simulated.folder import ReaderFolder
from devices.simulated.serials import made_up

MODEL = "Suozhan simulated reader"
LOOK_S = 0.2
GONE = "卡片已取出或被移动。请重新插入卡片，读完再取。"
UNPLUGGED = "读卡器已断开。请检查读卡器的连接线，重新插好。"
MUTE = "卡片没有应答。请取出卡片，擦净芯片后重新插入。"
BUSY = "读卡器正在读另一张卡。请等读完再试。"

log = logging.getLogger(__name__)


@dataclass
class SimulatedReader:
    """One plugged reader. `insertion` tells one card put in from the next, equal or not."""

    serial: str
    card: VirtualChip | None = None
    insertion: int = 0
    held: bool = False


@dataclass(frozen=True)
class SimulatedWire:
    """The `CardWire` of a held card."""

    reader: str
    atr: bytes
    identity: DeviceIdentity
    _readers: "SimulatedReaders"
    _card: VirtualChip
    _insertion: int
    simulated: bool = True

    async def transmit(self, apdu: Command) -> tuple[bytes, int]:
        """See `CardWire.transmit`."""
        await asyncio.sleep(self._card.text.slow_ms / 1000)
        return short_apdu.transmit(self._exchange, apdu)

    def _exchange(self, command: Command) -> bytes:
        if self._card.pulled:
            self._readers.pull(self.reader)
        self._readers.look()
        if not self._readers.holds(self.reader, self._insertion):
            raise CardAbsent(GONE)
        answer = self._card.exchange(bytes(command))
        if answer is None:
            raise Unreadable(MUTE)
        return answer


class SimulatedReaders:
    """All simulated readers, as `devices.cards.CardReaders`."""

    def __init__(self, directory: Path | None = None, readers: Iterable[str] = ()) -> None:
        self._folder = None if directory is None else ReaderFolder(directory)
        self._readers = {name: SimulatedReader(made_up(name)) for name in readers}
        self._insertions: dict[str, int] = {}
        self._files: dict[str, int] = {}
        self._states: tuple[ReaderState, ...] = ()
        self._generation = Generation()
        self._looking: asyncio.Task[None] | None = None

    @property
    def service(self) -> DeviceState:
        """Always ONLINE."""
        return DeviceState.ONLINE

    @property
    def states(self) -> tuple[ReaderState, ...]:
        """See `CardReaders.states`."""
        return self._states

    @property
    def generation(self) -> int:
        """See `CardReaders.generation`."""
        return self._generation.number

    async def changed(self, after: int) -> int:
        """See `CardReaders.changed`."""
        return await self._generation.above(after)

    def plug(self, name: str, serial: str | None = None) -> None:
        """Connect a reader, empty; one of another `serial` is another reader."""
        self._readers.setdefault(name, SimulatedReader(made_up(name) if serial is None else serial))
        self._tell()

    def unplug(self, name: str) -> None:
        """Take a reader away, with the card in it."""
        self._readers.pop(name, None)
        self._tell()

    def insert(self, name: str, text: ChipText) -> None:
        """Put a card in; one that was in is taken out first. Raises KeyError when the reader is not plugged."""
        self._insertions[name] = self._insertions.get(name, 0) + 1
        reader = self._readers[name]
        reader.card, reader.insertion = VirtualChip(text), self._insertions[name]
        self._tell()

    def pull(self, name: str) -> None:
        """Take the card out. In a directory too, so that it does not come back by itself."""
        if self._folder is not None:
            self._files[name] = self._folder.pull(name)
        if name in self._readers:
            self._readers[name].card = None
        self._tell()

    def holds(self, name: str, insertion: int) -> bool:
        """Whether the card of that insertion is still in."""
        reader = self._readers.get(name)
        return reader is not None and reader.card is not None and reader.insertion == insertion

    def look(self) -> None:
        """Take over what the directory says."""
        if self._folder is None:
            return
        files = self._folder.versions()
        for name in self._files.keys() - files.keys():
            self.unplug(name)
        for name, version in files.items():
            if self._files.get(name) != version:
                self._take(self._folder, name)
        self._files = files

    def card(self, reader: str) -> AbstractAsyncContextManager[CardWire]:
        """See `CardReaders.card`."""
        return self._card(reader)

    @asynccontextmanager
    async def _card(self, name: str) -> AsyncIterator[CardWire]:
        self.look()
        reader = self._readers.get(name)
        if reader is None:
            raise DeviceUnavailable(UNPLUGGED, DeviceState.NO_DEVICE)
        if reader.held:
            raise DeviceUnavailable(BUSY, DeviceState.DEVICE_BUSY)
        if reader.card is None:
            raise CardAbsent(GONE)
        atr = reader.card.power_up()
        if atr is None:
            raise CardRefused(MUTE)
        reader.held = True
        try:
            yield SimulatedWire(name, atr, DeviceIdentity(MODEL, reader.serial), self, reader.card, reader.insertion)
        finally:
            reader.held = False

    async def __aenter__(self) -> Self:
        self.look()
        self._tell()
        if self._folder is not None:
            self._looking = asyncio.create_task(self._keep_looking(), name="simulated readers")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def _take(self, folder: ReaderFolder, name: str) -> None:
        serial = folder.serial(name)
        reader = self._readers.setdefault(name, SimulatedReader(serial))
        reader.serial, reader.card = serial, None
        try:
            text = folder.card(name)
        except ValueError as error:
            log.warning("simulated reader %s stays empty, its file is no card: %s", name, error)
            text = None
        if text is None:
            self._tell()
        else:
            self.insert(name, text)

    def _tell(self) -> None:
        states = tuple(_state(name, reader, self._insertions.get(name, 0)) for name, reader in self._readers.items())
        if states != self._states or self._generation.number == 0:
            self._states = states
            self._generation.rise()


def _state(name: str, reader: SimulatedReader, insertion: int) -> ReaderState:
    identity = DeviceIdentity(MODEL, reader.serial)
    if reader.card is None:
        return ReaderState(name, DeviceState.ONLINE, False, b"", insertion, identity)
    state = DeviceState.USER_ERROR if reader.card.atr is None else DeviceState.ONLINE
    return ReaderState(name, state, True, reader.card.atr or b"", insertion, identity)
