"""The pages of one command, in their order, each an attachment before anybody hears of it: what came stays, however it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devices.contract import Reading
from edge.door.device_messages import ReadingAnswer
from edge.door.errors import DoorError
from edge.door.given_readings import GivenReadings

CANCELLED = "扫描已取消。"


class Stack:
    """`take` is for the command; `told` hears of each page. Nothing of a page is told or named before it is kept."""

    def __init__(self, given: GivenReadings, told: Callable[[ReadingAnswer, str], None] | None = None) -> None:
        self._given = given
        self._told = told
        self.pages: list[ReadingAnswer] = []

    async def take(self, reading: Reading[Any]) -> None:
        """Raises DoorError where it cannot be kept."""
        page = await self._given.give(reading)
        self.pages.append(page)
        if self._told is not None:
            self._told(page, f"第 {len(self.pages)} 页已扫成。")

    def ended_by(self, refusal: DoorError) -> DoorError:
        """The same, naming the pages that came, and where to go on."""
        count = len(self.pages)
        if not count:
            return refusal
        kept = f"前 {count} 页已扫成并保留，不必重扫；接着扫时请从第 {count + 1} 页放起。"
        return DoorError(refusal.status, refusal.code, kept + refusal.message, refusal.details, self.pages)

    def cancelled(self) -> DoorError | None:
        """None where nothing came: whoever cancels knows that."""
        return self.ended_by(DoorError(408, "command-cancelled", CANCELLED)) if self.pages else None
