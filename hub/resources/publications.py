"""Noticing that something was published, by this process or another one."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from hub.outage import Outage
from hub.resources.store import head_versions
from hub.resources.versions import Version

POLL_S = 1.0


class Publications:
    """`changed` is set and replaced at each publication: take it before reading, wait after."""

    def __init__(self, engine: sa.Engine, *, poll_s: float = POLL_S) -> None:
        self.changed = asyncio.Event()
        self._engine = engine
        self._poll_s = poll_s
        self._seen: dict[str, Version] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        outage = Outage("publications")
        while True:
            with outage:
                await self.look()
            await asyncio.sleep(self._poll_s)

    async def look(self) -> None:
        """Look now: whoever publishes in this process calls it, so that nobody waits for the poll."""
        versions = await asyncio.to_thread(head_versions, self._engine)
        if versions != self._seen:
            self._seen = versions
            changed, self.changed = self.changed, asyncio.Event()
            changed.set()
