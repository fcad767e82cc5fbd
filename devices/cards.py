"""What a card driver needs of its wire. Two implementations: `devices.pcsc` and `devices.simulated.wire`."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from devices.apdu import Command
from devices.contract import DeviceIdentity, DeviceState

SIMULATED_PREFIX = "Suozhan Virtual"  # reserved: what is read in a reader so named is marked as simulated


@dataclass(frozen=True)
class ReaderState:
    """One reader as it was last seen. `insertion` rises with every card put in, so that a quick swap shows.

    `identity` tells a reader from another one plugged in its place, under the same name; None until it was asked.
    """

    name: str
    state: DeviceState
    card_present: bool
    atr: bytes = b""
    insertion: int = 0
    identity: DeviceIdentity | None = None


class CardWire(Protocol):
    """One card, held from connecting to letting go: every answer comes from the same card or not at all."""

    @property
    def reader(self) -> str: ...

    @property
    def atr(self) -> bytes: ...

    @property
    def simulated(self) -> bool: ...

    @property
    def identity(self) -> DeviceIdentity:
        """Which reader holds it: asked when it was taken, so never another one's."""
        ...

    async def transmit(self, apdu: Command) -> tuple[bytes, int]:
        """Send one short APDU, return (data, status word); 61xx and 6Cxx are dealt with underneath.

        Raises CardAbsent once the card was pulled, swapped or reset; DeviceFault when card or reader hang.
        """
        ...


class CardReaders(Protocol):
    """All card readers of this machine. A notification is a hint: `states` is the truth."""

    @property
    def service(self) -> DeviceState:
        """ONLINE, or OFFLINE while the card service is away; `states` is empty then."""
        ...

    @property
    def states(self) -> tuple[ReaderState, ...]: ...

    @property
    def generation(self) -> int:
        """Rises with every change of `states` or `service`. Take it before reading `states`."""
        ...

    async def changed(self, after: int) -> int:
        """Wait until `generation` is above `after` and return it."""
        ...

    def card(self, reader: str) -> AbstractAsyncContextManager[CardWire]:
        """Hold the card in `reader`. Raises CardAbsent, CardRefused, DeviceUnavailable or DeviceFault."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
