"""Windows at the counter's door, over real WebSockets: commands, cancelling, several at once, and what gets nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from devices.contract import DeviceState, DeviceStatus
from devices.simulated.card import CardText
from edge.door import server, windows
from edge.door.pairing import Pairing
from edge.door.window import BAD_MESSAGE, COMMANDS_MAX
from edge.equipment.equipment import Wanted
from tests.edge.door.test_door import Counter, at_the_door
from tests.edge.equipment.test_equipment import Listed
from tests.spine import CEILING_S

ORIGIN = "https://counter.example"
ZHANG = CardText(name="张三", id_number="11010519491231002X", card_number="A12345678")
READ = {"type": "command", "id": "1", "device": "R1", "name": "read"}


class Window:
    """A counter program at the other end."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    def say_at_once(self, *messages: dict[str, Any]) -> None:
        """In one segment: the door has heard all of them before it does anything for the first."""
        frames = [Frame(Opcode.TEXT, json.dumps(one).encode()).serialize(mask=True) for one in messages]
        self.socket.transport.write(b"".join(frames))

    async def hear(self, *types: str) -> dict[str, Any]:
        """The next message of one of these types."""
        while True:
            message: dict[str, Any] = json.loads(await self.socket.recv())
            if message["type"] in types:
                return message

    async def closed(self) -> int:
        """The code with which it is closed."""
        try:
            while True:
                await self.socket.recv()
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else 0


@asynccontextmanager
async def knock(counter: Counter, origin: str = "", host: str = "") -> AsyncIterator[Window]:
    """A socket that has said nothing yet."""
    named = host or f"127.0.0.1:{counter.door.port}"
    async with connect(f"ws://{named}/v1/events", origin=origin or None, proxy=None, host="127.0.0.1",
                       port=counter.door.port, max_queue=None) as socket:
        yield Window(socket)


@asynccontextmanager
async def open_window(counter: Counter, name: str = "窗口1", origin: str = "") -> AsyncIterator[Window]:
    token = await counter.pair(origin)
    async with knock(counter, origin) as window:
        await window.say(type="hello", token=token, window=name)
        assert (await window.hear("welcome"))["devices"][0]["name"] == "R1"
        yield window


def test_a_command_is_acknowledged_asks_for_the_card_and_ends_with_what_was_read(tmp_path: Path) -> None:
    async def act(counter: Counter) -> None:
        async with open_window(counter) as window:
            await window.say(**READ)
            assert (await window.hear("acknowledge", "completion"))["type"] == "acknowledge"
            assert (await window.hear("event"))["hint"] == "请插入社会保障卡。"
            counter.readers.insert("R1", ZHANG)
            ended = await window.hear("completion")
            assert (ended["id"], ended["status"]) == ("1", "success")
            assert ended["reading"]["data"]["name"] == "张三"
            submitted = await counter.client.post("/v1/transactions", json={
                "id": "t1", "item": "003-21", "channel": "counter", "operator": "李芳", "readings": [ended["reading"]["id"]],
                "resident": {"name": "张三", "id_number": "11010519491231002X"},
                "documents": ["resident-id-card", "eligibility-commitment"]})
            assert submitted.status_code == 201

    at_the_door(tmp_path, act)


def test_a_command_can_be_cancelled_and_its_device_is_free_again(tmp_path: Path) -> None:
    async def act(counter: Counter) -> None:
        async with open_window(counter) as window:
            await window.say(**READ)
            await window.hear("event")
            await window.say(type="cancel", id="1")
            assert (await window.hear("completion"))["status"] == "cancelled"
            counter.readers.insert("R1", ZHANG)
            await window.say(**READ)
            assert (await window.hear("completion"))["status"] == "success"

    at_the_door(tmp_path, act)


def test_a_command_that_is_cancelled_at_once_ends_too_and_leaves_its_id_and_its_place(tmp_path: Path) -> None:
    async def act(counter: Counter) -> None:
        async with open_window(counter) as window:
            for _ in range(COMMANDS_MAX + 1):
                window.say_at_once(READ, {"type": "cancel", "id": "1"})
                assert (await window.hear("acknowledge", "completion"))["type"] == "acknowledge"
                assert (await window.hear("completion"))["status"] == "cancelled"
            counter.readers.insert("R1", ZHANG)
            await window.say(**READ)
            assert (await window.hear("completion"))["status"] == "success"

    at_the_door(tmp_path, act)


