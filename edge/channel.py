"""gRPC to the hub: the machine's certificate, one root, keepalive that notices a cut line within 5 s."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar, cast
from uuid import UUID

import grpc.aio

from edge.line import REFUSED_RETRY_S, HubRefused, LineLost
from edge.tls_pair import TlsPair
from proto import sync_pb2, sync_pb2_grpc

# Together under the 5 s in which a cut is noticed; most of it for the answer, which on a slow line waits behind data.
KEEPALIVE_MS = 1_500
KEEPALIVE_TIMEOUT_MS = 3_000
RECONNECT_MAX_MS = 5_000
MESSAGE_MAX_BYTES = 8 * 1024 * 1024
ASK_TIMEOUT_S = 15.0

OPTIONS = (
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    # Without this a lost ping is missed only after 60 s, whatever the keepalive's own timeout says.
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", RECONNECT_MAX_MS),
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
    ("grpc.enable_http_proxy", 0),
)
# The hub refuses this machine, or does not know what we ask: trying again at once cannot help.
_FINAL = frozenset({
    grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.FAILED_PRECONDITION,
})
REFUSAL_KEY = "suozhan-refusal"  # trailing metadata of UNAUTHENTICATED: the hub's reason in a word
FOUND_OUT_RETRY_S = 600.0  # each try is an alarm at the hub
_FOUND_OUT = {"revoked", "superseded"}

Up = TypeVar("Up")
Down = TypeVar("Down")
Stream = Callable[[AsyncIterator[Up]], AsyncGenerator[Down, None]]
Ask = Callable[[UUID, int, bytes], Awaitable[tuple[int, bool]]]
Declare = Callable[[UUID, str, bytes], Awaitable[None]]


class HubChannel:
    """One channel serves all streams and reconnects by itself; with a new certificate it is made anew. Open it as a context."""

    def __init__(self, address: str, root_pem: bytes, pair: Callable[[], TlsPair]) -> None:
        self._address = address
        self._root_pem = root_pem
        self._pair = pair
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> HubChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.rebuild()

    async def rebuild(self) -> None:
        """End all streams; the next one comes with the machine's certificate of then."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close(None)

    def sync(self) -> sync_pb2_grpc.SyncStub:
        if self._channel is None:
            pair = self._pair()
            credentials = grpc.ssl_channel_credentials(self._root_pem, pair.key_pem, pair.chain_pem)
            self._channel = grpc.aio.secure_channel(self._address, credentials, options=OPTIONS)
        return sync_pb2_grpc.SyncStub(self._channel)


def held_over(channel: HubChannel) -> Ask:
    """Where the hub's copy of an earlier journal ends, and whether it has that digest there. Raises LineLost, HubRefused."""

    async def ask(journal: UUID, position: int, digest: bytes) -> tuple[int, bool]:
        question = sync_pb2.HeldQuestion(journal=journal.bytes, position=position, digest=digest)
        try:
            answer = await channel.sync().Held(question, timeout=ASK_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise _ended(error) from error
        return answer.position, answer.same

    return ask


def declare_over(channel: HubChannel) -> Declare:
    """Have another journal of this machine registered. Raises LineLost, HubRefused."""

    async def declare(journal: UUID, name: str, signature: bytes) -> None:
        request = sync_pb2.DeclareRequest(journal=journal.bytes, name=name, signature=signature)
        try:
            await channel.sync().Declare(request, timeout=ASK_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise _ended(error) from error

    return declare


def replicate_over(channel: HubChannel) -> Stream[sync_pb2.ReplicateUp, sync_pb2.ReplicateDown]:
    return _stream(lambda: channel.sync().Replicate)


def watch_over(channel: HubChannel) -> Stream[sync_pb2.WatchUp, sync_pb2.WatchDown]:
    return _stream(lambda: channel.sync().Watch)


def attach_over(channel: HubChannel) -> Stream[sync_pb2.AttachUp, sync_pb2.AttachDown]:
    return _stream(lambda: channel.sync().Attach)


def _stream(method: Callable[[], grpc.aio.StreamStreamMultiCallable[Up, Down]]) -> Stream[Up, Down]:
    """The stub's method as a plain generator that raises LineLost or HubRefused, and hangs up when closed."""

    async def stream(requests: AsyncIterator[Up]) -> AsyncGenerator[Down, None]:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call = method()(_until(over, requests))
        try:
            async for message in call:
                if message is None:  # gRPC's word for bytes that are no message
                    raise HubRefused("the hub sent bytes that are no message; is it of the same version?")
                yield message
        except grpc.aio.AioRpcError as error:
            raise _ended(error) from error
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            raise LineLost("the call ended by itself") from error  # else the uplink would end in silence
        finally:
            over.cancel()
            call.cancel()

    return stream


async def _until(over: asyncio.Future[None], requests: AsyncIterator[Up]) -> AsyncGenerator[Up, None]:
    """The requests, as long as the call lasts. Of a call that has ended by itself gRPC leaves the request iterator waiting: for
    the next record, or for ever where nobody works, at 58 KB for each cut of the line.
    """
    while True:
        step = asyncio.ensure_future(anext(requests, None))
        either: list[asyncio.Future[Any]] = [step, over]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not step.done():
                step.cancel()
                await asyncio.wait([step])
        if step.cancelled() or (message := step.result()) is None:
            return
        yield message


def _ended(error: grpc.aio.AioRpcError) -> LineLost | HubRefused:
    text = f"{error.code().name}: {error.details()}"
    if error.code() not in _FINAL:
        return LineLost(text)
    trailing = cast(Iterable[tuple[str, str | bytes]], error.trailing_metadata() or ())  # the stubs know it otherwise
    word = next((str(value) for key, value in trailing if key == REFUSAL_KEY), "")
    return HubRefused(text, FOUND_OUT_RETRY_S if word in _FOUND_OUT else REFUSED_RETRY_S, word)
