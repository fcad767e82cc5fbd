"""Two gRPC servers: mutual TLS for work, server-only TLS for machines that enrol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio
from google.protobuf.message import DecodeError

from hub.ports import PortTaken

MESSAGE_MAX_BYTES = 8 * 1024 * 1024
ENROLMENT_MESSAGE_MAX_BYTES = 64 * 1024
ENROLMENTS_AT_ONCE_MAX = 64
KEEPALIVE_MS = 10_000
KEEPALIVE_TIMEOUT_MS = 5_000
STOP_GRACE_S = 1.0

_COMMON = (
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.max_ping_strikes", 0),  # edges ping every 2.5 s to notice a cut line
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
)


@asynccontextmanager
async def serving(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials) -> AsyncIterator[int]:
    """The server listens inside, on the port that is given; streams end with the block. Raises PortTaken."""
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise PortTaken(f"cannot listen on {address}: {error}; stop the other program or change hub.toml") from error
    await server.start()
    try:
        yield port
    finally:
        await server.stop(STOP_GRACE_S)


class _BrokenAsEmpty(grpc.aio.ServerInterceptor):  # type: ignore[type-arg] # generic in the stubs only
    """Bytes that are no message read as an empty one, which every service refuses in its own words."""

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None  # no such method; gRPC says so
        parse = handler.request_deserializer

        def parse_or_empty(data: bytes) -> Any:
            try:
                return parse(data)
            except DecodeError:
                return parse(b"")

        return handler._replace(request_deserializer=parse_or_empty)


def new_work_server() -> grpc.aio.Server:
    options = (*_COMMON, ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES))
    return grpc.aio.server(interceptors=[_BrokenAsEmpty()], options=options)


def new_enrolment_server() -> grpc.aio.Server:
    options = (*_COMMON, ("grpc.max_receive_message_length", ENROLMENT_MESSAGE_MAX_BYTES))
    return grpc.aio.server(interceptors=[_BrokenAsEmpty()], options=options, maximum_concurrent_rpcs=ENROLMENTS_AT_ONCE_MAX)


def work_credentials(certificate: bytes, key: bytes, root: bytes) -> grpc.ServerCredentials:
    """Callers must show a certificate of this hub's CA."""
    return grpc.ssl_server_credentials([(key, certificate)], root, require_client_auth=True)


def enrolment_credentials(certificate: bytes, key: bytes) -> grpc.ServerCredentials:
    """Callers have no certificate yet."""
    return grpc.ssl_server_credentials([(key, certificate)])
