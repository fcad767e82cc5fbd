"""Connections that say nothing, or only half of what they want, take no room from those who ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from edge.door import connections, guard, server, windows
from tests.edge.door.test_door import Counter, at_the_door
from tests.edge.door.test_windows import knock, open_window
from tests.spine import CEILING_S

HALF = b"GET /v1/state HTTP/1.1\r\nHost: 127"
WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def said(counter: Counter, text: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """A connection that has said this, and no more."""
    async with connected(counter) as (reader, writer):
        writer.write(text)
        yield reader


@asynccontextmanager
async def known(counter: Counter) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection that was answered once: what limits change now counts from the end of its next answer on."""
    async with connected(counter) as (reader, writer):
        writer.write(WHOLE)
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer


@asynccontextmanager
async def connected(counter: Counter) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", counter.door.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _ends(reader: asyncio.StreamReader) -> bytes:
    """What it hears until the door lets it go."""
    heard = b""
    with suppress(ConnectionError):
        while part := await reader.read(65536):
            heard += part
    return heard


@pytest.mark.parametrize("text", [b"", HALF], ids=["none", "half"])
def test_whoever_says_half_a_request_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    async def visit(counter: Counter) -> None:
        monkeypatch.setattr(connections, "HEAD_MAX_S", 0.1)
        async with said(counter, text) as half:
            await _ends(half)

    at_the_door(tmp_path, visit)


def test_whoever_says_half_a_request_behind_whole_ones_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_MAX_S", CEILING_S)

    async def visit(counter: Counter) -> None:
        async with known(counter) as (reader, writer):
            monkeypatch.setattr(connections, "HEAD_MAX_S", 0.1)
            writer.write(WHOLE)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HALF)
            await _ends(reader)

    at_the_door(tmp_path, visit)


def test_half_a_body_is_not_waited_for_longer_than_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_MAX_S", CEILING_S)

    async def visit(counter: Counter) -> None:
        head = (f"POST /v1/pair HTTP/1.1\r\nHost: 127.0.0.1:{counter.door.port}\r\nContent-Type: application/json\r\n"
                "Content-Length: 20\r\n\r\n{").encode()
        async with known(counter) as (reader, writer):
            monkeypatch.setattr(guard, "BODY_MAX_S", 0.1)
            monkeypatch.setattr(connections, "HEAD_MAX_S", 0.1)
            writer.write(head)
            heard = await _ends(reader)
        assert b"HTTP/1.1 408 " in heard
        assert b"too-slow" in heard

    at_the_door(tmp_path, visit)


def test_however_many_say_half_a_request_whoever_asks_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 8)
    monkeypatch.setattr(connections, "HEAD_MAX_S", CEILING_S)

    async def visit(counter: Counter) -> None:
        async with AsyncExitStack() as stack, open_window(counter) as window:
            halves = [await stack.enter_async_context(said(counter, HALF)) for _ in range(20)]
            answer = await counter.client.get("/v1/state", headers={"Connection": "close"})
            assert answer.status_code == 200
            for half in halves[:12]:  # the oldest; beside the window and who asked
                assert await _ends(half) == b""
            await window.say(type="command", id="1", device="R1", name="nothing")
            assert (await window.hear("completion"))["error"]["code"] == "no-command"

    at_the_door(tmp_path, visit)


def test_sockets_that_say_no_hello_keep_no_window_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "STRANGERS_MAX", 4)
    monkeypatch.setattr(windows, "HELLO_MAX_S", CEILING_S)
    monkeypatch.setattr(windows, "WINDOWS_MAX", 1)

    async def visit(counter: Counter) -> None:
        async with AsyncExitStack() as stack:
            silent = [await stack.enter_async_context(knock(counter)) for _ in range(6)]
            async with open_window(counter):
                for one in silent[:3]:
                    assert await one.closed() == windows.NOT_ALLOWED

    at_the_door(tmp_path, visit)


def test_a_window_too_many_hears_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser tells a page the code only if it was let in before."""
    monkeypatch.setattr(windows, "WINDOWS_MAX", 1)

    async def visit(counter: Counter) -> None:
        token = await counter.pair()
        async with open_window(counter):
            with pytest.raises(InvalidStatus):
                async with knock(counter, "https://evil.example"):
                    pass
            async with knock(counter) as second:
                await second.say(type="hello", token=token, window="窗口2")
                assert await second.closed() == windows.TRY_LATER
        async with open_window(counter):
            pass

    at_the_door(tmp_path, visit)


def test_a_caller_that_hangs_up_leaves_its_device_to_others_and_no_trace_in_the_log(
        tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STOP_GRACE_S", CEILING_S)  # it logs an error where it runs out

    async def visit(counter: Counter) -> None:
        head = (f"POST /v1/devices/R1/commands/read HTTP/1.1\r\nHost: 127.0.0.1:{counter.door.port}\r\n"
                f"Authorization: {counter.client.headers['Authorization']}\r\nContent-Type: application/json\r\n"
                "Content-Length: 2\r\n\r\n{}").encode()
        async with open_window(counter) as window:
            async with said(counter, head):
                assert (await window.hear("unsolicited"))["device"]["user"]
            while (await window.hear("unsolicited"))["device"]["user"]:
                pass
        assert (await counter.client.get("/v1/devices/R1")).json()["state"] == "online"

    with caplog.at_level(logging.ERROR):
        at_the_door(tmp_path, visit)
    assert not caplog.records
