"""Lets the transparency log follow the ledger, and tells whoever waits for receipts."""

from __future__ import annotations

import asyncio

import structlog

from hub.attention.alarms import Alarms
from hub.ledger.transparency import Published, TransparencyLog
from hub.ledger.writer import LedgerWriter
from hub.outage import Outage
from security.checkpoint import Checkpoint

INTERVAL_S = 2.0

log = structlog.get_logger()


class Checkpointer:
    """`await checkpointer.run()`; `published()` is the newest checkpoint, `news()` an event of the next one."""

    def __init__(self, transparency: TransparencyLog, writer: LedgerWriter, alarms: Alarms, *,
                 interval_s: float = INTERVAL_S) -> None:
        self._log = transparency
        self._writer = writer
        self._alarms = alarms
        self._interval_s = interval_s
        self._news = asyncio.Event()
        self._told = ""
        self._turn = asyncio.Lock()

    def published(self) -> Published | None:
        """None while the log is halted, or has not begun."""
        return None if self._log.halted else self._log.published

    def news(self) -> asyncio.Event:
        """Set at the next checkpoint. A hint: take it before reading, wait for it after."""
        return self._news

    async def contradicted(self, checkpoint: Checkpoint, note: str) -> None:
        """A checkpoint of ours does not belong to our tree: sign no more; `run` tells people."""
        async with self._turn:
            try:
                await asyncio.to_thread(self._log.contradicted, checkpoint, note)
            except OSError as error:
                log.warning("what contradicts the log is not on disk yet", error=str(error),
                            next="see to the disk of the high-water mark; it is tried again until then")

    async def run(self) -> None:
        """Until cancelled."""
        outage = Outage("transparency log")
        while True:
            with outage:
                await self._step()
                await self._tell()
            await asyncio.sleep(self._interval_s)

    async def _step(self) -> None:
        # Receipts may wait for a moment without records, but not for ever.
        await self._writer.quiet(self._interval_s)
        before = self._log.published
        async with self._turn:
            step = self._log.begin if before is None and not self._log.halted else self._log.advance
            try:
                after = await asyncio.to_thread(step)
            except OSError as error:
                log.warning("no checkpoint now", error=str(error), next="see to the disk of the high-water mark")
                return
        if after is not None and after is not before:
            news, self._news = self._news, asyncio.Event()
            news.set()

    async def _tell(self) -> None:
        if self._log.halted and self._log.halted != self._told:
            await asyncio.to_thread(self._alarms.raise_alarm, "log-halted", "ledger", self._log.halted)
            self._told = self._log.halted