def test_a_device_in_use_by_another_window_is_refused_by_name_and_free_when_that_one_goes(tmp_path: Path) -> None:
    async def act(counter: Counter) -> None:
        async with open_window(counter, "窗口2") as second:
            async with open_window(counter, "窗口1") as first:
                await first.say(**READ)
                await first.hear("event")
                seen = await second.hear("unsolicited")
                assert (seen["device"]["state"], seen["device"]["user"]) == ("deviceBusy", "窗口1")
                await second.say(**READ)
                refused = await second.hear("completion")
                assert (refused["status"], refused["error"]["code"]) == ("refused", "device-busy")
                assert "窗口1" in refused["error"]["message"]
            while (await second.hear("unsolicited"))["device"]["user"]:
                pass
            counter.readers.insert("R1", ZHANG)
            await second.say(**READ)
            assert (await second.hear("completion"))["status"] == "success"

    at_the_door(tmp_path, act)


@pytest.mark.parametrize(("command", "status", "code"), [
    ({"timeout_s": 0.05}, "timeout", "command-timeout"),
    ({"device": "R9"}, "refused", "no-device"),
    ({"name": "print"}, "refused", "no-command"),
])
def test_a_command_that_cannot_be_carried_out_ends_with_what_to_do(
        tmp_path: Path, command: dict[str, Any], status: str, code: str) -> None:
    async def act(counter: Counter) -> None:
        async with open_window(counter) as window:
            await window.say(**(READ | command))
            ended = await window.hear("completion")
            assert (ended["status"], ended["error"]["code"]) == (status, code)
            assert ended["error"]["message"].endswith("。")

    at_the_door(tmp_path, act)


class Buggy:
    """A driver with a bug."""

    kind = "barcode"

    async def probe(self) -> DeviceStatus:
        return DeviceStatus(DeviceState.ONLINE)

    async def __aenter__(self) -> Buggy:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def read(self) -> Any:
        raise ZeroDivisionError


def test_a_bug_in_one_driver_ends_its_command_alone(tmp_path: Path) -> None:
    async def act(counter: Counter) -> None:
        async with open_window(counter) as window:
            await window.say(**READ)
            await window.hear("event")
            await window.say(**(READ | {"id": "2", "device": "scan-1"}))
            ended = await window.hear("completion")
            assert (ended["id"], ended["status"], ended["error"]["code"]) == ("2", "fault", "agent-fault")
            counter.readers.insert("R1", ZHANG)
            assert (await window.hear("completion"))["status"] == "success"
        answer = await counter.client.post("/v1/devices/scan-1/commands/read", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "agent-fault")

    at_the_door(tmp_path, act, sources=[Listed((Wanted("scan-1", "barcode", Buggy),))])


def test_what_is_unplugged_is_told_to_every_window(tmp_path: Path) -> None:
    async def act(counter: Counter) -> None:
        async with open_window(counter, "窗口1") as first, open_window(counter, "窗口2") as second:
            counter.readers.unplug("R1")
            for window in (first, second):
                device = (await window.hear("unsolicited"))["device"]
                assert device["state"] == "noDevice"
                assert device["diagnosis"] == "找不到社保卡读卡器。请检查连接线是否插好、电源是否打开。"

    at_the_door(tmp_path, act)


@pytest.mark.parametrize(("origin", "host"), [("https://evil.example", ""), ("", "evil.example"), ("null", ""),
                                              ("", "127.0.0.1:1"), (f"{ORIGIN}.evil.example", "")])
def test_a_stranger_is_not_let_in(tmp_path: Path, origin: str, host: str) -> None:
    async def act(counter: Counter) -> None:
        await counter.pair(ORIGIN)
        with pytest.raises(InvalidStatus) as refused:
            async with knock(counter, origin, host):
                pass
        assert refused.value.response.status_code == 403

    at_the_door(tmp_path, act)


@pytest.mark.parametrize("hello", [
    {}, {"type": "hello", "token": "guess", "window": "窗口1"}, {"type": "command", "id": "1", "device": "R1", "name": "read"},
    {"type": "hello", "window": "窗口1"},
])
def test_without_a_token_nothing_is_answered(tmp_path: Path, hello: dict[str, Any]) -> None:
    async def act(counter: Counter) -> None:
        async with knock(counter) as window:
            await window.say(**hello)
            assert await window.closed() == windows.NOT_ALLOWED

    at_the_door(tmp_path, act)


