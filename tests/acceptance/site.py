"""A web site of somebody else on loopback: a few pages, and redirects to wherever it likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

EMPTY = "<!doctype html><meta charset=utf-8><title>page</title>"
TYPES = {"js": "text/javascript"}


class Site:
    """`pages`: text by path. `/to?URL` redirects there, with 307 that keeps method and body."""

    def __init__(self, pages: dict[str, str]) -> None:
        self.pages = pages
        self.port = 0

    def origin(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            writer.write(self._answer(path))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str) -> bytes:
        if path.startswith("/to?"):
            return f"HTTP/1.1 307 Go\r\nLocation: {path[4:]}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        body = self.pages.get(path, EMPTY).encode()
        kind = TYPES.get(path.rpartition(".")[2], "text/html")
        return (f"HTTP/1.1 200 OK\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n").encode() + body


@asynccontextmanager
async def open_site(pages: dict[str, str] | None = None) -> AsyncIterator[Site]:
    site = Site(pages or {})
    server = await asyncio.start_server(site.answer, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    async with server:
        yield site
