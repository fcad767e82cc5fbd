"""gRPC to the hub: the machine's certificate, one root, keepalive that notices a cut line within 5 s."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TypeVar

import grpc.aio

from edge.identity import Identity
from edge.line import HubRefused, LineLost
from proto import sync_pb2, sync_pb2_grpc

KEEPALIVE_MS = 2_500
KEEPALIVE_TIMEOUT_MS = 2_000
RECONNECT_MAX_MS = 5_000
MESSAGE_MAX_BYTES = 8 * 1024 * 1024

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

Up = TypeVar("Up")
Down = TypeVar("Down")
Stream = Callable[[AsyncIterator[Up]], AsyncGenerator[Down, None]]


def open_channel(identity: Identity, tls_key_pem: bytes, address: str) -> grpc.aio.Channel:
    """One channel serves all streams and reconnects by itself; close it at the end."""
    credentials = grpc.ssl_channel_credentials(identity.root.encode(), tls_key_pem, identity.chain.encode())
    return grpc.aio.secure_channel(address, credentials, options=OPTIONS)


def replicate_over(channel: grpc.aio.Channel) -> Stream[sync_pb2.ReplicateUp, sync_pb2.ReplicateDown]:
    return _stream(sync_pb2_grpc.SyncStub(channel).Replicate)


def watch_over(channel: grpc.aio.Channel) -> Stream[sync_pb2.WatchUp, sync_pb2.WatchDown]:
    return _stream(sync_pb2_grpc.SyncStub(channel).Watch)


def _stream(method: grpc.aio.StreamStreamMultiCallable[Up, Down]) -> Stream[Up, Down]:
    """The stub's method as a plain generator that raises LineLost or HubRefused, and hangs up when closed."""

    async def stream(requests: AsyncIterator[Up]) -> AsyncGenerator[Down, None]:
        call = method(requests)
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as error:
            text = f"{error.code().name}: {error.details()}"
            raise (HubRefused if error.code() in _FINAL else LineLost)(text) from error
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            raise LineLost("the call ended by itself") from error  # else the uplink would end in silence
        finally:
            call.cancel()

    return stream
