"""A count of changes, for whoever follows a state without missing one."""

import asyncio


class Generation:
    """Take `number` before reading the state, and wait for what is `above` it after."""

    def __init__(self) -> None:
        self.number = 0
        self._change = asyncio.Event()

    def rise(self) -> None:
        """The state has changed, and is there to be read."""
        self.number += 1
        change, self._change = self._change, asyncio.Event()
        change.set()

    async def above(self, after: int) -> int:
        """Wait until `number` is above `after`, and return it."""
        while self.number <= after:
            await self._change.wait()
        return self.number
