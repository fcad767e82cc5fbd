"""One Watch session: send what is newer than the edge holds, now and after each publication, and keep its reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from uuid import UUID

import sqlalchemy as sa
import structlog

from hub.resources.publications import Publications
from hub.resources.store import fetch, head_versions, newest_for, newest_reports, store_report
from hub.resources.versions import Holding, MalformedWatch, NamedVersion, Report, SignedResource, Version
from security.clock import Clock

HOLDING_WAIT_MAX_S = 30.0

log = structlog.get_logger()


class Watch:
    """The sessions of all edges."""

    def __init__(self, engine: sa.Engine, publications: Publications, clock: Clock) -> None:
        self._engine = engine
        self._publications = publications
        self._clock = clock

    async def session(self, edge: UUID,
                      incoming: AsyncIterator[Holding | Report]) -> AsyncGenerator[SignedResource, None]:
        """Ends when the edge does. Raises MalformedWatch."""
        held = dict(await self._holding(edge, incoming))
        unanswered: set[NamedVersion] = set()
        reader = asyncio.create_task(self._keep_reports(edge, incoming, unanswered))
        try:
            while not reader.done():
                changed = self._publications.changed  # taken before reading: what comes meanwhile wakes us
                for subject in await self._newer(edge, held):
                    resource = await asyncio.to_thread(fetch, self._engine, subject)
                    if resource is not None:
                        held[subject.name] = subject.version  # refused or not, it is sent once a session
                        unanswered.add(subject)
                        yield resource
                await _either(changed, reader)
            await reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _holding(self, edge: UUID, incoming: AsyncIterator[Holding | Report]) -> dict[str, Version]:
        try:
            async with asyncio.timeout(HOLDING_WAIT_MAX_S):
                first = await anext(incoming, None)
        except TimeoutError as error:
            raise MalformedWatch(f"no holding within {HOLDING_WAIT_MAX_S:.0f} s; connect again") from error
        if not isinstance(first, Holding):
            raise MalformedWatch("a Watch stream begins with what the edge holds; update the edge's program")
        await asyncio.to_thread(self._note_held, edge, first)
        return first.versions

    def _note_held(self, edge: UUID, holding: Holding) -> None:
        """What the edge holds it has applied, even if the line was cut before it could say so."""
        known = head_versions(self._engine)
        said = {report.subject.name: report for report in newest_reports(self._engine, edge)}
        for name, version in holding.versions.items():
            if name not in known:
                continue
            if version > known[name]:
                log.error("edge is ahead of the hub", edge=str(edge), name=name, held=str(version),
                          next="was this hub restored from a backup? open a new epoch")
            before = said.get(name)
            if before is None or (before.subject.version, before.applied) < (version, True):
                report = Report(NamedVersion(name, version), True, "")
                store_report(self._engine, edge, report, self._clock.unix_ms())

    async def _newer(self, edge: UUID, held: dict[str, Version]) -> list[NamedVersion]:
        newest = await asyncio.to_thread(newest_for, self._engine, edge, self._clock.unix_ms())
        return [
            NamedVersion(name, version) for name, version in newest.items() if name not in held or version > held[name]
        ]

    async def _keep_reports(self, edge: UUID, incoming: AsyncIterator[Holding | Report],
                            unanswered: set[NamedVersion]) -> None:
        """One report for each resource sent, so that an edge cannot make the hub write without end."""
        async for report in incoming:
            if not isinstance(report, Report) or report.subject not in unanswered:
                raise MalformedWatch("the edge answered what it was not sent; restart the edge")
            unanswered.discard(report.subject)
            await asyncio.to_thread(store_report, self._engine, edge, report, self._clock.unix_ms())
            if not report.applied:
                log.warning("resource refused", edge=str(edge), name=report.subject.name,
                            version=str(report.subject.version), reason=report.reason)


async def _either(changed: asyncio.Event, reader: asyncio.Task[None]) -> None:
    waiter = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait({waiter, reader}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
