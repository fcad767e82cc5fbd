"""The equipment of an office on one agent, each device over its real stack, used through the counter's door."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect

from deploy.demo.processes import CHECKOUT, Caller, Service, command, free_port
from devices.simulated.folder import ReaderFolder
from devices.simulated.office import DOCUMENT, FINGER, ID_READER, PRINTER, SCANNER, OfficeFolder
from devices.simulated.printer_text import PrinterText
from edge.equipment.test_page import test_page as printed_page
from tests.edge.machine import enrolled

READY_MAX_S = 60.0
COMMAND_MAX_S = 60.0
RESIDENT = 'name = "王秀英"\nid_number = "11010519491231002X"'


class Office:
    """A counter program at the agent's door, and hands at the devices."""

    def __init__(self, hands: OfficeFolder, caller: Caller, port: int, token: str) -> None:
        self.hands, self.caller, self.port, self.token = hands, caller, port, token

    def devices(self) -> dict[str, Any]:
        return {one["name"]: one for one in self.caller.call("GET", "/v1/devices")[1]["devices"]}

    def do(self, device: str, name: str, values: dict[str, Any] | None = None, *, present: Any = None) -> dict[str, Any]:
        """A command to its end; `present` is done once it waits for a person, or is under way."""
        return asyncio.run(self._do(device, name, values or {}, present))

    async def _do(self, device: str, name: str, values: dict[str, Any], present: Any) -> dict[str, Any]:
        async with asyncio.timeout(COMMAND_MAX_S), self._window() as socket:
            await socket.send(json.dumps({"type": "command", "id": "1", "device": device, "name": name, "values": values}))
            while True:
                message: dict[str, Any] = json.loads(await socket.recv())
                if message["type"] == "completion":
                    assert message.get("reading", {}).get("device", device) == device
                    return message
                if message["type"] == "event" and message["name"] == "present" and present is not None:
                    present()

    @asynccontextmanager
    async def _window(self) -> AsyncIterator[ClientConnection]:
        async with connect(f"ws://127.0.0.1:{self.port}/v1/events", proxy=None) as socket:
            await socket.send(json.dumps({"type": "hello", "token": self.token, "window": "窗口1"}))
            yield socket


@pytest.mark.parametrize("there", [False, True], ids=["while it is set up", "while it plays"])
def test_an_office_that_is_ended_twice_leaves_nothing_running(tmp_path: Path, there: bool) -> None:
    """Ctrl-C reaches it and the demo that plays it, which ends it as well."""
    hands = OfficeFolder(tmp_path)
    with subprocess.Popen([sys.executable, "-m", "devices.simulated.office", str(tmp_path)], cwd=CHECKOUT) as player:
        stack = psutil.Process(player.pid)
        wait_until(lambda: stack.children() and (hands.list.exists() or not there))
        children = stack.children(recursive=True)
        for _ in range(3):
            player.send_signal(signal.SIGINT)
            player.send_signal(signal.SIGTERM)
            time.sleep(0.002)
    _, left = psutil.wait_procs(children, timeout=COMMAND_MAX_S)
    assert left == []


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    hands = OfficeFolder(folder / "devices")
    state = enrolled(folder / "edge")
    port = free_port()
    player = subprocess.Popen([sys.executable, "-m", "devices.simulated.office", str(hands.root)], cwd=CHECKOUT)
    try:
        wait_until(hands.list.exists)
        config = state.config.read_text(encoding="utf-8").replace("door_port = 0", f"door_port = {port}\nsimulated = true")
        state.config.write_text(config + hands.list.read_text(encoding="utf-8"), encoding="utf-8")
        ReaderFolder(state.root / "cards").plug("R1")
        service = Service("edge", state.root, folder / "edge.log", {"SANE_CONFIG_DIR": str(hands.documents.configuration)})
        service.start()
        try:
            code = command("edge", state.root, "pair", "--name", "test")
            token = Caller(f"http://127.0.0.1:{port}").call("POST", "/v1/pair", {"code": code})[1]["token"]
            one = Office(hands, Caller(f"http://127.0.0.1:{port}", token), port, token)
            wait_until(lambda: all(device["state"] == "online" for device in one.devices().values()))
            yield one
        finally:
            service.stop()
    finally:
        player.terminate()
        assert player.wait(READY_MAX_S) == 0


def wait_until(condition: Any) -> None:
    import time

    last = time.monotonic() + READY_MAX_S
    while not condition():
        assert time.monotonic() < last, "it did not come"
        time.sleep(0.05)


