"""One stream's receipts: at each checkpoint that covers something new of its journal, and now and then without anything new."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

import sqlalchemy as sa
import structlog

from hub.attention.alarms import Alarms
from hub.ledger.checkpointer import Checkpointer
from hub.ledger.journal_head import JournalHead
from hub.ledger.receipts import Contradiction, ForeignCheckpoint, Known, Receipt, Receipts
from hub.ledger.runs import Damaged
from hub.ledger.transparency import Published
from hub.ledger.wire import Down, Opening, encode_epoch, encode_receipt
from security.proofs import ProofRefused
from security.tiles import TileMissing

NEWS_S = 600.0  # a machine that says nothing new still sees that history only grew
AT_ONCE_MAX = 2  # proofs are made in threads, and records come first

Give = Callable[[Down], Awaitable[None]]

log = structlog.get_logger()


class ReceiptGiver:
    """`await giver.follow(journal, opening, give)` runs beside each stream, until it is cancelled."""

    def __init__(self, receipts: Receipts, checkpointer: Checkpointer, alarms: Alarms) -> None:
        self._receipts = receipts
        self._checkpointer = checkpointer
        self._alarms = alarms
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)

    async def follow(self, journal: JournalHead, opening: Opening, give: Give) -> None:
        """Trouble passes over a checkpoint, and the next one is tried: a stream may last for weeks. What is not ours ends the
        receipts of this stream, and nothing else: records are more urgent.
        """
        try:
            await self._follow(journal, opening, give)
        except ForeignCheckpoint as error:
            await self._alarm("foreign-checkpoint", f"edge {journal.edge}", str(error))

    async def _follow(self, journal: JournalHead, opening: Opening, give: Give) -> None:
        known, position, given_s = None, opening.receipt, float("-inf")
        loop = asyncio.get_running_loop()
        while True:
            news, published = self._checkpointer.news(), self._checkpointer.published()
            if published is not None and known is None:
                known = await self._known(journal, opening, published)
                for statement in known.missed if known else []:
                    await give(encode_epoch(statement))
                    position = 0
            if published is not None and known is not None:
                receipt = await self._receipt(journal, position, known.size, published)
                due = loop.time() - given_s >= NEWS_S and receipt is not None and receipt.size > known.size
                if receipt is not None and (receipt.place is not None or due):
                    await give(encode_receipt(receipt))
                    known, given_s = Known(receipt.size, []), loop.time()
                    position = receipt.place.position if receipt.place else position
            await news.wait()

    async def _known(self, journal: JournalHead, opening: Opening, published: Published) -> Known | None:
        """None when it cannot be told now. Raises ForeignCheckpoint."""
        try:
            known = await asyncio.to_thread(self._receipts.known_by, opening.checkpoint, published)
        except Contradiction as error:
            await self._checkpointer.contradicted(error.checkpoint, error.note)
        except (Damaged, TileMissing) as error:
            await self._alarm("tree-damaged", "ledger", str(error))
        except sqlite3.Error as error:
            log.warning("no receipts now", journal=str(journal.journal), error=str(error))
        else:
            if known.doubt:
                await self._alarm("two-histories", f"edge {journal.edge}", known.doubt)
            return known
        return None

    async def _receipt(self, journal: JournalHead, position: int, known_size: int, published: Published) -> Receipt | None:
        try:
            async with self._turns:
                return await asyncio.to_thread(self._receipts.receipt, journal.journal, position, known_size, published)
        except (ProofRefused, TileMissing) as error:
            await self._alarm("tree-damaged", "ledger", f"the tree's tiles are damaged ({error}); run: suozhan-hub verify")
        except sqlite3.Error as error:
            log.warning("no receipt now", journal=str(journal.journal), error=str(error))
        return None

    async def _alarm(self, kind: str, subject: str, text: str) -> None:
        """Trouble with the database ends no stream; what is alarming goes on, and is told again."""
        try:
            await asyncio.to_thread(self._alarms.raise_alarm, kind, subject, text)
        except (sqlite3.Error, sa.exc.DBAPIError) as error:
            log.warning("the alarm is not in the database", kind=kind, error=str(error).splitlines()[0])
