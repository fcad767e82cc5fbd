"""The reading API as a running HTTPS server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from hub.ports import PortTaken

STOP_GRACE_S = 3


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The hub itself decides when to stop."""
        yield


class ApiServer:
    """`await server.run()` serves; `listening()` returns once callers can connect, `port` is then the real one.

    `stopping` is set when it ends, so that the app answers whom it keeps waiting.
    """

    def __init__(self, app: FastAPI, host: str, port: int, certificate: Path, key: Path, stopping: asyncio.Event) -> None:
        self.port = port
        self._host = host
        self._listening = asyncio.Event()
        self._stopping = stopping
        self._certificate, self._key = certificate, key
        self._config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", http="h11", ws="none", loop="asyncio",
            server_header=False, timeout_graceful_shutdown=STOP_GRACE_S, ssl_certfile=certificate, ssl_keyfile=key,
        )
        self._server = _Server(self._config)

    async def listening(self) -> None:
        await self._listening.wait()

    def reload(self) -> None:
        """New connections get the certificate that lies there now; open ones go on. Raises ssl.SSLError."""
        if self._config.loaded and self._config.ssl is not None:  # else it reads them yet
            self._config.ssl.load_cert_chain(self._certificate, self._key)

    async def run(self) -> None:
        """Until cancelled. Raises PortTaken."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # With the protocol named, asyncio switches Nagle's algorithm off: else every answer waits 40 ms.
        with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((self._host, self.port))
            except OSError as error:
                raise PortTaken(f"cannot listen on {self._host}:{self.port} ({error.strerror}); stop the other program "
                                "or change hub.toml") from error
            self.port = listener.getsockname()[1]
            serving = asyncio.create_task(self._server.serve([listener]))
            try:
                while not self._server.started and not serving.done():
                    await asyncio.sleep(0.01)
                self._listening.set()
                await asyncio.shield(serving)
            finally:
                self._stopping.set()
                self._server.should_exit = True
                await asyncio.wait([serving])
