"""Doubt about a journal's history: one word of the hub does not end a journal, the same word a while later does.

A hub that errs for a moment, in front of a whole city, must not end two thousand journals that people then have to approve. The
counter loses nothing by waiting: what it writes meanwhile is carried over if the journal has to end.
"""

from __future__ import annotations

CONFIRM_S = 15.0
CONFIRM_RETRY_S = 10.0


class Doubt:
    """Times are seconds of one monotonic clock."""

    def __init__(self, confirm_s: float = CONFIRM_S) -> None:
        self._confirm_s = confirm_s
        self._since_s: float | None = None

    @property
    def open(self) -> bool:
        return self._since_s is not None

    def confirmed(self, now_s: float) -> bool:
        """The hub doubts our history, now. True when it has for so long that it means it."""
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s >= self._confirm_s

    def settle(self) -> None:
        """The hub and we agree."""
        self._since_s = None
