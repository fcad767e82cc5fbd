"""SIGTERM as an ending that clears away, for a command that holds something half made."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDED = 128 + signal.SIGTERM  # as a shell tells it


@contextmanager
def cleared_away() -> Iterator[None]:
    """While it lasts, SIGTERM raises SystemExit; said again, it breaks off nothing. For the main thread alone."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(ENDED)
