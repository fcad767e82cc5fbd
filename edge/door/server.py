"""The door as a running server: FastAPI under uvicorn, on the loopback address and no other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from devices.cards import CardReaders
from edge.advice import LineHealth
from edge.alarms import Alarms
from edge.attachments.attachments import Attachments
from edge.catalogue import Catalogue
from edge.door import asyncapi
from edge.door.attachment_routes import AttachmentRoutes
from edge.door.connections import BACKLOG, Connection
from edge.door.counter_journal import BesideJournal, CounterJournal
from edge.door.device_routes import DeviceRoutes
from edge.door.errors import add_handlers
from edge.door.given_readings import GivenReadings
from edge.door.guard import Guard
from edge.door.metrics import DoorMetrics
from edge.door.openapi import DescribedApp
from edge.door.page_routes import PageRoutes
from edge.door.pairing import Pairing
from edge.door.print_routes import PrintRoutes
from edge.door.readings import RecentReadings
from edge.door.routes import DoorRoutes
from edge.door.windows import MESSAGE_MAX_BYTES, Windows
from edge.equipment.commands import Commands
from edge.equipment.equipment import Equipment
from edge.equipment.unlisted import Unattended
from edge.line import Line
from edge.start import PortTaken
from security.clock import Clock

LOOPBACK = "127.0.0.1"
STOP_GRACE_S = 3
PING_S = 20.0


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The agent itself decides when to stop."""
        yield


class Door:
    """`await door.run()` serves; `listening()` returns once callers can connect, `port` is then the real one."""

    def __init__(self, pairing_db: Path, port: int, journal: CounterJournal, readers: CardReaders,
                 equipment: Equipment, unattended: Unattended, catalogue: Callable[[], Catalogue | None], line: Line,
                 clock: Clock, alarms: Alarms, health: LineHealth, events: Callable[[], BesideJournal | None],
                 attachments: Attachments) -> None:
        self.port = port
        self._listening = asyncio.Event()
        self._pairing = pairing = Pairing(pairing_db, clock)
        self._readings = readings = RecentReadings(clock)
        commands = Commands(equipment, readings.find)
        metrics = DoorMetrics(journal, line, alarms, health, events, attachments)
        routes = DoorRoutes(journal, catalogue, line, pairing, readings, metrics, alarms, health, events, attachments)
        given = GivenReadings(readings, attachments)
        windows = Windows(equipment, commands, pairing, given)
        devices = DeviceRoutes(equipment, unattended, commands, readers, readings, windows, given)
        app = DescribedApp(title="所站网关柜面接口 Suozhan counter API", version="1", docs_url=None, redoc_url=None)
        app.include_router(routes.router())
        app.include_router(PrintRoutes(commands, given).router())
        app.include_router(devices.router())
        app.include_router(AttachmentRoutes(attachments).router())
        app.include_router(PageRoutes().router())
        app.include_router(asyncapi.router())
        add_handlers(app)
        self._app = Guard(app, pairing, lambda: self.port)

    async def listening(self) -> None:
        await self._listening.wait()

    async def run(self) -> None:
        """Until cancelled. Raises PortTaken."""
        with _listen(self.port) as listener:
            self.port = listener.getsockname()[1]
            config = uvicorn.Config(self._app, log_config=None, access_log=False, lifespan="off", http=Connection, loop="asyncio",
                                    ws="websockets-sansio", ws_max_size=MESSAGE_MAX_BYTES, ws_ping_interval=PING_S,
                                    ws_ping_timeout=PING_S, server_header=False, backlog=BACKLOG,
                                    timeout_graceful_shutdown=STOP_GRACE_S)
            server = _Server(config)
            serving = asyncio.create_task(server.serve([listener]))
            expiring = asyncio.create_task(self._readings.run())
            try:
                while not server.started and not serving.done():
                    await asyncio.sleep(0.01)
                self._listening.set()
                await asyncio.shield(serving)
            finally:
                server.should_exit = True
                expiring.cancel()
                await asyncio.wait([serving, expiring])
                self._pairing.close()


@contextmanager
def _listen(port: int) -> Iterator[socket.socket]:
    # With the protocol named, asyncio switches Nagle's algorithm off: else every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        raise PortTaken(f"cannot listen on {LOOPBACK}:{port} ({error.strerror}); stop the other program, or set "
                        "door_port in edge.toml") from error
    with listener:
        yield listener
