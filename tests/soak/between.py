"""A line that sees every message: between edge and hub, with the certificates of both, in a thread of its own.

What it does to a message is up to its `Mischief`; whoever is honest passes all of them on as they came.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol

import grpc.aio

from edge.channel import OPTIONS
from edge.state import StateFolder
from edge.tls_pair import load_pair
from hub.grpc_servers import MESSAGE_MAX_BYTES
from hub.state import HubState
from tests.soak.world import World

REPLICATE, WATCH, HELD = "/suozhan.v1.Sync/Replicate", "/suozhan.v1.Sync/Watch", "/suozhan.v1.Sync/Held"
STOP_MAX_S = 60.0
HELD_MAX_MESSAGES = 4

Raw = bytes
Write = Callable[[Raw], Awaitable[None]]


class CutHere(Exception):
    """The line breaks at this message."""


class Mischief(Protocol):
    """What happens to the messages of one kind of stream. Numbers count from 0, over all streams."""

    async def up(self, number: int, message: Raw, write: Write) -> None:
        """Pass it on with `write`, once, twice or not at all. Raises CutHere."""

    async def down(self, number: int, message: Raw, write: Write) -> None:
        """The same, towards the edge."""


class Honest:
    """Passes everything on."""

    async def up(self, number: int, message: Raw, write: Write) -> None:
        await write(message)

    async def down(self, number: int, message: Raw, write: Write) -> None:
        await write(message)


class Between:
    """`with Between(world, port) as between:`; honest until `begin`."""

    def __init__(self, world: World, port: int) -> None:
        self._world, self._port = world, port
        self.mischief: Mischief = Honest()
        self._method = REPLICATE
        self.counts = {"up": 0, "down": 0}
        self._calls: set[asyncio.Task[None]] = set()
        self._listening, self._ending = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Between:
        self._thread.start()
        assert self._listening.wait(STOP_MAX_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(STOP_MAX_S)
        assert not self._thread.is_alive()

    def begin(self, mischief: Mischief, method: str = REPLICATE) -> None:
        """On streams of this method that begin from now on; numbers count from 0 again."""
        self.counts = {"up": 0, "down": 0}
        self.mischief, self._method = mischief, method

    def cut(self) -> None:
        """Every stream that is open."""
        self._loop.call_soon_threadsafe(lambda: [call.cancel() for call in self._calls])

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        hub = HubState(self._world.hub_state)
        certificate, key = (hub.tls / "server.pem").read_bytes(), (hub.tls / "server.key").read_bytes()
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
                                          ("grpc.max_send_message_length", -1), ("grpc.http2.max_ping_strikes", 0)])
        server.add_generic_rpc_handlers((_All(self._serve),))
        root = (hub.ca / "root.pem").read_bytes()
        credentials = grpc.ssl_server_credentials([(key, certificate)], root, require_client_auth=True)
        server.add_secure_port(f"127.0.0.1:{self._port}", credentials)
        await server.start()
        self._listening.set()
        await self._ending.wait()
        await server.stop(0)

    def _channel(self) -> grpc.aio.Channel:
        """To the hub, as the edge itself would call it."""
        identity = self._world.identity
        pair = load_pair(StateFolder(self._world.edge_state).current, identity)
        credentials = grpc.ssl_channel_credentials(identity.root.encode(), pair.key_pem, pair.chain_pem)
        options = [*OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        return grpc.aio.secure_channel(f"127.0.0.1:{self._world.ports.work}", credentials, options=options)

    async def _serve(self, method: str, incoming: AsyncIterator[Raw], context: Any) -> None:
        relaying = asyncio.create_task(self._relay(method, incoming, context.write))
        self._calls.add(relaying)
        try:
            await asyncio.wait([relaying])
        finally:
            self._calls.discard(relaying)
            relaying.cancel()
            await asyncio.wait([relaying])
        if relaying.cancelled():
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the line was cut")
        error = relaying.exception()
        if isinstance(error, grpc.aio.AioRpcError):
            await context.abort(error.code(), error.details())
        if error is not None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the line broke: {error}")

    async def _relay(self, method: str, incoming: AsyncIterator[Raw], write: Write) -> None:
        mischief: Mischief = self.mischief if method == self._method else Honest()
        counts = self.counts if method == self._method else {"up": 0, "down": 0}
        async with self._channel() as channel:
            up: asyncio.Queue[Raw | None] = asyncio.Queue(HELD_MAX_MESSAGES)
            call = channel.stream_stream(method, None, None)(_until_none(up))
            sending = asyncio.create_task(_each(incoming, counts, "up", mischief.up, up.put))
            answering = asyncio.create_task(_each(call, counts, "down", mischief.down, write))
            try:
                done, _ = await asyncio.wait([sending, answering], return_when=asyncio.FIRST_COMPLETED)
                if sending in done and sending.exception() is None:
                    await up.put(None)
                    await asyncio.wait([answering])
                for task in (sending, answering):
                    if task.done():
                        task.result()
            finally:
                for task in (sending, answering):
                    task.cancel()
                await asyncio.wait([sending, answering])
                call.cancel()


async def _each(messages: Any, counts: dict[str, int], way: str, fate: Callable[[int, Raw, Write], Awaitable[None]],
                write: Write) -> None:
    async for message in messages:
        number, counts[way] = counts[way], counts[way] + 1
        await fate(number, message, write)


async def _until_none(messages: asyncio.Queue[Raw | None]) -> AsyncIterator[Raw]:
    while (message := await messages.get()) is not None:
        yield message


class _All(grpc.GenericRpcHandler):  # type: ignore[type-arg] # generic in the stubs only
    """All that machines say to the hub, as bytes; a question is a stream of one message."""

    def __init__(self, serve: Callable[[str, AsyncIterator[Raw], Any], Awaitable[None]]) -> None:
        self._serve = serve

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        if details.method not in (REPLICATE, WATCH, HELD):
            return None

        async def handle(incoming: AsyncIterator[Raw], context: Any) -> None:
            with suppress(asyncio.CancelledError):
                await self._serve(details.method, incoming, context)

        return grpc.stream_stream_rpc_method_handler(handle)
