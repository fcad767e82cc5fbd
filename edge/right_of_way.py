"""Who goes behind another journal on the line: a chatty device never stands before a resident's transaction."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from edge.journal import Journal
from edge.line import Line, LineStatus

LOOK_S = 1.0  # whether the other's line still works


class RightOfWay:
    """`first` has it, as long as its `line` works: who asks sends one batch at a time, and begins none while `first` has what the
    hub has not acknowledged. So a record of `first` waits behind one batch at most.
    """

    def __init__(self, first: Journal, line: Line) -> None:
        self._first = first
        self._line = line

    async def free(self) -> None:
        while True:
            heard = self._first.heard()
            if not self._first.queued or self._line.state.state is not LineStatus.CONNECTED:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await heard.wait()
