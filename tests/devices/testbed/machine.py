"""Plugs devices into a testbed and out of it. For a process that runs under umockdev's preload library."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from devices.wedge_keys import Key

OWNER = Path(__file__).with_name("owner.py")
SYSTEM_PYTHON = "/usr/bin/python3"
PRELOAD = "libumockdev-preload.so.0"
STOP_MAX_S = 30.0
BUS_VIRTUAL = 0x06
EV_SYN, EV_KEY, SYN_DROPPED = 0, 1, 3

VENDOR, PRODUCT = 0x0C2E, 0x0B6A


def preloaded() -> bool:
    return PRELOAD in os.environ.get("LD_PRELOAD", "")


@dataclass(frozen=True)
class Device:
    """One that is plugged in."""

    sys_path: str
    node: str


@dataclass
class Machine:
    """What may be done to a machine. Numbers of nodes are never given away again: the testbed can not."""

    _owner: subprocess.Popen[str]
    _numbers: Iterator[int] = field(default_factory=lambda: count(3))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _plugged: list[Device] = field(default_factory=list)

    def order(self, do: str, **what: Any) -> Any:
        assert self._owner.stdin is not None
        assert self._owner.stdout is not None
        with self._lock:
            self._owner.stdin.write(json.dumps({"do": do, **what}) + "\n")
            self._owner.stdin.flush()
            return json.loads(self._owner.stdout.readline())

    def plug(self, subsystem: str, node: str, *, major: int = 13, **properties: str) -> Device:
        number = next(self._numbers)
        node = node.format(number)
        name = node.rpartition("/")[2]
        device = Device(f"/sys/devices/pci0000:00/usb1/1-{number}/{name}", f"/dev/{node}")
        says = {"DEVNAME": device.node, "SUBSYSTEM": subsystem, "USEC_INITIALIZED": str(number)} | properties
        description = [f"P: {device.sys_path.removeprefix('/sys')}", f"N: {node}", f"A: dev={major}:{number}"]
        description += [f"E: {key}={value}" for key, value in says.items()]
        self.order("plug", description="\n".join([*description, "", ""]))
        self._plugged.append(device)
        return device

    def keyboard(
        self, serial: str = "S1", *, vendor: int = VENDOR, product: int = PRODUCT, name: str = "Scan Gun", bus: int = BUS_VIRTUAL
    ) -> Device:
        """A keyboard on USB, scanner or not."""
        usb = {"ID_BUS": "usb", "ID_VENDOR_ID": f"{vendor:04x}", "ID_MODEL_ID": f"{product:04x}", "ID_SERIAL_SHORT": serial}
        place = f"pci-0000:00:14.0-usb-0:{len(self._plugged)}:1.0"
        names = {"ID_VENDOR": "Maker", "ID_MODEL": name.replace(" ", "_"), "ID_PATH": place}
        device = self.plug("input", "input/event{}", ID_INPUT="1", ID_INPUT_KEYBOARD="1", **usb, **names)
        self.order("keyboard", node=device.node, bus=bus, vendor=vendor, product=product, name=name, serial=serial)
        return device

    def unplug(self, device: Device) -> None:
        self._plugged.remove(device)
        self.order("unplug", sys_path=device.sys_path, node=device.node)

    def clear(self) -> None:
        for device in tuple(self._plugged):
            self.unplug(device)

    def type(self, device: Device, keys: Sequence[Key]) -> None:
        self.order("press", node=device.node, events=[(EV_KEY, key.code, key.value) for key in keys])

    def overrun(self, device: Device) -> None:
        self.order("press", node=device.node, events=[(EV_SYN, SYN_DROPPED, 0)])

    def hold_down(self, device: Device, codes: Sequence[int]) -> None:
        self.order("hold", node=device.node, codes=list(codes))

    def grabs(self, device: Device) -> int:
        return int(self.order("seen", node=device.node)["grabs"])

    def grabbed(self, device: Device) -> bool:
        return bool(self.order("seen", node=device.node)["grabbed"])

    def heard(self, device: Device) -> list[int]:
        """The keys that went into whatever window was in front."""
        return list(self.order("seen", node=device.node)["heard"])


@contextmanager
def machine() -> Iterator[Machine]:
    """This process sees that machine's devices while it lasts, and none of its own."""
    assert preloaded(), "run under umockdev-wrapper"
    with subprocess.Popen([SYSTEM_PYTHON, str(OWNER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        one = Machine(owner)
        os.environ["UMOCKDEV_DIR"] = one.order("root")
        try:
            yield one
        finally:
            del os.environ["UMOCKDEV_DIR"]
            assert owner.stdin is not None
            owner.stdin.close()
            owner.wait(STOP_MAX_S)