def test_the_token_of_another_page_is_worth_nothing(tmp_path: Path) -> None:
    async def act(counter: Counter) -> None:
        of_page, of_program = await counter.pair(ORIGIN), await counter.pair()
        for token, origin in ((of_page, ""), (of_program, ORIGIN)):
            async with knock(counter, origin) as window:
                await window.say(type="hello", token=token, window="窗口1")
                assert await window.closed() == windows.NOT_ALLOWED

    at_the_door(tmp_path, act)


def test_a_token_that_is_taken_back_opens_nothing_and_closes_its_window(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "TOKEN_LOOK_S", 0.05)

    async def act(counter: Counter) -> None:
        token = await counter.pair()
        async with open_window(counter) as other, knock(counter) as window:
            await window.say(type="hello", token=token, window="窗口2")
            await window.say(**READ)
            await window.hear("event")
            with closing(Pairing(tmp_path / "door.db", counter.spine.clock)) as pairing:
                assert (pairing.take_back("another"), pairing.take_back("test")) == (0, 3)
            assert await window.closed() == await other.closed() == windows.NOT_ALLOWED
            assert not counter.equipment.device("R1").view.user
        answer = await counter.client.get("/v1/devices", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401

    at_the_door(tmp_path, act)


def test_a_pairing_database_that_is_locked_for_a_moment_closes_no_window(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "TOKEN_LOOK_S", 0.01)

    async def act(counter: Counter) -> None:
        async with open_window(counter) as window:
            monkeypatch.setattr(Pairing, "origin_of", _locked)
            await asyncio.sleep(0.1)
            counter.readers.insert("R1", ZHANG)
            await window.say(**READ)
            assert (await window.hear("completion"))["status"] == "success"

    at_the_door(tmp_path, act)


def _locked(pairing: Pairing, token: str) -> str:
    raise sqlite3.OperationalError("database is locked")


def test_whoever_does_not_say_hello_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "HELLO_MAX_S", 0.05)

    async def act(counter: Counter) -> None:
        async with knock(counter) as window:
            assert await window.closed() == windows.NOT_ALLOWED

    at_the_door(tmp_path, act)


@pytest.mark.parametrize(("message", "code"), [
    ("nonsense", BAD_MESSAGE), ('{"type": "format-disk"}', BAD_MESSAGE), (b"\x00\x01", BAD_MESSAGE),
    ('{"type": "command", "id": "1", "device": "R1", "name": "read", "extra": 1}', BAD_MESSAGE),
    ("[" * 30_000, BAD_MESSAGE), ("x" * (windows.MESSAGE_MAX_BYTES + 1), 1009),
])
def test_a_malformed_or_oversized_message_ends_that_window_alone(tmp_path: Path, message: str | bytes, code: int) -> None:
    async def act(counter: Counter) -> None:
        async with open_window(counter, "窗口2") as other:
            async with open_window(counter) as window:
                await window.socket.send(message)
                assert await window.closed() == code
            counter.readers.insert("R1", ZHANG)
            await other.say(**READ)
            assert (await other.hear("completion"))["status"] == "success"

    at_the_door(tmp_path, act)


def test_too_many_commands_of_one_window_are_refused(tmp_path: Path) -> None:
    async def act(counter: Counter) -> None:
        async with open_window(counter) as window:
            window.say_at_once(*[READ | {"id": f"n{number}"} for number in range(COMMANDS_MAX + 1)])
            refused = await window.hear("completion")
            while refused["error"]["code"] == "device-busy":
                refused = await window.hear("completion")
            assert (refused["id"], refused["error"]["code"]) == (f"n{COMMANDS_MAX}", "too-many-commands")

    at_the_door(tmp_path, act)


def test_an_id_that_is_in_use_is_never_given_a_second_completion(tmp_path: Path) -> None:
    """A window could not tell which of the two commands has ended."""
    async def act(counter: Counter) -> None:
        async with open_window(counter) as window:
            window.say_at_once(READ, READ)
            assert await window.closed() == BAD_MESSAGE

    at_the_door(tmp_path, act)


def test_a_door_that_closes_lets_its_windows_go(
        tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STOP_GRACE_S", CEILING_S)  # it logs an error where it runs out

    async def act(counter: Counter) -> None:
        token = await counter.pair()
        async with knock(counter) as window:
            await window.say(type="hello", token=token, window="窗口1")
            await window.hear("welcome")
            counter.serving.cancel()
            assert await window.closed() == 1012
            await asyncio.wait([counter.serving])

    with caplog.at_level(logging.ERROR):
        at_the_door(tmp_path, act)
    assert not caplog.records
