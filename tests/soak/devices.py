"""All devices of an office at once, for an hour of counter work: pulled, muted, slow, corrupt, swapped, crashed, jammed.

Nobody's data is ever delivered for somebody else's, every device is back by itself, and nothing is left behind: no thread, no
handle, no program, no memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, connect

from deploy.demo.processes import CHECKOUT, Caller
from devices.simulated.folder import ReaderFolder
from devices.simulated.office import DOCUMENT, FINGER, ID_READER, PRINTER, SCANNER, OfficeFolder
from security.durable_sqlite import open_readonly
from tests.soak.check import Broken
from tests.soak.counter import transaction
from tests.soak.hands import CARD, Hands, Person, Played
from tests.soak.result import Result
from tests.soak.rounds import Campaign, Outcome, Round, Rounds
from tests.soak.world import World

NAME = "devices"
BROKE = "all devices of an office at once, in an hour of counter work: pulled, mute, slow, corrupt, swapped, jammed, crashed"
ROUNDS = 4
HANDLINGS = 60  # of each device, in a round: 240 in all, as many as a counter has in an hour
WARM_UP = 3
COMMAND_S = 8.0  # of a stack: a page
SHEETS = 10  # in the feeder of SANE's test backend
HAND_MAX_S = 0.4  # a hand comes so late, at most
BACK_MAX_S = 60.0
READY_MAX_S = 30.0
RECORDED_MAX_S = 30.0
PRESSES = 5
REQUEST = "8a5c3a52-5f5c-4a5e-9d3b-0b6c1d2e3f40"
POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)  # for blocking calls; they come as they are needed, and stay
THREADS_MORE_MAX, HANDLES_MORE_MAX, PROGRAMS_MORE_MAX = POOL_THREADS, 6, 1  # a leak would be one a fault, of a hundred
MEMORY_MORE_MAX_MB = 25


class Desk:
    """One window for each device, all at once."""

    def __init__(self, port: int, token: str, tally: Tally[str]) -> None:
        self._port, self._token, self._tally = port, token, tally
        self._caller = Caller(f"http://127.0.0.1:{port}", token)
        self.named = 0  # pages, by records
        self.unplugged: Tally[str] = Tally()  # while they were wanted, so that somebody was told

    async def work(self, all_hands: Sequence[Hands], handlings: int, *, well: bool = False) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for hands in all_hands:
                    tasks.create_task(self._at(hands, handlings, well))
        except ExceptionGroup as group:
            raise Broken([f"{type(one).__name__}: {one}" for one in group.exceptions]) from group

    async def _at(self, hands: Hands, handlings: int, well: bool) -> None:
        async with connect(f"ws://127.0.0.1:{self._port}/v1/events", proxy=None, max_size=None) as socket:
            await socket.send(json.dumps({"type": "hello", "token": self._token, "window": f"window of {hands.device}"}))
            for number in range(handlings):
                await asyncio.to_thread(_until_back, self._caller, hands.device)
                cancels_s = None if well else hands.cancels_after_s()
                await self._handle(socket, hands, str(number), hands.play(well=well), cancels_s)
                await asyncio.to_thread(hands.heal)

    async def _handle(self, socket: ClientConnection, hands: Hands, number: str, played: Played, cancels_s: float | None) -> None:
        if played.first:
            await asyncio.to_thread(played.act)
        command = {"type": "command", "id": number, "device": hands.device, "name": hands.command(), "timeout_s": COMMAND_S}
        await socket.send(json.dumps(command | {"values": hands.values}))
        acting, cancelling = asyncio.create_task(_act(played)), asyncio.create_task(_cancel(socket, number, cancels_s))
        told: list[Any] = []
        while (message := await _heard(socket, number))["type"] != "completion":
            if message.get("name") == "page":
                told.append(message["reading"])
        acted = acting.done()
        await acting
        cancelling.cancel()
        await asyncio.wait([cancelling])
        self._tally[f"{hands.device}: {message['status']}"] += 1
        if played.how == "unplugged" and acted and message["status"] == "unavailable":  # and not because it was still busy
            self.unplugged[hands.device] += 1
        if wrong := _wrong(hands.device, played, message, told):
            raise Broken([f"{hands.device}, {played.how}, {command['name']}: {wrong}"])
        if hands.device == DOCUMENT:
            kept = [page["data"]["attachment"] for page in [*told, message.get("reading")] if page]
            await asyncio.to_thread(self._name, [one for one in kept if one])  # a preview is none

    def _name(self, kept: list[str]) -> None:
        """Whatever page was told of may be named by a transaction."""
        if kept:
            status, answer = self._caller.call("POST", "/v1/transactions", transaction(kept[0]) | {"attachments": kept})
            if status != 201:
                raise Broken([f"a transaction with {len(kept)} pages: {status} {answer}"])
            self._tally["pages named"] += len(kept)
            self.named += len(kept)


async def _heard(socket: ClientConnection, number: str) -> dict[str, Any]:
    """The next message of this command."""
    while (message := json.loads(await socket.recv())).get("id") != number:
        pass
    return dict(message)


async def _act(played: Played) -> None:
    if not played.first:
        await asyncio.sleep(HAND_MAX_S / 2)
        await asyncio.to_thread(played.act)


async def _cancel(socket: ClientConnection, number: str, after_s: float | None) -> None:
    if after_s is not None:
        await asyncio.sleep(after_s)
        await socket.send(json.dumps({"type": "cancel", "id": number}))


def _wrong(device: str, played: Played, ended: dict[str, Any], told: list[Any]) -> str:
    """What is wrong with the end of a command; "" for nothing."""
    pages = ended.get("pages", [])
    if pages != told or len({page["data"]["attachment"] for page in pages}) != len(pages):
        return f"the end names {len(pages)} pages, and {len(told)} were told"
    if ended["status"] == "success" and pages and len(pages) not in (SHEETS, played.sheets):
        return f"{len(pages)} pages of a stack of {SHEETS}"
    if ended["status"] == "success" and not pages and said(device, ended["reading"]["data"]) not in played.allowed:
        return f"{ended['reading']['data']}, and not what was presented: {played.allowed}"
    if ended["status"] != "success" and not ended.get("error", {}).get("message", "。").endswith("。"):
        return f"an error without a sentence: {ended}"
    return ""


def said(device: str, data: dict[str, Any]) -> Any:
    """Of a reading, what it says of whom or what was presented."""
    if device in (CARD, ID_READER):
        return Person(data["name"], data["id_number"])
    return {SCANNER: data.get("text"), FINGER: data.get("matched")}.get(device, True)


def run(folder: Path, seed: int, rounds: Rounds) -> Result:
    campaign = Campaign(NAME, BROKE, folder, seed, rounds)
    campaign.play(rounds.of(ROUNDS, seed), _round)
    return campaign.result()


def _round(one: Round) -> Outcome:
    tally: Tally[str] = Tally()
    office, cards = OfficeFolder(one.folder / "office"), ReaderFolder(one.folder / "readers")
    with World(one.template, one.folder, one.ports) as world, _player(office):
        with (world.edge_state / "edge.toml").open("a", encoding="utf-8") as config:
            config.write(office.list.read_text(encoding="utf-8"))
        world.with_environment(edge={"SANE_CONFIG_DIR": str(office.documents.configuration)})
        cards.plug(CARD)
        world.start()
        caller = Caller(f"http://127.0.0.1:{one.ports.door}", one.template.token)
        all_hands = [Hands(device, Random(f"{one.random.random()}"), office, cards)
                     for device in (CARD, ID_READER, SCANNER, FINGER, DOCUMENT, PRINTER)]
        _until_back(caller)
        desk = Desk(one.ports.door, one.template.token, tally)
        finger = next(hands for hands in all_hands if hands.device == FINGER)
        finger.values = {"reading": _enrolled(caller, office), "request": REQUEST}
        asyncio.run(desk.work(all_hands, WARM_UP, well=True))
        _until_back(caller)
        before = Held.of(world.edge.pid)
        asyncio.run(desk.work(all_hands, HANDLINGS))
        seconds = _until_back(caller)
        Held.of(world.edge.pid).compare(before)
        tally["recorded at the hub"] += _recorded(world.hub_db, desk.unplugged)
        _arrived(world.hub_db, desk.named)
        world.stop()
    tally["slowest return in s"] = max(tally["slowest return in s"], round(seconds))
    return Outcome(HANDLINGS * len(all_hands), 1, tally)


@contextmanager
def _player(office: OfficeFolder) -> Iterator[None]:
    playing = subprocess.Popen([sys.executable, "-m", "devices.simulated.office", str(office.root)], cwd=CHECKOUT)
    try:
        last_look = time.monotonic() + READY_MAX_S
        while not office.list.exists():
            if time.monotonic() > last_look or playing.poll() is not None:
                raise Broken(["the equipment of the office is not played; read what it said"])
            time.sleep(0.02)
        yield
    finally:
        playing.terminate()
        playing.wait(READY_MAX_S)


def _recorded(hub_db: Path, unplugged: Tally[str]) -> int:
    """Events of devices that the hub shows. Raises Broken where a device was pulled out more often than it was recorded."""
    last_look = time.monotonic() + RECORDED_MAX_S
    while True:
        with closing(open_readonly(hub_db)) as database:
            rows = database.execute("SELECT device, event, count(*) FROM device_events GROUP BY 1, 2").fetchall()
        detached = Tally({device: count for device, event, count in rows if event == "detached"})
        if not (missing := unplugged - detached):
            return sum(count for _, _, count in rows)
        if time.monotonic() > last_look:
            raise Broken([f"pulled out, and not recorded: {dict(missing)}"])
        time.sleep(0.2)


def _arrived(hub_db: Path, named: int) -> None:
    """Raises Broken where pages that records name are not whole at the hub, and when there are others."""
    last_look = time.monotonic() + RECORDED_MAX_S
    while True:
        with closing(open_readonly(hub_db)) as database:
            (names,), = database.execute("SELECT count(DISTINCT address) FROM attachment_names").fetchall()
            (whole,), = database.execute("SELECT count(*) FROM attachments").fetchall()
        if names == whole == named:
            return
        if time.monotonic() > last_look:
            raise Broken([f"{named} pages were named: {names} are named at the hub, {whole} are whole there"])
        time.sleep(0.2)


def _enrolled(caller: Caller, office: OfficeFolder) -> str:
    office.fingers.play(FINGER, f'finger = "zhang"\npresses = {PRESSES}')
    status, reading = caller.call("POST", f"/v1/devices/{FINGER}/commands/enrol", {"window": "soak"})
    if status != 200:
        raise Broken([f"no finger was enrolled: {reading}"])
    return str(reading["id"])


def _until_back(caller: Caller, device: str = "") -> float:
    """Seconds until every device is online, or that one; nobody restarts anything. Raises Broken."""
    began = time.monotonic()
    while away := [f"{one['name']} {one['state']} {one['reasons']}" for one in caller.call("GET", "/v1/devices")[1]["devices"]
                   if one["state"] != "online" and device in ("", one["name"])]:
        if time.monotonic() - began > BACK_MAX_S:
            raise Broken([f"not back by itself after {BACK_MAX_S:.0f} s: {', '.join(away)}"])
        time.sleep(0.1)
    return time.monotonic() - began


@dataclass(frozen=True)
class Held:
    """What an agent holds of its machine."""

    threads: int
    handles: int
    programs: int
    memory_mb: float

    @classmethod
    def of(cls, pid: int) -> Held:
        process = psutil.Process(pid)
        return cls(process.num_threads(), process.num_fds(), len(process.children(recursive=True)),
                   process.memory_info().rss / 1024**2)

    def compare(self, before: Held) -> None:
        """Raises Broken when more of it is left behind than was there before."""
        more = {"threads": (self.threads - before.threads, THREADS_MORE_MAX),
                "handles": (self.handles - before.handles, HANDLES_MORE_MAX),
                "programs": (self.programs - before.programs, PROGRAMS_MORE_MAX),
                "MB": (self.memory_mb - before.memory_mb, MEMORY_MORE_MAX_MB)}
        left = [f"{count:.0f} {what} more than before (at most {limit})"
                for what, (count, limit) in more.items() if count > limit]
        if left:
            raise Broken(left)
