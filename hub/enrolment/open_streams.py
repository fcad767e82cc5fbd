"""Open streams, and what ends them: a connection that was let in would keep working whatever becomes of its certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa

from hub.enrolment.callers import Caller, CallerRefused, expired, revoked, superseded
from hub.enrolment.tables import edges, machine_certificates
from hub.outage import Outage
from security.clock import Clock

LOOK_S = 1.0  # a revocation is a commit of another process

Ended = asyncio.Future[CallerRefused]


@dataclass(frozen=True, slots=True)
class Standing:
    """A machine: when it was revoked, and the newest generation that it uses."""

    revoked_ms: int | None
    newest_used: int


@dataclass(frozen=True, slots=True)
class Presence:
    """Who is connected, and when a stream of the others last ended (Unix ms); nothing of before this hub's start."""

    connected: frozenset[UUID] = frozenset()
    last_ms: Mapping[UUID, int] = field(default_factory=dict)


class OpenStreams:
    """`with streams.open(caller) as ended`: that future gets the reason once the caller may no longer work."""

    def __init__(self, engine: sa.Engine, clock: Clock, look_s: float = LOOK_S) -> None:
        self._engine = engine
        self._clock = clock
        self._look_s = look_s
        self._open: dict[Ended, Caller] = {}
        self._last_ms: dict[UUID, int] = {}

    @contextmanager
    def open(self, caller: Caller) -> Iterator[Ended]:
        ended: Ended = asyncio.get_running_loop().create_future()
        self._open[ended] = caller
        try:
            yield ended
        finally:
            del self._open[ended]
            self._last_ms[caller.edge] = self._clock.unix_ms()

    def presence(self) -> Presence:
        """As of now, for any thread; call it in the loop."""
        return Presence(frozenset(caller.edge for caller in self._open.values()), dict(self._last_ms))

    async def run(self) -> None:
        outage = Outage("open streams")
        standings: dict[str, Standing] = {}
        while True:
            await asyncio.sleep(self._look_s)
            if self._open:
                with outage:
                    standings = await asyncio.to_thread(self._standings)
                self._end(standings)  # certificates end while the database cannot be read, too

    def _standings(self) -> dict[str, Standing]:
        # Of certificates that still hold only: a city's machines leave thousands that ended behind.
        in_use = sa.and_(machine_certificates.c.edge == edges.c.edge, machine_certificates.c.first_used_ms.is_not(None),
                         machine_certificates.c.not_after_ms > self._clock.unix_ms())
        newest = sa.func.coalesce(sa.func.max(machine_certificates.c.generation), -1).label("newest")
        query = sa.select(edges.c.edge, edges.c.revoked_ms, newest).select_from(
            edges.outerjoin(machine_certificates, in_use)).group_by(edges.c.edge, edges.c.revoked_ms)
        with self._engine.connect() as connection:
            return {row.edge: Standing(row.revoked_ms, row.newest) for row in connection.execute(query)}

    def _end(self, standings: dict[str, Standing]) -> None:
        now_ms = self._clock.unix_ms()
        for ended, caller in self._open.items():
            reason = why_ended(caller, standings.get(str(caller.edge)), now_ms)
            if reason is not None and not ended.done():
                ended.set_result(reason)


def why_ended(caller: Caller, standing: Standing | None, now_ms: int) -> CallerRefused | None:
    """None while the caller may go on."""
    if standing is not None and standing.revoked_ms is not None:
        return revoked(caller.edge, standing.revoked_ms)
    if standing is not None and caller.generation < standing.newest_used:
        return superseded(caller)
    return expired(caller) if caller.not_after_ms <= now_ms else None
