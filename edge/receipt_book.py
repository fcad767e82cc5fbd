"""Takes the hub's receipts for one journal: checks each, keeps it, and raises an alarm that stays when one does not hold.

A refused receipt stops no work and no delivery: nothing is pruned without one, so nothing is lost by going on.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from uuid import UUID

import structlog

from edge.alarms import Alarms
from edge.journal import Journal
from edge.log_view import HistoryRefused, LogView
from edge.receipt_store import Receipt, ReceiptStore
from edge.wire import HubEpoch, HubReceipt
from security.chain import leaf_hash

HISTORY = "history"
RESTORED = "hub-restored"
HISTORY_HINT = ("市级平台的历史记录与本机保存的凭证不一致，可能被改动。本机业务照常办理、照常保存。"
                "请立即联系市信息中心安全管理员，不要重装本机。")
RESTORED_HINT = "市级平台从备份恢复过，部分记录需由本机重新上传，系统会自动完成。业务照常办理，请向市信息中心核实此事。"

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

    async def opening(self) -> tuple[str, int]:
        """As it stands on disk: the newest checkpoint that was accepted, and the newest position with a receipt in its epoch.

        Raises sqlite3.Error.
        """
        note = await asyncio.to_thread(self._store.checkpoint)
        try:
            self._view = LogView.restored(self._hub, self._log_key, note)
        except HistoryRefused as error:
            await self._alarm(HISTORY, f"the checkpoint that this machine kept is damaged: {error}", HISTORY_HINT, error.evidence)
            self._view = LogView(self._hub, self._log_key)
        return self._view.note, await asyncio.to_thread(self._store.newest, self._view.number)

    async def take(self, message: HubReceipt | HubEpoch) -> None:
        """Raises CorruptJournal; trouble with the disk is logged, the hub gives the receipt again."""
        try:
            if isinstance(message, HubEpoch):
                self._view = self._view.stated(message.statement)
            else:
                await self._take_receipt(message)
        except HistoryRefused as error:
            await self._alarm(HISTORY, f"{error}; what the hub signed is kept as evidence", HISTORY_HINT, error.evidence)
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
