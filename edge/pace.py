"""How much may be unacknowledged at once: about what the line carries in a second, found out as it goes.

On a slow line a fixed window would fill the queues of every router on the way, the keepalive would take the delay for a cut,
and the same records would be sent for ever.
"""

from __future__ import annotations

START_BYTES = 16 * 1024
MIN_BYTES = 4 * 1024
MAX_BYTES = 8 * 1024 * 1024
QUICK_S = 0.25
SLOW_S = 1.0
GROWTH = 4  # what took a quarter of a second takes about one then
BATCHES = 4  # that share the window, so that line and hub are never idle between two


class Pace:
    """Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.window_bytes = START_BYTES
        self._changed_s = float("-inf")

    @property
    def batch_bytes(self) -> int:
        return self.window_bytes // BATCHES

    def answered(self, sent_s: float, now_s: float) -> None:
        """A batch sent then was acknowledged now. What was sent before the last change tells nothing about it."""
        if sent_s <= self._changed_s:
            return
        took_s = now_s - sent_s
        if took_s < QUICK_S and self.window_bytes < MAX_BYTES:
            self.window_bytes = min(self.window_bytes * GROWTH, MAX_BYTES)
        elif took_s > SLOW_S and self.window_bytes > MIN_BYTES:
            self.window_bytes = max(self.window_bytes // 2, MIN_BYTES)
        else:
            return
        self._changed_s = now_s
