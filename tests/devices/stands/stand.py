"""What the contract test needs of a device: the driver, and hands."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

from devices.contract import Driver


class Presented(StrEnum):
    """When people present to a device what it reads."""

    BEFORE = "before"  # a card lies in it before the driver begins
    MEANWHILE = "meanwhile"  # while the driver waits; it may lie there: a card, a finger
    IN_A_MOMENT = "in a moment"  # while the driver waits, and over at once: a code, a press
    ALWAYS = "always"  # there is always something: the glass of a scanner, the state of a printer


class Stand(Protocol):
    """One device on its real stack, plugged in, with nothing presented to it."""

    kind: str
    simulated: bool  # what its readings say of themselves
    presented: Presented

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is shown of people: must not stand in any repr, nor in a log."""
        ...

    @property
    def device(self) -> str:
        """The name that its readings bear."""
        ...

    def driver(self) -> Driver[Any]:
        """A new one, on the same wire."""
        ...

    async def present(self) -> None:
        """Do once what a reading is made of: put the card in, show a code, lay a page in."""
        ...

    async def present_other(self) -> None:
        """The same of another person: another card, another code."""
        ...

    async def spoil(self) -> None:
        """Do once what no reading is to be made of: noise, half a code, a card that falls silent, a page that jams."""
        ...

    async def take_back(self) -> None:
        """What was presented, where it would lie there for the next one."""
        ...

    def touched(self) -> str:
        """What it was told; "" where nobody can see that, or a probe has to ask it."""
        ...

    async def unplug(self) -> None: ...

    async def plug(self) -> None:
        """Returns once a probe can see it."""
        ...

    async def hang(self) -> None:
        """From now on it takes what it is told, and answers nothing."""
        ...

    async def wake(self) -> None: ...
