"""One stream's receipts: at each checkpoint that covers something new of its journal, and now and then without anything new."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

import structlog

from hub.attention.alarms import Alarms
from hub.ledger.checkpointer import Checkpointer
from hub.ledger.receipts import Contradiction, Known, Receipt, Receipts
from hub.ledger.store import JournalHead
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
        """Trouble ends the receipts of this stream and nothing else: records are more urgent."""
        known, position, given_s = None, opening.receipt, float("-inf")
        loop = asyncio.get_running_loop()
        while True:
            news, published = self._checkpointer.news(), self._checkpointer.published()
            if published is not None:
                if known is None:
                    known = await self._known(journal, opening, published)
                    if known is None:
                        return
                    for statement in known.missed:
                        await give(encode_epoch(statement))
                    position = 0 if known.missed else position
                receipt = await self._receipt(journal, position, known.size, published)
                due = loop.time() - given_s >= NEWS_S and receipt is not None and receipt.size > known.size
                if receipt is not None and (receipt.place is not None or due):
                    await give(encode_receipt(receipt))
                    known, given_s = Known(receipt.size, []), loop.time()
                    position = receipt.place.position if receipt.place else position
            await news.wait()

    async def _known(self, journal: JournalHead, opening: Opening, published: Published) -> Known | None:
        try:
            return await asyncio.to_thread(self._receipts.known_by, opening.checkpoint, published)
        except Contradiction as error:
            await self._checkpointer.contradicted(error.checkpoint, error.note)
        except ValueError as error:
            await asyncio.to_thread(self._alarms.raise_alarm, "foreign-checkpoint", f"edge {journal.edge}", str(error))
        except (sqlite3.Error, TileMissing) as error:
            log.warning("no receipts on this stream", journal=str(journal.journal), error=str(error))
        return None

    async def _receipt(self, journal: JournalHead, position: int, known_size: int, published: Published) -> Receipt | None:
        try:
            async with self._turns:
                return await asyncio.to_thread(self._receipts.receipt, journal.journal, position, known_size, published)
        except (ProofRefused, TileMissing) as error:
            await asyncio.to_thread(self._alarms.raise_alarm, "tree-damaged", "ledger",
                                    f"the tree's tiles are damaged ({error}); run: suozhan-hub verify")
        except sqlite3.Error as error:
            log.warning("no receipt now", journal=str(journal.journal), error=str(error))
        return None
