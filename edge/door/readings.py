"""Readings that the door gave out a moment ago: in memory only, few, and not for long."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from typing import Any
from uuid import UUID

from devices.contract import Reading
from security.clock import Clock

READINGS_MAX = 1024  # of one device: more than people present to it in ten minutes
READING_MAX_AGE_MS = 10 * 60 * 1000
LOOK_S = 60.0


class RecentReadings:
    """So that a transaction can name the reading that it came from."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of_device: defaultdict[str, OrderedDict[UUID, tuple[int, Reading[Any]]]] = defaultdict(OrderedDict)

    def keep(self, reading: Reading[Any]) -> None:
        kept = self._of_device[reading.device]
        kept[reading.id] = (self._clock.boottime_ms(), reading)
        if len(kept) > READINGS_MAX:  # whoever asks one device again and again pushes out no reading of another
            kept.popitem(last=False)

    def find(self, reading: UUID) -> Reading[Any] | None:
        """None when it was never given, or is too old."""
        self._drop_old()
        return next((kept[reading][1] for kept in self._of_device.values() if reading in kept), None)

    async def run(self) -> None:
        """Until cancelled: residents' data is in memory no longer than it is of use."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._drop_old()

    def _drop_old(self) -> None:
        oldest_ms = self._clock.boottime_ms() - READING_MAX_AGE_MS
        for device, kept in list(self._of_device.items()):
            while kept and next(iter(kept.values()))[0] < oldest_ms:
                kept.popitem(last=False)
            if not kept:
                del self._of_device[device]
