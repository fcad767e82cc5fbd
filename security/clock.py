"""Time as an argument. No clock is trusted (invariant 10): these are claims to be recorded."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol
from uuid import UUID


class Clock(Protocol):
    """Wall time as Unix ms, ms since boot (suspend included), and the kernel's boot id (16 bytes)."""

    @property
    def boot_id(self) -> bytes: ...

    def unix_ms(self) -> int: ...

    def boottime_ms(self) -> int: ...


class SystemClock:
    """This machine's clocks."""

    def __init__(self) -> None:
        self.boot_id = UUID(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()).bytes

    def unix_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def boottime_ms(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
