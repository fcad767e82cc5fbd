"""The PC/SC wire: every reader that pcscd knows, real or virtual, as `devices.cards.CardReaders`.

The server is the system's pcscd, or the one whose socket the environment names in PCSCLITE_CSOCK_NAME (read once
by the client library, at its first call). A reader whose name begins with `devices.cards.SIMULATED_PREFIX`
is a virtual one, and what is read in it is marked as simulated; no real reader carries that name.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from devices import pcsc_identity
from devices.cards import SIMULATED_PREFIX, CardWire, ReaderState
from devices.contract import DeviceIdentity, DeviceState
from devices.generation import Generation
from devices.pcsc_card import ANSWER_MAX_S, PcscReader
from devices.pcsc_monitor import Monitor

FIRST_LOOK_MAX_S = 2.0
IDENTITIES_MAX_S = 1.0
IDENTIFY_AGAIN_S = 5.0

log = logging.getLogger(__name__)


class PcscReaders:
    """All readers of one pcscd. Entering never fails: without pcscd `service` is OFFLINE until it comes."""

    def __init__(self, *, answer_max_s: float = ANSWER_MAX_S) -> None:
        self._answer_max_s = answer_max_s
        self._service = DeviceState.OFFLINE
        self._states: tuple[ReaderState, ...] = ()
        self._generation = Generation()
        self._readers: dict[str, PcscReader] = {}
        self._identities: dict[str, DeviceIdentity] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._monitor: Monitor | None = None

    @property
    def service(self) -> DeviceState:
        """See `CardReaders.service`."""
        return self._service

    @property
    def states(self) -> tuple[ReaderState, ...]:
        """See `CardReaders.states`."""
        return self._states

    @property
    def generation(self) -> int:
        """See `CardReaders.generation`; 0 until the first look."""
        return self._generation.number

    async def changed(self, after: int) -> int:
        """See `CardReaders.changed`."""
        return await self._generation.above(after)

    def card(self, reader: str) -> AbstractAsyncContextManager[CardWire]:
        """See `CardReaders.card`."""
        return self._card(reader)

    @asynccontextmanager
    async def _card(self, name: str) -> AsyncIterator[CardWire]:
        async with self._reader(name).card() as card:
            self._identified(name, card.identity)
            yield card

    def _reader(self, name: str) -> PcscReader:
        if name not in self._readers:
            simulated = name.startswith(SIMULATED_PREFIX)
            self._readers[name] = PcscReader(name, simulated=simulated, answer_max_s=self._answer_max_s)
        return self._readers[name]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()

        def report(service: DeviceState, states: tuple[ReaderState, ...]) -> None:
            with suppress(RuntimeError):  # the loop is closed: this monitor was left behind in a hung pcscd
                loop.call_soon_threadsafe(self._seen, service, states)

        self._monitor = Monitor(report)
        self._monitor.start()
        try:
            async with asyncio.timeout(FIRST_LOOK_MAX_S):
                await self.changed(0)
            if self._asking:
                await asyncio.wait(list(self._asking.values()), timeout=IDENTITIES_MAX_S)
        except TimeoutError:
            log.warning("card service gave no answer in %.0f s, going on without readers", FIRST_LOOK_MAX_S)
        except asyncio.CancelledError:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        monitor, self._monitor = self._monitor, None
        for asking in self._asking.values():
            asking.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)
        closing = [reader.close() for reader in self._readers.values()]
        if monitor is not None:
            closing.append(monitor.stop())
        if not all(await asyncio.gather(*closing)):
            log.warning("a thread hangs in the card service and was left behind; restart pcscd or replug the reader")

    def _seen(self, service: DeviceState, states: tuple[ReaderState, ...]) -> None:
        if self._monitor is None:  # left, or being left
            return
        there = {state.name for state in states if state.state is not DeviceState.HARDWARE_ERROR}
        for name in self._asking.keys() - there:
            self._asking.pop(name).cancel()
        self._identities = {name: identity for name, identity in self._identities.items() if name in there}
        for name in there - self._identities.keys() - self._asking.keys():
            self._asking[name] = asyncio.create_task(self._identify(name), name=f"identify {name}")
        self._tell(service, states)

    async def _identify(self, name: str) -> None:
        while (identity := await pcsc_identity.ask(name)) is None:
            await asyncio.sleep(IDENTIFY_AGAIN_S)
        self._asking.pop(name, None)
        self._identified(name, identity)

    def _identified(self, name: str, identity: DeviceIdentity) -> None:
        """A reader may have been swapped for another of its name between two looks: who holds a card knows best."""
        if self._identities.get(name) != identity and any(state.name == name for state in self._states):
            self._identities[name] = identity
            self._tell(self._service, self._states)

    def _tell(self, service: DeviceState, states: tuple[ReaderState, ...]) -> None:
        self._service = service
        self._states = tuple(replace(state, identity=self._identities.get(state.name)) for state in states)
        self._generation.rise()
