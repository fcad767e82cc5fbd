"""Readings that the door gave out a moment ago: in memory only, few, and not for long."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

from devices.contract import Reading
from devices.social_card import SocialCard
from security.clock import Clock

READINGS_MAX = 64
READING_MAX_AGE_MS = 10 * 60 * 1000


class RecentReadings:
    """So that a transaction can name the reading that it came from."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._readings: OrderedDict[UUID, tuple[int, Reading[SocialCard]]] = OrderedDict()

    def keep(self, reading: Reading[SocialCard]) -> None:
        self._readings[reading.id] = (self._clock.boottime_ms(), reading)
        while len(self._readings) > READINGS_MAX:
            self._readings.popitem(last=False)

    def find(self, reading: UUID) -> Reading[SocialCard] | None:
        """None when it was never given, or is too old."""
        kept = self._readings.get(reading)
        if kept is None or self._clock.boottime_ms() - kept[0] > READING_MAX_AGE_MS:
            return None
        return kept[1]
