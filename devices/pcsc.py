"""The PC/SC wire: every reader that pcscd knows, real or virtual, as `devices.cards.CardReaders`.

The server is the system's pcscd, or the one whose socket the environment names in PCSCLITE_CSOCK_NAME (read once
by the client library, at its first call). A reader whose name begins with `devices.cards.SIMULATED_PREFIX`
is a virtual one, and what is read in it is marked as simulated; no real reader carries that name.
"""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Self

from devices.cards import SIMULATED_PREFIX, CardWire, ReaderState
from devices.contract import DeviceState
from devices.pcsc_card import ANSWER_MAX_S, PcscReader
from devices.pcsc_monitor import Monitor

FIRST_LOOK_MAX_S = 2.0

log = logging.getLogger(__name__)


class PcscReaders:
    """All readers of one pcscd. Entering never fails: without pcscd `service` is OFFLINE until it comes."""

    def __init__(self, *, answer_max_s: float = ANSWER_MAX_S) -> None:
        self._answer_max_s = answer_max_s
        self._service = DeviceState.OFFLINE
        self._states: tuple[ReaderState, ...] = ()
        self._generation = 0
        self._change = asyncio.Event()
        self._readers: dict[str, PcscReader] = {}
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
        return self._generation

    async def changed(self, after: int) -> int:
        """See `CardReaders.changed`."""
        while self._generation <= after:
            await self._change.wait()
        return self._generation

    def card(self, reader: str) -> AbstractAsyncContextManager[CardWire]:
        """See `CardReaders.card`."""
        if reader not in self._readers:
            simulated = reader.startswith(SIMULATED_PREFIX)
            self._readers[reader] = PcscReader(reader, simulated=simulated, answer_max_s=self._answer_max_s)
        return self._readers[reader].card()

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
        except TimeoutError:
            log.warning("card service gave no answer in %.0f s, going on without readers", FIRST_LOOK_MAX_S)
        except asyncio.CancelledError:
            await self._monitor.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        closing = [reader.close() for reader in self._readers.values()]
        if self._monitor is not None:
            closing.append(self._monitor.stop())
        if not all(await asyncio.gather(*closing)):
            log.warning("a thread hangs in the card service and was left behind; restart pcscd or replug the reader")

    def _seen(self, service: DeviceState, states: tuple[ReaderState, ...]) -> None:
        self._service, self._states = service, states
        self._generation += 1
        change, self._change = self._change, asyncio.Event()
        change.set()
