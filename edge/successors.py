"""When a journal has ended: an alarm, and a successor of the machine's identity, as soon as its disk takes one."""

from __future__ import annotations

import asyncio
import sqlite3

import structlog

from edge.alarms import Alarms
from edge.reopening import pauses_s
from edge.state import StateFolder
from edge.succession import SuccessionRefused, begin

ENDED = "journal-ended"
# Raised before there is a successor, and left as it is: true before and after.
ENDED_HINT = ("本机业务日志已停用，改用新日志；办理时如提示“未受理”，请稍候再办。原有记录均保留在本机，待市中心批准后自动上传。"
              "请联系市信息中心，不要重装系统。")

log = structlog.get_logger()


class Successors:
    """Of one identity of a machine: it is followed by one."""

    def __init__(self, state: StateFolder, alarms: Alarms) -> None:
        self._state = state
        self._alarms = alarms
        self._one = asyncio.Lock()  # two journals may end at a time
        self._begun = False

    async def begun(self, reason: str, hint: str = ENDED_HINT) -> bool:
        """One try; the hint is for the counter. False: the disk does not take it now, or somebody has to look after this
        machine.
        """
        async with self._one:
            try:
                if not self._begun:
                    await asyncio.to_thread(self._begin, reason, hint)
            except (SuccessionRefused, OSError, sqlite3.Error) as error:
                log.warning("no successor journal yet", error=str(error), next="make room on this machine's disk")
                return False
            self._begun = True
        return True

    async def until_begun(self, reason: str, hint: str = ENDED_HINT) -> None:
        for pause_s in pauses_s():
            if await self.begun(reason, hint):
                return
            await asyncio.sleep(pause_s)

    def _begin(self, reason: str, hint: str) -> None:
        """The alarm first: a crash behind it begins anew."""
        self._alarms.raise_alarm(ENDED, f"the journal has ended: {reason}. The machine goes on with a new identity and journal, "
                                 "which somebody at the hub has to approve: suozhan-hub approvals", hint)
        successor = begin(self._state, reason)
        log.error("a successor of this machine's identity was begun", reason=reason, folder=str(successor.root),
                  next="the counter goes on; somebody at the hub has to approve it: suozhan-hub approvals")
