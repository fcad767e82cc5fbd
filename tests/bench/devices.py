"""Devices at the door of a real agent: card to data, events to windows, one that hangs beside one that works, and idleness."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect

from deploy.demo.city import Hub, Machine
from devices.simulated.card import CardText
from devices.simulated.id_readers import IdReaderFolder, SimulatedIdReaders
from devices.simulated.pcscd import VirtualReaders
from devices.simulated.serial_scanner import ScannerFolder, SimulatedScanners
from tests.bench.figures import Figure

READERS, SERIAL = 12, 4
WINDOWS = 8
CARDS = 40
EVENTS = 200
READS = 200
IDLE_S = 30.0
SETTLE_S = 3.0
ZHANG = CardText()


class Window:
    """One counter program."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._number = 0

    async def hear(self, kind: str) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = json.loads(await self.socket.recv())
            if message["type"] == kind:
                return message

    async def begin(self, device: str) -> str:
        self._number += 1
        await self.socket.send(json.dumps({"type": "command", "id": str(self._number), "device": device, "name": "read"}))
        return str(self._number)

    async def read(self, device: str) -> float:
        """Seconds until the card that is in was read."""
        began = time.perf_counter()
        await self.begin(device)
        ended = await self.hear("completion")
        assert ended["status"] == "success", ended
        return time.perf_counter() - began


@asynccontextmanager
async def window(machine: Machine, name: str) -> AsyncIterator[Window]:
    async with connect(f"ws://127.0.0.1:{machine.door_port}/v1/events", proxy=None) as socket:
        await socket.send(json.dumps({"type": "hello", "token": machine.counter._token, "window": name}))
        one = Window(socket)
        await one.hear("welcome")
        yield one


async def _card_to_data(machine: Machine, virtual: VirtualReaders, slot: str, device: str) -> tuple[list[float], list[float]]:
    """From the moment a card is put in; and of one that is in already."""
    whole, read = [], []
    async with window(machine, "bench") as one:
        for _ in range(CARDS):
            await one.begin(device)
            await one.hear("event")
            began = time.perf_counter()
            virtual.insert(slot, ZHANG)
            assert (await one.hear("completion"))["status"] == "success"
            whole.append(time.perf_counter() - began)
            read.append(await one.read(device))
            virtual.pull(slot)
            await asyncio.to_thread(virtual.settle)
    return whole, read


async def _event_to_windows(machine: Machine, device: str) -> list[float]:
    """From the word of one window until each of the others sees that the device is in use."""
    took: list[float] = []
    async with AsyncExitStack() as stack:
        windows = [await stack.enter_async_context(window(machine, f"w{number}")) for number in range(WINDOWS)]
        for _ in range(EVENTS):
            began = time.perf_counter()

            async def seen(one: Window, user: str, began: float = began) -> float:
                while (await one.hear("unsolicited"))["device"]["user"] != user:
                    pass
                return time.perf_counter() - began

            waiting = [asyncio.create_task(seen(one, "w0")) for one in windows]
            command = await windows[0].begin(device)
            took += await asyncio.gather(*waiting)
            await windows[0].socket.send(json.dumps({"type": "cancel", "id": command}))
            await asyncio.gather(*[seen(one, "") for one in windows])
    return took


async def _beside_a_hung_one(machine: Machine, virtual: VirtualReaders, slots: list[str],
                             devices: list[str]) -> tuple[float, float]:
    """The 99th percentile of reading beside a reader in order, and beside one that hangs while it is read."""
    virtual.insert(slots[0], ZHANG)
    virtual.insert(slots[1], ZHANG)
    await asyncio.sleep(1)
    async with window(machine, "works") as works, window(machine, "hangs") as hangs:
        well = [await works.read(devices[0]) for _ in range(READS)]
        virtual.hang(slots[1])
        await hangs.begin(devices[1])
        beside = [await works.read(devices[0]) for _ in range(READS)]
        virtual.unhang(slots[1])
    return _p99(well), _p99(beside)


def _p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]


def _idle(machine: Machine) -> float:
    """Share of a core, in percent."""
    process = psutil.Process(machine.service.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(IDLE_S)
    return (sum(process.cpu_times()[:2]) - before) / IDLE_S * 100


@contextmanager
def _serial_devices(folder: Path) -> Iterator[str]:
    """Played in a thread of this process: what they cost is not the agent's. Gives their device list."""
    readers, guns = IdReaderFolder(folder / "id"), ScannerFolder(folder / "scan")
    names = [f"{number}" for number in range(SERIAL // 2)]
    for one in (readers, guns):
        one.directory.mkdir(parents=True)
        for name in names:
            one.plug(name)
    ended = threading.Event()

    async def play() -> None:
        async with SimulatedIdReaders(readers.directory), SimulatedScanners(guns.directory):
            await asyncio.to_thread(ended.wait)

    playing = threading.Thread(target=lambda: asyncio.run(play()))
    playing.start()
    try:
        yield "".join(f'[[devices]]\nname = "{kind}-{name}"\nkind = "{kind}"\nport = "{one.line(name)}"\n'
                      for kind, one in (("id-card", readers), ("barcode", guns)) for name in names)
    finally:
        ended.set()
        playing.join()


def devices(folder: Path) -> dict[str, Figure]:
    """An agent of its own, with as many readers as a large office has."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="suozhan-") as short:  # sockets have short names
        return _measured(folder, Path(short))


def _measured(folder: Path, short: Path) -> dict[str, Figure]:
    hub = Hub(folder)
    hub.init()
    hub.command("site", "add", "A01", "--name", "古魏镇服务所", "--kind", "office", "--county", "芮城县")
    machine = Machine(folder, hub, "A01", "窗口1")
    slots = [f"Suozhan Virtual {number:02}" for number in range(READERS)]
    with VirtualReaders(short / "pcscd", slots) as virtual, _serial_devices(folder / "serial") as listed:
        hub.service.start()
        machine.enrol("pcsc", folder, virtual.environment, listed)
        machine.service.start()
        try:
            machine.pair()
            machine.wait_for("line", connected=True)
            time.sleep(SETTLE_S)
            found = machine.counter.call("GET", "/v1/devices")[1]["devices"]
            assert len(found) == READERS + SERIAL, found
            assert all(one["state"] == "online" for one in found), found
            names = [one["name"] for one in found]
            named = [next(name for name in names if name.startswith(slot)) for slot in slots]
            idle = _idle(machine)
            whole, read = asyncio.run(_card_to_data(machine, virtual, slots[0], named[0]))
            events = asyncio.run(_event_to_windows(machine, named[2]))
            well, beside = asyncio.run(_beside_a_hung_one(machine, virtual, slots, named))
        finally:
            machine.stop()
            hub.service.stop()
    return {
        "card_in_to_data_p50": Figure(statistics.median(whole) * 1e3, "ms"),
        "card_in_noticed_p50": Figure(statistics.median(w - r for w, r in zip(whole, read, strict=True)) * 1e3, "ms"),
        "card_read_p50": Figure(statistics.median(read) * 1e3, "ms"),
        "event_to_8_windows_p99": Figure(_p99(events) * 1e3, "ms"),
        "read_beside_a_hung_p99": Figure(beside * 1e3, "ms", well * 1e3),
        f"idle_{READERS}_readers_{SERIAL}_serial": Figure(idle, "% of a core"),
    }
