"""How much may be unacknowledged at once: about what the line carries in a second, found out as it goes.

On a slow line a fixed window would fill the queues of every router on the way, the keepalive would take the delay for a cut,
and the same records would be sent for ever (docs/decisions/0008).
"""

from __future__ import annotations

START_BYTES = 4 * 1024
MIN_BYTES = 1024
MAX_BYTES = 8 * 1024 * 1024
GROWTH, GROWTH_MAX = 2, 16
ANSWER_MAX_S = 1.0  # on a line that is far, its own delay and QUEUE_MAX_S more
QUEUE_MAX_S = 0.25
BATCHES = 4  # that share the window, so that line and hub are never idle between two


class Pace:
    """One uplink's, through all of its sessions. Times are seconds of one monotonic clock."""

    def __init__(self, batches: int = BATCHES, max_bytes: int = MAX_BYTES) -> None:
        self._batches = batches
        self._max_bytes = max_bytes
        self.window_bytes = 2 * START_BYTES
        self._quickest_s = float("inf")
        self._changed_s = float("-inf")

    @property
    def batch_bytes(self) -> int:
        return self.window_bytes // self._batches

    def begin(self) -> None:
        """A new session, over a line that may be another one: the last one may have ended because it was filled."""
        self.window_bytes = max(min(self.window_bytes // 2, START_BYTES), MIN_BYTES)
        self._quickest_s = float("inf")
        self._changed_s = float("-inf")

    def answered(self, sent_s: float, now_s: float, *, full: bool) -> None:
        """A batch sent then was acknowledged now; `full`: it filled the window. What was sent before the last change
        tells nothing about it."""
        took_s = now_s - sent_s
        self._quickest_s = min(self._quickest_s, took_s)  # the line's own delay, as near as we can see it
        if sent_s <= self._changed_s:
            return
        limit_s = max(ANSWER_MAX_S, self._quickest_s + QUEUE_MAX_S)
        queued_s = took_s - self._quickest_s
        if took_s > limit_s:
            self._become(self.window_bytes // 2, now_s)
        elif full and self._quickest_s + GROWTH * queued_s < limit_s:
            # Even if all of the time was spent in queues, so many times more would fit.
            self._become(self.window_bytes * max(min(int(limit_s / max(took_s, 0.001)), GROWTH_MAX), GROWTH), now_s)

    def _become(self, window_bytes: int, now_s: float) -> None:
        bounded = min(max(window_bytes, MIN_BYTES), self._max_bytes)
        if bounded != self.window_bytes:
            self.window_bytes, self._changed_s = bounded, now_s
