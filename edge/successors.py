"""When a journal has ended: an alarm, and a successor of the machine's identity, as soon as its disk takes one."""

from __future__ import annotations

import asyncio
import sqlite3

import structlog

from edge.alarms import Alarms
from edge.state import StateFolder
from edge.succession import SuccessionRefused, begin

RETRY_S = 30.0
ENDED = "journal-ended"
ENDED_HINT = "本机业务日志已换新，业务照常办理；原有记录均保留在本机，待市中心批准后自动上传。请联系市信息中心，不要重装系统。"

log = structlog.get_logger()


class Successors:
    """Of one machine."""

    def __init__(self, state: StateFolder, alarms: Alarms) -> None:
        self._state = state
        self._alarms = alarms

    async def begun(self, reason: str) -> bool:
        """One try. False: the disk does not take it now, or somebody has to look after this machine."""
        try:
            await asyncio.to_thread(self._begin, reason)
        except (SuccessionRefused, OSError, sqlite3.Error) as error:
            log.warning("no successor journal yet", error=str(error), next="make room on this machine's disk")
            return False
        return True

    async def until_begun(self, reason: str) -> None:
        while not await self.begun(reason):
            await asyncio.sleep(RETRY_S)

    def _begin(self, reason: str) -> None:
        """The alarm first: a crash behind it begins anew."""
        self._alarms.raise_alarm(ENDED, f"the journal has ended: {reason}. The machine goes on with a new identity and journal, "
                                 "which somebody at the hub has to approve: suozhan-hub approvals", ENDED_HINT)
        successor = begin(self._state, reason)
        log.error("a successor of this machine's identity was begun", reason=reason, folder=str(successor.root),
                  next="the counter goes on; somebody at the hub has to approve it: suozhan-hub approvals")
