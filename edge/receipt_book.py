"""Takes the hub's receipts for one journal: checks each, keeps it, and raises an alarm that stays when one does not hold.

A refused receipt stops no work and no delivery: nothing is pruned without one, so nothing is lost by going on.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import structlog

from edge.alarms import Alarms
from edge.journal import Journal
from edge.log_view import HistoryRefused, LogView
from edge.receipt_store import DamagedReceipts, Receipt, ReceiptStore
from edge.wire import HubEpoch, HubReceipt
from security.chain import leaf_hash

HISTORY = "history"
RESTORED = "hub-restored"
DAMAGED = "receipts-damaged"
HISTORY_HINT = ("市级平台的历史记录与本机保存的凭证不一致，可能被改动。本机业务照常办理、照常保存。"
                "请立即联系市信息中心安全管理员，不要重装本机。")
RESTORED_HINT = "市级平台从备份恢复过，部分记录需由本机重新上传，系统会自动完成。业务照常办理，请向市信息中心核实此事。"
DAMAGED_HINT = "本机保存的部分回执因磁盘损坏无法读取。业务照常办理、照常上传。请联系市信息中心检查本机磁盘，不要重装本机。"
LOOKED_THROUGH_MAX = 100  # receipts, for a checkpoint that takes the place of a damaged one

log = structlog.get_logger()


class ReceiptBook:
    """`opening` begins a stream and is what the hub has to know; then `take` what comes."""

    def __init__(self, journal: Journal, store: ReceiptStore, hub: UUID, log_key: bytes, alarms: Alarms) -> None:
        self._journal = journal
        self._store = store
        self._hub = hub
        self._log_key = log_key
        self._alarms = alarms
        self._view = LogView(hub, log_key)

    async def opening(self) -> str:
        """The newest checkpoint that was accepted, as it stands on disk; where that is damaged, the newest that can be read.

        Raises sqlite3.Error.
        """
        await self._journal.proved(0)  # each stream proves anew: the hub may have come back with another tree
        try:
            self._view = await asyncio.to_thread(self._kept)
        except (HistoryRefused, DamagedReceipts) as error:
            await self._damaged(error)
            self._view = await asyncio.to_thread(self._of_receipts)
        return self._view.note

    def _kept(self) -> LogView:
        note = self._store.checkpoint()
        if not note and self._store.latest_checkpoints(1):
            raise DamagedReceipts("the newest checkpoint is gone")
        return LogView.restored(self._hub, self._log_key, note)

    def _of_receipts(self) -> LogView:
        """An older view is enough to see that the log only grew; an empty one is the last resort."""
        with suppress(DamagedReceipts):
            for note in self._store.latest_checkpoints(LOOKED_THROUGH_MAX):
                with suppress(HistoryRefused):
                    return LogView.restored(self._hub, self._log_key, note)
        return LogView(self._hub, self._log_key)

    async def _damaged(self, error: Exception) -> None:
        """Of this disk: what the hub has signed is not in question."""
        text = (f"what this machine kept of the hub's receipts is damaged on its disk: {error}. Records are stored and "
                "delivered. Copy this machine's state folder, look after its disk, then: suozhan-edge verify")
        await self._alarm(DAMAGED, text, DAMAGED_HINT, "")

    async def shown_for(self, position: int) -> tuple[Receipt, bytes] | None:
        """The first receipt for a record there or behind it, with that record's digest; None when none can be read.

        Raises CorruptJournal, sqlite3.Error.
        """
        try:
            receipt = await asyncio.to_thread(self._store.first_from, position)
        except DamagedReceipts as error:
            await self._damaged(error)
            return None
        digest = await self._journal.digest_at(receipt.position) if receipt else None
        return (receipt, digest) if receipt and digest else None

    async def take(self, message: HubReceipt | HubEpoch) -> None:
        """Raises CorruptJournal; trouble with the disk is logged, the hub gives the receipt again."""
        try:
            if isinstance(message, HubEpoch):
                self._view = self._view.stated(message.statement)
            else:
                await self._take_receipt(message)
        except HistoryRefused as error:
            await self._alarm(HISTORY, f"{error}; what the hub signed is kept as evidence", HISTORY_HINT, error.evidence)
        except DamagedReceipts as error:
            await self._damaged(error)
        except (sqlite3.Error, OSError) as error:
            log.warning("receipt not kept", error=str(error), next="look after this machine's disk")

    async def _take_receipt(self, message: HubReceipt) -> None:
        lost, before = self._view.lost(), self._view.note
        view = self._view.seen(message.checkpoint, message.consistency)
        receipt = await self._checked(view, message) if message.position else None
        self._view = view  # where the disk does not take it, too: the hub's next proof on this stream begins there
        if lost and view.base is None:
            text = (f"the hub came back from a backup and lacked {lost} entries that it had proved before; it says so itself, "
                    "and asks for them again")
            await self._alarm(RESTORED, text, RESTORED_HINT, f"{before}\n{message.checkpoint}")
        await asyncio.to_thread(self._store.keep, message.checkpoint, receipt)
        if receipt is not None:
            await self._journal.proved(receipt.position)

    async def _checked(self, view: LogView, message: HubReceipt) -> Receipt | None:
        """None for a record of which the signature is no longer here: then nothing can be checked, and nothing is claimed."""
        own = await self._journal.signed_at(message.position)
        if own is None:
            if message.position > self._journal.head.position:
                raise HistoryRefused(f"the hub has a receipt for position {message.position}, which was never written here",
                                     view.note)
            return None
        digest, signature = own
        identity = self._journal.identity.genesis
        leaf = leaf_hash(self._journal.key_id, identity.journal.bytes, message.position, digest, signature, message.arrived_ms)
        view.check_receipt(leaf, message.index, message.inclusion)
        return Receipt(message.position, view.number, message.index, message.arrived_ms, signature, message.inclusion,
                       message.checkpoint)

    async def _alarm(self, kind: str, text: str, hint: str, evidence: str) -> None:
        raise_alarm: Callable[[str, str, str, bytes], None] = self._alarms.raise_alarm
        await asyncio.to_thread(raise_alarm, kind, text, hint, evidence.encode())
