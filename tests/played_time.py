"""A loop whose time passes only while everybody waits, at once: for what waits for nothing outside of its own process."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _AtOnce(selectors.DefaultSelector):
    """Does not wait, but tells the loop how long it would have."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if timeout is None and not ready:
            raise AssertionError("everybody waits for ever")
        if not ready:
            self.passed_s += timeout or 0.0
        return ready


class PlayedTime(asyncio.SelectorEventLoop):
    """However long the machine stands still, no time passes; `hold_up` is how it stands still here."""

    def __init__(self) -> None:
        self._at_once = _AtOnce()
        super().__init__(self._at_once)

    def time(self) -> float:
        return self._at_once.passed_s

    def hold_up(self, seconds: float) -> None:
        """The time of a caller that does not let the loop run."""
        self._at_once.passed_s += seconds


def run(act: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=PlayedTime) as runner:
        runner.run(act)
