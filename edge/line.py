"""The line to the hub: its state in words, and the one place where we try again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
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
    """The hub answered and will not go on: tell a person; asking again before `retry_s` would not help. `word` is the
    hub's reason in a word, if it gave one: unknown, revoked, superseded, expired."""

    def __init__(self, text: str, retry_s: float = REFUSED_RETRY_S, word: str = "") -> None:
        super().__init__(text)
        self.retry_s = retry_s
        self.word = word


class LineStatus(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class LineState:
    """`since_ms` is this machine's Unix ms; `detail` says what is wrong and what to do, `word` is the hub's (HubRefused)."""

    state: LineStatus
    since_ms: int
    detail: str = ""
    word: str = ""


class Line:
    """Keeps one stream to the hub alive: `await line.keep(session)` never returns."""

    def __init__(self, name: str, clock: Clock, random: Random) -> None:
        self._name = name
        self._clock = clock
        self._random = random
        self._failures = 0
        self._state = LineState(LineStatus.CONNECTING, clock.unix_ms())
        self._again = asyncio.Event()
        self._greeted = asyncio.Event()

    @property
    def state(self) -> LineState:
        return self._state

    def connected(self) -> None:
        """The hub has said hello."""
        self._failures = 0
        self._become(LineStatus.CONNECTED, "")
        greeted, self._greeted = self._greeted, asyncio.Event()
        greeted.set()

    def greeted(self) -> asyncio.Event:
        """Set at the next hello. A hint: take it before asking the hub, wait for it after."""
        return self._greeted

    def retry_now(self) -> None:
        """What stood in the way has changed: another certificate, a clock that was set."""
        self._again.set()

    async def keep(self, session: Callable[[], Awaitable[None]]) -> None:
        """Run `session` again and again. It returns when the other side ended the stream in order."""
        while True:
            self._again.clear()
            delay = self._backoff_s()
            try:
                await session()
                self._become(LineStatus.CONNECTING, "")
            except LineLost as error:
                self._become(LineStatus.UNREACHABLE, str(error))
            except HubRefused as error:
                self._become(LineStatus.REFUSED, str(error), error.word)
                delay = error.retry_s * self._random.uniform(0.5, 1.0)
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError  # gRPC answers a cancellation with an error of the call when both come at once
            self._failures += 1
            await self._pause(delay)

    def _backoff_s(self) -> float:
        """Full jitter: two thousand machines must not come back in the same second."""
        ceiling = min(DELAY_MAX_S, DELAY_BASE_S * 2 ** min(self._failures, 16))
        return self._random.uniform(0, ceiling)

    async def _pause(self, delay_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._again.wait()
                self._failures = 0

    def _become(self, state: LineStatus, detail: str, word: str = "") -> None:
        if (state, detail) != (self._state.state, self._state.detail):
            log.info("line", stream=self._name, state=state.value, detail=detail)
        since_ms = self._state.since_ms if state is self._state.state else self._clock.unix_ms()
        self._state = LineState(state, since_ms, detail, word)
