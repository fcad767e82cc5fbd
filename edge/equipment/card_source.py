"""The card readers that PC/SC knows, as devices: found by themselves, and remembered while they are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial

from devices.card_authentication import CardAuthenticator
from devices.card_pin import ToldTries
from devices.cards import SIMULATED_PREFIX, CardReaders, ReaderState
from devices.reader_names import found_again, without_slot
from devices.social_card import KIND, SocialCardDriver
from edge.equipment.equipment import Wanted
from edge.equipment.listed_source import LOOK_S


class CardReaderSource:
    """A reader whose serial has a name in `names` is a device by that name, there or not, and wherever it is plugged in. Each
    other one is a device by its own name; one that is gone stays, so that its loss is seen, until it is plugged in elsewhere.
    `keys` are what reads cards of generation 3; the slot of the PSAM in which they are is no reader.
    """

    def __init__(self, readers: CardReaders, names: Callable[[], Mapping[str, str]] = dict, keys: CardAuthenticator | None = None,
                 psam_slot: str = "", *, simulated: bool) -> None:
        self._readers = readers
        self._simulated = simulated
        self._names = names
        self._keys = keys
        self._psam_slot = psam_slot
        self._told = ToldTries()
        self._virtual: set[str] = set()  # serials of simulated readers: they are that while they are away, too
        self._found: dict[str, str] = {}  # serials ("": not known) by the names of readers that have no name of the site

    def wanted(self) -> Sequence[Wanted]:
        """See `DeviceSource.wanted`."""
        names = self._names()
        named = {self._reader_of(serial) for serial in names}
        for state in self._states():
            if state.name not in named and (state.identity or not names):  # else it would change its name in a moment
                self._find(state)
        self._found = {reader: serial for reader, serial in self._found.items() if reader not in named}
        return [*(self._named(name, serial) for serial, name in names.items()), *map(self._unnamed, self._found)]

    def _states(self) -> Iterator[ReaderState]:
        psam = found_again(self._psam_slot, [state.name for state in self._readers.states])
        return (state for state in self._readers.states if state.name != psam)

    def _reader_of(self, serial: str) -> str:
        """The reader's name now; its first slot, where it has several. "": it is away, or two readers say that serial."""
        found = sorted(state.name for state in self._states() if state.identity and state.identity.serial == serial)
        return found[0] if len({without_slot(name) for name in found}) == 1 else ""

    def _find(self, state: ReaderState) -> None:
        known = self._found.get(state.name, "")
        serial = state.identity.serial if state.identity else known
        if serial and serial != known:
            here = {one.name for one in self._states()}
            self._found = {name: of for name, of in self._found.items() if of != serial or name in here}
        self._found[state.name] = serial

    def _named(self, name: str, serial: str) -> Wanted:
        if self._is_simulated(self._reader_of(serial)):
            self._virtual.add(serial)
        return Wanted(name, KIND, lambda: self._driver(self._reader_of(serial), name, serial), settings=serial,
                      simulated=serial in self._virtual)

    def _unnamed(self, reader: str) -> Wanted:
        return Wanted(reader, KIND, partial(self._driver, reader), simulated=self._is_simulated(reader))

    def _driver(self, reader: str, name: str = "", serial: str = "") -> SocialCardDriver:
        return SocialCardDriver(self._readers, reader, keys=self._keys, told=self._told, name=name, serial=serial)

    def _is_simulated(self, reader: str) -> bool:
        return self._simulated or reader.startswith(SIMULATED_PREFIX)

    async def changed(self, after: int) -> int:
        """See `DeviceSource.changed`; the names are looked at every LOOK_S."""
        generation, names = self._readers.generation, self._names()
        while self._readers.generation == generation and self._names() == names:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._readers.changed(generation)
        return after + 1
