"""The line to the hub: its state in words, and the one place where we try again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

import structlog

from security.clock import Clock

DELAY_BASE_S = 0.5
DELAY_MAX_S = 20.0
REFUSED_RETRY_S = 60.0

log = structlog.get_logger()


class LineLost(Exception):
    """The hub cannot be reached, or the stream broke: try again."""


class HubRefused(Exception):
    """The hub answered and will not go on: tell a person; asking again before `retry_s` would not help."""

    def __init__(self, text: str, retry_s: float = REFUSED_RETRY_S) -> None:
        super().__init__(text)
        self.retry_s = retry_s


class LineStatus(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class LineState:
    """`since_ms` is this machine's Unix ms; `detail` says what is wrong and what to do."""

    state: LineStatus
    since_ms: int
    detail: str = ""


class Line:
    """Keeps one stream to the hub alive: `await line.keep(session)` never returns."""

    def __init__(self, name: str, clock: Clock, random: Random) -> None:
        self._name = name
        self._clock = clock
        self._random = random
        self._failures = 0
        self._state = LineState(LineStatus.CONNECTING, clock.unix_ms())

    @property
    def state(self) -> LineState:
        return self._state

    def connected(self) -> None:
        """The hub has said hello."""
        self._failures = 0
        self._become(LineStatus.CONNECTED, "")

    async def keep(self, session: Callable[[], Awaitable[None]]) -> None:
        """Run `session` again and again. It returns when the other side ended the stream in order."""
        while True:
            delay = self._backoff_s()
            try:
                await session()
                self._become(LineStatus.CONNECTING, "")
            except LineLost as error:
                self._become(LineStatus.UNREACHABLE, str(error))
            except HubRefused as error:
                self._become(LineStatus.REFUSED, str(error))
                delay = error.retry_s * self._random.uniform(0.5, 1.0)
            self._failures += 1
            await asyncio.sleep(delay)

    def _backoff_s(self) -> float:
        """Full jitter: two thousand machines must not come back in the same second."""
        ceiling = min(DELAY_MAX_S, DELAY_BASE_S * 2 ** min(self._failures, 16))
        return self._random.uniform(0, ceiling)

    def _become(self, state: LineStatus, detail: str) -> None:
        if (state, detail) != (self._state.state, self._state.detail):
            log.info("line", stream=self._name, state=state.value, detail=detail)
        if state is not self._state.state:
            self._state = LineState(state, self._clock.unix_ms(), detail)
        else:
            self._state = LineState(state, self._state.since_ms, detail)
