"""The streams as the agent sees them, over a real gRPC server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest

from edge.channel import replicate_over, watch_over
from edge.line import HubRefused, LineLost
from proto.sync_pb2_grpc import SyncStub
from tests.spine import CEILING_S


class _Garbage(grpc.GenericRpcHandler):
    """Answers every call with bytes that are no message."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        async def answer(incoming: AsyncIterator[bytes], context: Any) -> None:
            await context.write(b"\xff\xff\xff\xff")

        return grpc.stream_stream_rpc_method_handler(answer)


async def _nothing() -> AsyncIterator[Any]:
    return
    yield


@pytest.mark.parametrize("over", [replicate_over, watch_over])
def test_bytes_that_are_no_message_are_the_hubs_fault_and_end_no_agent(over: Any) -> None:
    """gRPC gives None for them: a stream that took it for its end would try again in silence for ever."""

    async def listen() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_Garbage(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with asyncio.timeout(CEILING_S), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(HubRefused, match="no message"):
                await anext(over(SimpleNamespace(sync=lambda: SyncStub(channel)))(_nothing()), "the end")
        await server.stop(None)

    asyncio.run(listen())


class _Ended(grpc.GenericRpcHandler):
    """Ends every call, as a line that is cut."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        async def answer(incoming: AsyncIterator[bytes], context: Any) -> None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut")

        return grpc.stream_stream_rpc_method_handler(answer)


def test_a_call_that_has_ended_leaves_no_request_waiting() -> None:
    """An idle machine on a line that comes and goes: nothing may stay behind of each call."""
    ended: list[int] = []

    async def waiting(number: int) -> AsyncIterator[Any]:
        try:
            await asyncio.Event().wait()
            yield
        finally:
            ended.append(number)

    async def live() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_Ended(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with asyncio.timeout(CEILING_S), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            replicate: Any = replicate_over(SimpleNamespace(sync=lambda: SyncStub(channel)))
            for number in range(5):
                with pytest.raises(LineLost, match="cut"):
                    await anext(replicate(waiting(number)), "the end")
            while len(ended) < 5:
                await asyncio.sleep(0.01)
        await server.stop(None)

    asyncio.run(live())
    assert ended == [0, 1, 2, 3, 4]
