"""The Watch stream: say what is held, apply what is newer, answer applied or refused with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import structlog

from edge.line import HubRefused, Line, LineLost
from edge.resources import Claim, ResourceRefused, ResourceStore, SignedResource, Version, read_claim
from proto import sync_pb2

REPORTS_MAX = 64
REASON_MAX_CHARS = 500
UNKEPT_RETRY_S = 2.0

log = structlog.get_logger()

Watch = Callable[[AsyncIterator[sync_pb2.WatchUp]], AsyncGenerator[sync_pb2.WatchDown, None]]


class Downlink:
    """`watch` is the stub's method, or a stand-in of the same shape."""

    def __init__(self, store: ResourceStore, watch: Watch, line: Line) -> None:
        self._store = store
        self._watch = watch
        self._line = line
        self._unkept = ""  # why a resource of this stream could not be kept

    async def run(self) -> None:
        await self._line.keep(self.session)

    async def session(self) -> None:
        """One stream, until the hub ends it. Raises LineLost, HubRefused."""
        self._unkept = ""
        reports: asyncio.Queue[sync_pb2.WatchUp | None] = asyncio.Queue(REPORTS_MAX)
        async with aclosing(self._watch(self._up(reports))) as messages:
            try:
                async for message in messages:
                    self._line.connected()
                    if message.HasField("resource"):  # the first message is empty: the hub has heard us
                        await reports.put(await self._answer(message.resource))
                        if self._unkept:
                            # The hub sends each once a stream: once it has heard why, ask for it again with a new one.
                            await asyncio.sleep(UNKEPT_RETRY_S)
                            raise LineLost(f"{self._unkept}; it is asked for again")
            finally:
                _end(reports)

    async def _up(self, reports: asyncio.Queue[sync_pb2.WatchUp | None]) -> AsyncIterator[sync_pb2.WatchUp]:
        yield _holding(self._store.versions())
        while (report := await reports.get()) is not None:
            yield report

    async def _answer(self, resource: sync_pb2.Resource) -> sync_pb2.WatchUp:
        signed = SignedResource(resource.key_id, resource.payload, resource.signature)
        claim = _claim(signed)
        try:
            # In a thread, for its fsync: cancelled here, it is applied whole or not at all.
            await asyncio.to_thread(self._store.apply, signed)
        except ResourceRefused as refused:
            return _refused(claim, str(refused))
        except OSError as error:
            self._unkept = f"the machine cannot keep it: {error.strerror}; look after its disk"
            return _refused(claim, self._unkept)
        log.info("resource applied", name=claim.name, version=str(claim.version))
        return _report(claim, applied=True, reason="")


def _claim(signed: SignedResource) -> Claim:
    """Without name and version there is nothing that could be reported."""
    try:
        return read_claim(signed.payload)
    except ResourceRefused as error:
        raise HubRefused(f"{error}; is the hub of the same version?") from error


def _end(reports: asyncio.Queue[sync_pb2.WatchUp | None]) -> None:
    """Let the upward half end by itself: its reader may be waiting in another task."""
    while not reports.empty():
        reports.get_nowait()
    reports.put_nowait(None)


def _refused(claim: Claim, reason: str) -> sync_pb2.WatchUp:
    log.error("resource refused", name=claim.name, version=str(claim.version), reason=reason)
    return _report(claim, applied=False, reason=reason)


def _holding(versions: dict[str, Version]) -> sync_pb2.WatchUp:
    named = [_version(name, version) for name, version in versions.items()]
    return sync_pb2.WatchUp(holding=sync_pb2.Holding(versions=named))


def _report(claim: Claim, *, applied: bool, reason: str) -> sync_pb2.WatchUp:
    version = _version(claim.name, claim.version)
    return sync_pb2.WatchUp(
        report=sync_pb2.ResourceReport(version=version, applied=applied, reason=reason[:REASON_MAX_CHARS]))


def _version(name: str, version: Version) -> sync_pb2.ResourceVersion:
    return sync_pb2.ResourceVersion(name=name, epoch=version.epoch, number=version.number)
