"""The journals before this one: what they could not deliver goes into it, and what a hub that came back from a backup no longer
has of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from edge.carry import RETRY_S, TROUBLE, Ask, Carrier
from edge.line import HubRefused, Line, LineLost

log = structlog.get_logger()


class Predecessors:
    """`carriers`: the oldest journal's first."""

    def __init__(self, carriers: Sequence[Carrier], ask: Ask, line: Line) -> None:
        self._carriers = carriers
        self._ask = ask
        self._line = line

    async def run(self) -> None:
        """Until cancelled; where there are none, it is done at once."""
        for carrier in self._carriers:
            await carrier.run(self._ask)
        while self._carriers:
            greeted = self._line.greeted()  # a hub that was restored has ended all streams
            looked = await self._look_back()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if looked else RETRY_S):
                    await greeted.wait()

    async def _look_back(self) -> bool:
        """Whether the hub holds all of them by now."""
        try:
            for carrier in self._carriers:
                await carrier.look_back(self._ask)
        except LineLost:
            return False
        except (HubRefused, *TROUBLE) as error:
            log.warning("what the hub holds of earlier journals is not known", reason=str(error),
                        next="look after this disk, and the line; it is asked again")
            return False
        return True