def test_all_of_it_is_there(office: Office) -> None:
    devices = office.devices()
    assert {name: one["kind"] for name, one in devices.items()} == {
        "R1": "social-card", ID_READER: "id-card", SCANNER: "barcode", FINGER: "fingerprint", DOCUMENT: "document",
        PRINTER: "printer"}
    assert all(one["simulated"] and one["diagnosis"] == "" for one in devices.values())


def test_an_id_card_is_read_and_bound_to_a_transaction(office: Office) -> None:
    ended = office.do(ID_READER, "read", present=lambda: office.hands.id_cards.lay(ID_READER, RESIDENT))
    assert ended["status"] == "success", ended
    assert ended["reading"]["data"]["name"] == "王秀英"
    assert ended["reading"]["serial"]
    assert "photo" not in json.dumps(ended)


def test_a_code_is_scanned(office: Office) -> None:
    ended = office.do(SCANNER, "read", present=lambda: office.hands.codes.show(SCANNER, 'codes = ["社保电子凭证 140830"]'))
    assert ended["status"] == "success", ended
    assert ended["reading"]["data"]["text"] == "社保电子凭证 140830"


def test_a_finger_is_enrolled_and_matched_and_another_is_not(office: Office) -> None:
    def press(finger: str, presses: int) -> Any:
        return lambda: office.hands.fingers.play(FINGER, f'finger = "{finger}"\npresses = {presses}')

    enrolled_ = office.do(FINGER, "enrol", present=press("zhang", 5))
    assert enrolled_["status"] == "success", enrolled_
    assert enrolled_["reading"]["data"] == {}
    for finger, matched in (("zhang", True), ("li", False)):
        request = "0f8fad5b-d9cb-469f-a165-70867728950e"
        ended = office.do(FINGER, "verify", {"reading": enrolled_["reading"]["id"], "request": request}, present=press(finger, 1))
        assert ended["status"] == "success", ended
        assert ended["reading"]["data"] == {"request": request, "matched": matched}


def test_a_page_is_looked_at_before_it_is_scanned(office: Office) -> None:
    ended = office.do(DOCUMENT, "preview")
    assert ended["status"] == "success", ended
    assert ended["reading"]["data"]["preview"].startswith("/9j/")  # a JPEG


def test_a_page_that_is_scanned_is_sealed_on_the_disk(office: Office) -> None:
    ended = office.do(DOCUMENT, "scan")
    assert ended["status"] == "success", ended
    assert ended["reading"]["data"]["attachment"]
    [blob] = (office.hands.root.parent / "edge" / "attachments").iterdir()
    sealed = blob.read_bytes()
    assert len(sealed) > ended["reading"]["data"]["size"]
    assert not sealed.startswith((b"\xff\xd8\xff", b"\x89PNG"))


def test_a_stack_is_one_command(office: Office) -> None:
    ended = office.do(DOCUMENT, "scan-stack")
    assert ended["status"] == "success", ended
    assert len({page["data"]["attachment"] for page in ended["pages"]}) == 10


def test_a_large_document_is_printed(office: Office) -> None:
    large = printed_page() + b"%" * 1_000_000
    request = urllib.request.Request(f"http://127.0.0.1:{office.port}/v1/devices/{PRINTER}/pdf", large,
                                     {"Authorization": f"Bearer {office.token}", "Content-Type": "application/pdf"})
    with urllib.request.urlopen(request, timeout=COMMAND_MAX_S) as answer:
        assert json.loads(answer.read())["data"]["sides"] == 1


def test_a_printer_prints_and_says_what_it_lacks(office: Office) -> None:
    ended = office.do(PRINTER, "test-page")
    assert ended["status"] == "success", ended
    pdf = base64.b64encode(printed_page()).decode()
    ended = office.do(PRINTER, "print", {"pdf": pdf, "name": "回执"})
    assert ended["status"] == "success", ended
    assert ended["reading"]["data"]["sides"] == 1
    for values in ({"pdf": base64.b64encode(b"no PDF").decode()}, {"pdf": "?"}, {}, {"pdf": pdf, "name": "11010519491231002X"}):
        assert office.do(PRINTER, "print", values)["error"]["code"] == "bad-values"
    office.hands.printer.plug(PrinterText(paper=0))
    wait_until(lambda: office.devices()[PRINTER]["diagnosis"] == "打印机缺纸。请装好纸张，设备会自动恢复。")
    office.hands.printer.plug()
    wait_until(lambda: office.devices()[PRINTER]["diagnosis"] == "")
