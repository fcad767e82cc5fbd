"""Two gRPC servers: mutual TLS for work, server-only TLS for machines that enrol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, cast

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
    ("grpc.http2.max_ping_strikes", 0),  # edges ping every 1.5 s to notice a cut line
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


class TlsIdentity(Protocol):
    """The hub's certificate chain and key, PEM, as they are at this moment."""

    @property
    def pair(self) -> tuple[bytes, bytes]: ...


def work_credentials(identity: TlsIdentity, root: bytes) -> grpc.ServerCredentials:
    """Callers must show a certificate of this hub's CA."""
    return _credentials(identity, root)


def enrolment_credentials(identity: TlsIdentity) -> grpc.ServerCredentials:
    """Callers have no certificate, or one that has ended."""
    return _credentials(identity, None)


def _credentials(identity: TlsIdentity, root: bytes | None) -> grpc.ServerCredentials:
    """Asked for at each handshake, in a thread of gRPC's: a new certificate serves from the next connection on, and open
    ones go on."""
    served = identity.pair

    def configuration() -> grpc.ServerCertificateConfiguration:
        certificate, key = served
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root)

    def newer() -> grpc.ServerCertificateConfiguration | None:
        nonlocal served
        if identity.pair is served:
            return None
        served = identity.pair
        return configuration()

    # The stubs do not know that the fetcher may return None, for "no news".
    fetch = cast(Callable[[], grpc.ServerCertificateConfiguration], newer)
    return grpc.dynamic_ssl_server_credentials(configuration(), fetch, require_client_authentication=root is not None)
