"""The journal of what devices do and what the agent itself notes. It is full before business lacks anything, and then the counter
goes on without it.
"""

from __future__ import annotations

import asyncio

from edge.alarms import Alarms
from edge.drafts import Draft, JournalFull, Stored
from edge.journal import Journal

ALARM = "events-full"
TEXT = ("the journal of events is full (events_quota_bytes, or its share of the disk): what devices do is not recorded until the "
        "line has taken some of it. Transactions are stored as before. Look after the line, and for a device that comes and goes")
HINT = "本机设备事件日志已满，新的设备事件暂不记录，业务照常办理。请检查网络线路和设备，并联系市信息中心。"


class EventsJournal:
    """Of an open journal. Whoever is refused says it again later."""

    def __init__(self, journal: Journal, alarms: Alarms) -> None:
        self._journal = journal
        self._alarms = alarms

    async def submit(self, draft: Draft) -> Stored:
        """Raises JournalRefused."""
        try:
            return await self._journal.submit(draft)
        except JournalFull:
            await asyncio.to_thread(self._alarms.raise_alarm, ALARM, TEXT, HINT)
            raise
