"""The door's WebSocket: who may open a window, and how many there are."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from edge.door.device_messages import Hello
from edge.door.given_readings import GivenReadings
from edge.door.pairing import NATIVE, Pairing, PairingDamaged
from edge.door.window import Window
from edge.equipment.commands import Commands
from edge.equipment.equipment import Equipment

HELLO_MAX_S = 5.0
TOKEN_LOOK_S = 3.0  # a token can be taken back while its window is open
MESSAGE_MAX_BYTES = 64 * 1024
WINDOWS_MAX = 64
STRANGERS_MAX = 16  # sockets that have not said hello

NOT_ALLOWED, TRY_LATER = 1008, 1013
SAY_HELLO = "say hello with a token of this page"


class Windows:
    """All windows that are open at the door."""

    def __init__(self, equipment: Equipment, commands: Commands, pairing: Pairing, given: GivenReadings) -> None:
        self._equipment = equipment
        self._commands = commands
        self._pairing = pairing
        self._given = given
        self._open = 0
        self._strangers: dict[asyncio.Timeout, None] = {}

    async def serve(self, socket: WebSocket) -> None:
        """One window, until it goes. Host and Origin were checked before (guard.py)."""
        try:
            await socket.accept()  # a browser tells its page no code of a socket that was never open
            hello = await self._hello(socket)
            if hello is None:
                await socket.close(NOT_ALLOWED, SAY_HELLO)
            elif self._open >= WINDOWS_MAX:
                await socket.close(TRY_LATER)
            elif not await self._while_paired(socket, hello):
                await socket.close(NOT_ALLOWED, SAY_HELLO)
        except WebSocketDisconnect:
            pass

    async def _hello(self, socket: WebSocket) -> Hello | None:
        try:
            async with asyncio.timeout(HELLO_MAX_S) as patience:
                with self._stranger(patience):
                    hello = Hello.model_validate_json(await socket.receive_text())
            return hello if await self._paired(socket, hello) else None
        except (TimeoutError, ValidationError, KeyError, PairingDamaged, sqlite3.Error, OSError):
            return None

    @contextmanager
    def _stranger(self, patience: asyncio.Timeout) -> Iterator[None]:
        """One of few: the one that has said nothing for longest goes, and whoever says hello comes in."""
        self._strangers[patience] = None
        if len(self._strangers) > STRANGERS_MAX:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            if not oldest.expired():
                oldest.reschedule(0)
        try:
            yield
        finally:
            self._strangers.pop(patience, None)

    async def _paired(self, socket: WebSocket, hello: Hello) -> bool:
        """Raises PairingDamaged, sqlite3.Error, OSError."""
        bound_to = await asyncio.to_thread(self._pairing.origin_of, hello.token)
        return bound_to == socket.headers.get("origin", NATIVE)

    async def _while_paired(self, socket: WebSocket, hello: Hello) -> bool:
        """Until the window has gone; False when its token was taken back before that."""
        self._open += 1
        window = asyncio.create_task(Window(socket, hello.window, self._equipment, self._commands, self._given).run())
        try:
            while not (await asyncio.wait([window], timeout=TOKEN_LOOK_S))[0]:
                with suppress(sqlite3.Error, OSError):  # not known now: the token was good a moment ago
                    if not await self._paired(socket, hello):
                        return False
            await window
        except PairingDamaged:
            return False
        else:
            return True
        finally:
            window.cancel()
            await asyncio.wait([window])
            self._open -= 1
