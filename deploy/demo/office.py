"""The equipment of the demo's office: played by a process of its own, used as a counter program and its people would."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

from deploy.demo.city import Machine
from deploy.demo.processes import CHECKOUT, DemoFailed
from devices.simulated.office import DOCUMENT, FINGER, ID_READER, PRINTER, SCANNER, OfficeFolder
from devices.simulated.printer_text import PrinterText

READY_MAX_S = 60.0
STOP_MAX_S = 30.0
SEEN_MAX_S = 60.0
AGAIN_S = 10.0
LOG_SHOWN_MAX = 400
PRESSES = 5
REQUEST = "8a5c3a52-5f5c-4a5e-9d3b-0b6c1d2e3f40"
Tell = Callable[[str], None]


class Equipment:
    """Played while the `with` lasts. `there` is False where this machine lacks what it is played with; `why` says it."""

    def __init__(self, folder: Path) -> None:
        self.hands = OfficeFolder(folder)
        self.there = False
        self.why = ""
        self._log = folder.with_suffix(".log")

    @property
    def environment(self) -> dict[str, str]:
        """What the agent needs in its environment."""
        return {"SANE_CONFIG_DIR": str(self.hands.documents.configuration)} if self.there else {}

    @property
    def device_list(self) -> str:
        """For the agent's edge.toml."""
        return self.hands.list.read_text(encoding="utf-8") if self.there else ""

    def __enter__(self) -> Equipment:
        command = [sys.executable, "-m", "devices.simulated.office", str(self.hands.root)]
        with self._log.open("wb") as log:
            self._player = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log)
        try:
            self._wait_for_it()
        except BaseException:  # what was not entered is not left either
            self.__exit__()
            raise
        self.there = self.hands.list.exists()
        self.why = "" if self.there else self._log.read_text(encoding="utf-8")[-LOG_SHOWN_MAX:].strip().rpartition("\n")[2]
        return self

    def _wait_for_it(self) -> None:
        last_look = time.monotonic() + READY_MAX_S
        while not self.hands.list.exists() and self._player.poll() is None and time.monotonic() < last_look:
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._player.terminate()
        try:
            self._player.wait(STOP_MAX_S)
        except subprocess.TimeoutExpired:
            self._player.kill()


def use(tell: Tell, machine: Machine, equipment: Equipment) -> None:
    """Every device once, over its real stack."""
    hands = equipment.hands
    _seen(machine, lambda devices: all(one["state"] == "online" for one in devices))
    for one in _devices(machine):
        tell(f"{one['name']:<26}{one['kind']:<14}{one['state']:<9}{one['model'][:32]}")
    card = _do(machine, ID_READER, "read", lambda: hands.id_cards.lay(ID_READER, 'name = "王秀英"'))["data"]
    tell(f"{ID_READER}: an ID card is read, {card['name'][0]}**, {card['id_number'][:6]}************")
    code = _do(machine, SCANNER, "read", lambda: hands.codes.show(SCANNER, 'codes = ["140830-社保缴费-0007"]'))["data"]
    tell(f"{SCANNER}: a code is scanned, {code['text']}")
    finger = _do(machine, FINGER, "enrol", partial(hands.fingers.play, FINGER, f'finger = "wang"\npresses = {PRESSES}'))
    verdicts = [_do(machine, FINGER, "verify", partial(hands.fingers.play, FINGER, f'finger = "{who}"\npresses = 1'),
                    {"reading": finger["id"], "request": REQUEST})["data"]["matched"] for who in ("wang", "li")]
    tell(f"{FINGER}: a finger is enrolled; the same one matches: {verdicts[0]}, another one: {verdicts[1]}")
    page = _do(machine, DOCUMENT, "scan")["data"]
    tell(f"{DOCUMENT}: a page is scanned, {page['width']} × {page['height']}, {page['size'] // 1024} KB")
    stack = _do(machine, DOCUMENT, "scan-stack")["pages"]
    tell(f"{DOCUMENT}: a stack is scanned, {len(stack)} pages, each an attachment as it came")
    tell(f"{PRINTER}: a test page is printed, {_do(machine, PRINTER, 'test-page')['data']['sides']} side")
    hands.printer.plug(PrinterText(paper=0))
    _seen(machine, lambda devices: any(one["name"] == PRINTER and one["diagnosis"] for one in devices))
    told = next(one["diagnosis"] for one in _devices(machine) if one["name"] == PRINTER)
    tell(f"{PRINTER}: the paper is taken out, and the counter reads: {told}")
    hands.printer.plug()


def _do(machine: Machine, device: str, name: str, present: Callable[[], None] | None = None,
        values: dict[str, Any] | None = None) -> dict[str, Any]:
    """A command to its end; what a person presents comes once the device is in use."""
    with ThreadPoolExecutor(1) as pool:
        body = {"window": "窗口1", "values": values or {}}
        asked = pool.submit(machine.counter.call, "POST", f"/v1/devices/{device}/commands/{name}", body)
        if present is not None:
            _seen(machine, lambda devices: asked.done() or any(one["name"] == device and one["user"] for one in devices))
            time.sleep(0.2)  # a hand is no faster
            present()
            while not wait([asked], AGAIN_S).done:  # it came before the device looked: a person tries again
                present()
        status, answer = asked.result()
    if status != 200:
        raise DemoFailed(f"{device} {name}: {answer}; read {machine.log}")
    return dict(answer)


def _devices(machine: Machine) -> list[dict[str, Any]]:
    return list(machine.counter.call("GET", "/v1/devices")[1]["devices"])


def _seen(machine: Machine, condition: Callable[[list[dict[str, Any]]], bool]) -> None:
    last_look = time.monotonic() + SEEN_MAX_S
    while not condition(_devices(machine)):
        if time.monotonic() > last_look:
            raise DemoFailed(f"the devices of {machine.name} are not as they should be after {SEEN_MAX_S:.0f} s: "
                             f"{_devices(machine)}; read {machine.log}")
        time.sleep(0.05)
