"""The journals before this one: what they could not deliver goes into it, and what a hub that came back from a backup no longer
has of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from edge.alarms import Alarms
from edge.carry import TROUBLE, Ask, Carrier, EarlierJournalUnreadable
from edge.line import HubRefused, Line, LineLost

RETRY_S = 60.0
ALARM = "earlier-journal"
HINT = "本机一份原有业务日志无法读取，其中未上传的记录暂不能补传，业务照常办理。请保留本机现状，不要重装系统，并联系市信息中心。"

LOST = "records-lost"
LOST_HINT = ("本机一份原有日志中有记录已损坏且无法恢复，不能补传。请保留本机数据文件夹，不要重装系统，"
             "并联系市信息中心核对需要补办的业务。")

log = structlog.get_logger()


def tell_lost_records(alarms: Alarms, text: str) -> None:
    """What could not be carried over, by somebody's hand alone: look for a copy of the disk, ask the people concerned."""
    alarms.raise_alarm(LOST, f"{text}. Keep this folder, look for a copy of the disk (suozhan-edge --state COPY export FILE), "
                       "and tell the city's IT desk: what is in no copy has to be done again", LOST_HINT)


class Predecessors:
    """`carriers`: the oldest journal's first."""

    def __init__(self, carriers: Sequence[Carrier], ask: Ask, line: Line, alarms: Alarms) -> None:
        self._carriers = carriers
        self._ask = ask
        self._line = line
        self._alarms = alarms
        self._told: set[str] = set()

    async def run(self) -> None:
        """Until cancelled; where there are none, it is done at once."""
        while self._carriers:
            greeted = self._line.greeted()  # a hub that was restored has ended all streams
            looked = await self._look_after()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if looked else RETRY_S):
                    await greeted.wait()

    async def _look_after(self) -> bool:
        """Whether all are carried over, and the hub holds them, by now."""
        try:
            readable = [one for one in self._carriers if await self._readable(one.carry_over)]
            looked = [await self._readable(one.look_back) for one in readable]
        except LineLost:
            return False
        except (HubRefused, *TROUBLE) as error:
            # Whatever it is, the counter works in the new journal.
            log.warning("carrying over from earlier journals waits", reason=str(error),
                        next="look after this disk, and the line; it is tried again; if it stays like this: suozhan-edge export, "
                        "and call the city's IT desk")
            return False
        return looked.count(True) == len(self._carriers)

    async def _readable(self, step: Callable[[Ask], Awaitable[None]]) -> bool:
        """The journals behind one that cannot be read do not wait for it."""
        try:
            await step(self._ask)
        except EarlierJournalUnreadable as error:
            await self._tell(str(error))
            return False
        return True

    async def _tell(self, text: str) -> None:
        """Once in each start: who has cleared the alarm knows it."""
        if text not in self._told:
            self._told.add(text)
            await asyncio.to_thread(self._alarms.raise_alarm, ALARM, text, HINT)
