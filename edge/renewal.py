"""Renewal, as the agent's own task: at half of the certificate's life, or at once when it has ended.

The next key and its request are on disk before the hub is asked (edge/tls_pair.py), the hub answers the same request with the
same certificate: so this may die at any instruction and begin again (invariant 11).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from random import Random
from typing import Protocol

import structlog

from edge.diagnosis import RenewalNews, Renewing
from edge.identity import Identity
from edge.renewal_wire import Answer, RenewalUnavailable
from edge.tls_pair import TlsFiles
from security.certificates import BadCertificate, der
from security.clock import Clock
from security.renewal import renewal_statement, sign_renewal

LOOK_S = 30.0
RETRY_BASE_S = 2.0
RETRY_MAX_S, RETRY_EXPIRED_MAX_S = 3600.0, 60.0
APPROVAL_POLL_S = 60.0
REFUSED_RETRY_S = 600.0
EARLY_MAX_S = 24 * 3600.0

log = structlog.get_logger()


class Office(Protocol):
    """What the hub answers to one who renews (edge/renewal_wire.py)."""

    async def nonce(self) -> tuple[bytes, int]: ...

    async def renew(self, csr_der: bytes, generation: int, nonce: bytes, signature: bytes, certificate_der: bytes) -> Answer: ...


class Renewal:
    """`news` says how far it is. `renewed` is awaited when the machine has a new certificate."""

    def __init__(self, identity: Identity, files: TlsFiles, office: Callable[[], AbstractAsyncContextManager[Office]],
                 renewed: Callable[[], Awaitable[None]], clock: Clock, random: Random) -> None:
        self.news = RenewalNews()
        self._identity = identity
        self._files = files
        self._office = office
        self._renewed = renewed
        self._clock = clock
        self._random = random
        self._wanted = asyncio.Event()
        self._failures = 0

    def want(self) -> None:
        """The hub's own time says that the certificate has ended, whatever this machine's clock says."""
        self._wanted.set()

    async def run(self) -> None:
        while True:
            pause_s = await self.step()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wanted.wait()

    async def step(self) -> float:
        """Renew if it is time to. Returns after how many seconds to look again."""
        wanted = self._wanted.is_set()
        self._wanted.clear()
        if not wanted and self._clock.unix_ms() < self._files.pair.renew_at_ms:
            return LOOK_S
        try:
            async with self._office() as office:
                return await self._ask(office)
        except (RenewalUnavailable, BadCertificate, OSError) as error:
            self._become(RenewalNews(Renewing.TRYING, text=str(error)))
            return self._retry_s()

    async def _ask(self, office: Office) -> float:
        """Raises RenewalUnavailable, BadCertificate, OSError."""
        nonce, hub_ms = await office.nonce()
        pair = self._files.pair
        if pair.validity.holds(hub_ms) and hub_ms < pair.renew_at_ms:
            self._become(RenewalNews())  # this machine's clock is ahead
            return min((pair.renew_at_ms - hub_ms) / 1000, EARLY_MAX_S)
        request = await asyncio.to_thread(self._files.next_request)
        statement = renewal_statement(self._identity.hub_id, self._identity.edge_id, nonce, request.csr_der)
        answer = await office.renew(request.csr_der, self._files.generation + 1, nonce, sign_renewal(pair.key, statement),
                                    der(pair.leaf))
        if not answer.chain_der:
            return self._put_off(answer)
        await asyncio.to_thread(self._files.promote, request, answer.chain_der)
        self._failures = 0
        self._become(RenewalNews())
        log.info("certificate renewed", generation=self._files.generation, ends_ms=self._files.pair.validity.last_ms)
        await self._renewed()
        return LOOK_S

    def _put_off(self, answer: Answer) -> float:
        self._become(RenewalNews(answer.state, answer.approval, answer.text))
        pause_s = APPROVAL_POLL_S if answer.state is Renewing.WAITING else REFUSED_RETRY_S
        return pause_s * self._random.uniform(0.5, 1.0)

    def _retry_s(self) -> float:
        self._failures += 1
        holds = self._files.pair.validity.holds(self._clock.unix_ms())
        ceiling: float = RETRY_BASE_S * 2 ** min(self._failures, 16)
        return self._random.uniform(0.5, 1.0) * min(ceiling, RETRY_MAX_S if holds else RETRY_EXPIRED_MAX_S)

    def _become(self, news: RenewalNews) -> None:
        if news != self.news and news.state is not Renewing.IDLE:
            log.warning("certificate not renewed yet", state=news.state.value, approval=news.approval, reason=news.text)
        self.news = news
