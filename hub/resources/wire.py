"""The Watch stream's protobuf, in and out; what is inside sees dataclasses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from uuid import UUID

from hub.resources.versions import (
    HOLDING_MAX,
    NUMBER_MAX,
    REASON_MAX_CHARS,
    Holding,
    MalformedWatch,
    NamedVersion,
    Report,
    SignedResource,
    Version,
    valid_name,
)
from hub.resources.watch import Watch
from proto import sync_pb2


async def serve_watch(watch: Watch, edge: UUID,
                      incoming: AsyncIterator[sync_pb2.WatchUp]) -> AsyncGenerator[sync_pb2.WatchDown, None]:
    """One Watch stream of an authenticated edge, until the edge ends it. Raises MalformedWatch."""
    yield sync_pb2.WatchDown()  # empty: the edge knows that it was heard, even when it holds everything
    async with aclosing(watch.session(edge, _decoded(incoming))) as session:
        async for resource in session:
            yield encode_down(resource)


async def _decoded(incoming: AsyncIterator[sync_pb2.WatchUp]) -> AsyncIterator[Holding | Report]:
    async for message in incoming:
        yield decode_up(message)


def encode_down(resource: SignedResource) -> sync_pb2.WatchDown:
    """What the edge receives."""
    return sync_pb2.WatchDown(resource=sync_pb2.Resource(
        key_id=resource.key_id, payload=resource.payload, signature=resource.signature))


def decode_up(message: sync_pb2.WatchUp) -> Holding | Report:
    """Raises MalformedWatch."""
    kind = message.WhichOneof("message")
    if kind == "holding":
        return _holding(message.holding)
    if kind == "report":
        return _report(message.report)
    raise MalformedWatch("the message is neither a holding nor a report; update the edge's program")


def _holding(holding: sync_pb2.Holding) -> Holding:
    if len(holding.versions) > HOLDING_MAX:
        raise MalformedWatch(f"the edge claims to hold {len(holding.versions)} resources; at most {HOLDING_MAX}")
    subjects = [_subject(version) for version in holding.versions]
    versions = {subject.name: subject.version for subject in subjects}
    if len(versions) != len(subjects):
        raise MalformedWatch("the edge claims to hold two versions of one resource; restart the edge")
    return Holding(versions)


def _report(report: sync_pb2.ResourceReport) -> Report:
    if len(report.reason) > REASON_MAX_CHARS:
        raise MalformedWatch(f"the reason has {len(report.reason)} characters; at most {REASON_MAX_CHARS}")
    return Report(_subject(report.version), report.applied, report.reason)


def _subject(version: sync_pb2.ResourceVersion) -> NamedVersion:
    if not valid_name(version.name):
        raise MalformedWatch(f"{version.name[:80]!r} is no name of a resource; update the edge's program")
    if not (0 < version.epoch <= NUMBER_MAX and 0 < version.number <= NUMBER_MAX):
        raise MalformedWatch(f"{version.epoch}.{version.number} is no version of a resource; restart the edge")
    return NamedVersion(version.name, Version(version.epoch, version.number))
