"""Nonces for renewals: what a machine signs today must be of no use tomorrow."""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Callable
from uuid import UUID

from security.clock import Clock
from security.renewal import NONCE_BYTES

LIFE_MS = 60_000
_TIME = struct.Struct(">Q")
_MAC_BYTES = NONCE_BYTES - _TIME.size


class Nonces:
    """A nonce is a moment and our MAC over it and one machine, good for a minute. None is kept, so that whoever asks for many in
    the name of another machine takes nothing from it; the same request twice in that minute gets the same answer.

    The key is this process's own: a restart of the hub costs a machine one more question.
    """

    def __init__(self, clock: Clock, draw: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._key = draw(32)

    def new(self, edge: UUID) -> bytes:
        until = _TIME.pack(self._clock.boottime_ms() + LIFE_MS)
        return until + self._mac(edge, until)

    def holds(self, edge: UUID, nonce: bytes) -> bool:
        """Whether this machine got it here within the minute."""
        until, mac = nonce[:_TIME.size], nonce[_TIME.size:]
        return hmac.compare_digest(mac, self._mac(edge, until)) and self._clock.boottime_ms() < _TIME.unpack(until)[0]

    def _mac(self, edge: UUID, until: bytes) -> bytes:
        return hmac.digest(self._key, edge.bytes + until, "sha256")[:_MAC_BYTES]
