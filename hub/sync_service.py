"""The Sync service on the wire: who is calling, and which session serves the stream."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import aclosing
from typing import Any, Never
from uuid import UUID

import grpc.aio
import sqlalchemy as sa
import structlog

from hub.attachments.wire import AttachDesk
from hub.enrolment.callers import Caller, CallerRefused, Callers
from hub.enrolment.declaring import DeclarationDesk
from hub.enrolment.desk import EnrolmentRefused
from hub.enrolment.open_streams import OpenStreams
from hub.ledger.ingest import Ingest
from hub.ledger.predecessors import NotBefore, Predecessors
from hub.outage import trouble
from hub.resources.versions import MalformedWatch
from hub.resources.watch import Watch
from hub.resources.wire import serve_watch
from proto import sync_pb2, sync_pb2_grpc

REFUSAL_KEY = "suozhan-refusal"  # trailing metadata of UNAUTHENTICATED: the reason in a word, for the machine

_Replicating = grpc.aio.ServicerContext[sync_pb2.ReplicateUp, sync_pb2.ReplicateDown]
_Watching = grpc.aio.ServicerContext[sync_pb2.WatchUp, sync_pb2.WatchDown]
_Attaching = grpc.aio.ServicerContext[sync_pb2.AttachUp, sync_pb2.AttachDown]
_Asking = grpc.aio.ServicerContext[sync_pb2.HeldQuestion, sync_pb2.HeldAnswer]
_Declaring = grpc.aio.ServicerContext[sync_pb2.DeclareRequest, sync_pb2.DeclareReply]
_Calling = _Replicating | _Watching | _Attaching | _Asking | _Declaring

log = structlog.get_logger()


class SyncService(sync_pb2_grpc.SyncServicer):
    """Serves enrolled machines. Mutual TLS has checked the certificate once; whether its machine may work is asked at the
    beginning of each stream and looked after while it lasts."""

    def __init__(self, callers: Callers, streams: OpenStreams, ingest: Ingest, watch: Watch, predecessors: Predecessors,
                 declarations: DeclarationDesk, attachments: AttachDesk) -> None:
        self._attachments = attachments
        self._declarations = declarations
        self._predecessors = predecessors
        self._callers = callers
        self._streams = streams
        self._ingest = ingest
        self._watch = watch

    async def Replicate(self, request_iterator: AsyncIterator[sync_pb2.ReplicateUp], context: _Replicating) -> None:  # noqa: N802
        caller = await self._caller(context)
        await self._while_allowed(caller, context, self._ingest.serve(caller.edge, request_iterator, context.write))

    async def Watch(self, request_iterator: AsyncIterator[sync_pb2.WatchUp], context: _Watching) -> None:  # noqa: N802
        caller = await self._caller(context)
        context.set_compression(grpc.Compression.Gzip)  # a catalogue over a village's line
        try:
            await self._while_allowed(caller, context, self._watching(caller, request_iterator, context))
        except MalformedWatch as error:
            log.warning("watch refused", edge=str(caller.edge), reason=str(error))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))

    async def Attach(self, request_iterator: AsyncIterator[sync_pb2.AttachUp], context: _Attaching) -> None:  # noqa: N802
        caller = await self._caller(context)
        await self._while_allowed(caller, context, self._attachments.serve(caller.edge, request_iterator, context.write))

    async def Held(self, request: sync_pb2.HeldQuestion, context: _Asking) -> sync_pb2.HeldAnswer:  # noqa: N802
        caller = await self._caller(context)
        try:
            journal = UUID(bytes=request.journal)
            position, same = await asyncio.to_thread(self._predecessors.held, caller.edge, journal, request.position,
                                                     request.digest)
        except ValueError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "that is no journal; is the machine of the same version?")
        except NotBefore as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except sqlite3.Error as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the ledger cannot be read: {error}; try again later")
        return sync_pb2.HeldAnswer(position=position, same=same)

    async def Declare(self, request: sync_pb2.DeclareRequest, context: _Declaring) -> sync_pb2.DeclareReply:  # noqa: N802
        caller = await self._caller(context)
        try:
            await asyncio.to_thread(self._declarations.declare, caller.edge, UUID(bytes=request.journal), request.name,
                                    request.signature)
        except EnrolmentRefused as error:
            log.warning("journal not declared", edge=str(caller.edge), reason=str(error))
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        except ValueError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "that is no journal; is the machine of the same version?")
        except (sqlite3.Error, sa.exc.DBAPIError) as error:
            reason = str(error).splitlines()[0]
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the hub cannot write now: {reason}; try again later")
        return sync_pb2.DeclareReply()

    async def _watching(self, caller: Caller, incoming: AsyncIterator[sync_pb2.WatchUp], context: _Watching) -> None:
        async with aclosing(serve_watch(self._watch, caller.edge, incoming)) as messages:
            async for message in messages:
                await context.write(message)

    async def _while_allowed(self, caller: Caller, context: _Replicating | _Watching | _Attaching,
                             work: Coroutine[None, None, None]) -> None:
        """`work`, until it ends or the caller may no longer work."""
        with self._streams.open(caller) as ended:
            working = asyncio.create_task(work)
            try:
                waited: set[asyncio.Future[Any]] = {working, ended}
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                return  # gRPC ends the call, and would print a traceback of what it did itself
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
        if ended.done():
            await self._unauthenticated(context, ended.result())
        working.result()

    async def _caller(self, context: _Calling) -> Caller:
        uri = b"".join(context.peer_identities() or ())
        certificate = b"".join(context.auth_context().get("x509_pem_cert", ()))
        try:
            return await asyncio.to_thread(self._callers.admit, uri.decode(errors="replace"), certificate)
        except CallerRefused as refused:
            await self._unauthenticated(context, refused)
        except (sqlite3.DatabaseError, sa.exc.DBAPIError) as error:  # of an alarm, too: its record goes past SQLAlchemy
            if not trouble(error):
                raise
            log.warning("caller not let in; see to the disk and to who else writes", reason=str(error).splitlines()[0])
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the hub's database cannot be used now; try again later")

    async def _unauthenticated(self, context: _Calling, refused: CallerRefused) -> Never:
        log.warning("caller refused", peer=context.peer(), why=refused.refusal.value, reason=str(refused))
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(refused), ((REFUSAL_KEY, refused.refusal.value),))
