"""Nonces for renewals: what a machine signs today must be of no use tomorrow."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from uuid import UUID

from security.clock import Clock
from security.renewal import NONCE_BYTES

LIFE_MS = 60_000
FOR_ONE_MACHINE_MAX = 4


class Nonces:
    """In memory: a restart of the hub costs a machine one more question. A nonce serves one machine, once, for a minute."""

    def __init__(self, clock: Clock, draw: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._draw = draw
        self._held: dict[UUID, dict[bytes, int]] = {}
        self._lock = threading.Lock()

    def new(self, edge: UUID) -> bytes:
        """For a machine that is enrolled, so that strangers cannot fill the memory."""
        nonce, now_ms = self._draw(NONCE_BYTES), self._clock.boottime_ms()
        with self._lock:
            held = self._held.setdefault(edge, {})
            held[nonce] = now_ms + LIFE_MS
            while len(held) > FOR_ONE_MACHINE_MAX:
                del held[next(iter(held))]
        return nonce

    def take(self, edge: UUID, nonce: bytes) -> bool:
        """True once."""
        with self._lock:
            held = self._held.get(edge, {})
            until = held.pop(nonce, None)
            if not held:
                self._held.pop(edge, None)
        return until is not None and self._clock.boottime_ms() < until
