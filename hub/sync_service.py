"""The Sync service on the wire: who is calling, and which session serves the stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Never
from uuid import UUID

import grpc.aio
import sqlalchemy as sa
import structlog

from hub.enrolment.tables import edges
from hub.ledger.ingest import Ingest
from hub.resources.versions import MalformedWatch
from hub.resources.watch import Watch
from hub.resources.wire import serve_watch
from proto import sync_pb2, sync_pb2_grpc
from security.certificates import BadCertificate, edge_of_uri

_Replicating = grpc.aio.ServicerContext[sync_pb2.ReplicateUp, sync_pb2.ReplicateDown]
_Watching = grpc.aio.ServicerContext[sync_pb2.WatchUp, sync_pb2.WatchDown]

log = structlog.get_logger()


class SyncService(sync_pb2_grpc.SyncServicer):
    """Serves enrolled machines; mutual TLS has checked the certificate, this checks that we still know its machine."""

    def __init__(self, hub: UUID, engine: sa.Engine, ingest: Ingest, watch: Watch) -> None:
        self._hub = hub
        self._engine = engine
        self._ingest = ingest
        self._watch = watch

    async def Replicate(self, request_iterator: AsyncIterator[sync_pb2.ReplicateUp], context: _Replicating) -> None:  # noqa: N802
        edge = await self._caller(context)
        await self._ingest.serve(edge, request_iterator, context.write)

    async def Watch(self, request_iterator: AsyncIterator[sync_pb2.WatchUp], context: _Watching) -> None:  # noqa: N802
        edge = await self._caller(context)
        context.set_compression(grpc.Compression.Gzip)  # a catalogue over a village's line
        try:
            async with aclosing(serve_watch(self._watch, edge, request_iterator)) as messages:
                async for message in messages:
                    await context.write(message)
        except MalformedWatch as error:
            log.warning("watch refused", edge=str(edge), reason=str(error))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    async def _caller(self, context: _Replicating | _Watching) -> UUID:
        identities = context.peer_identities() or ()
        try:
            edge = edge_of_uri(self._hub, b"".join(identities).decode())
        except (BadCertificate, UnicodeDecodeError) as error:
            await self._unauthenticated(context, str(error))
        if not await asyncio.to_thread(self._enrolled, edge):
            await self._unauthenticated(context, f"machine {edge} is not enrolled here or was revoked; enrol it again")
        return edge

    async def _unauthenticated(self, context: _Replicating | _Watching, text: str) -> Never:
        log.warning("caller refused", peer=context.peer(), reason=text)
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)

    def _enrolled(self, edge: UUID) -> bool:
        query = sa.select(edges.c.edge).where(edges.c.edge == str(edge), edges.c.revoked_ms.is_(None))
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None
