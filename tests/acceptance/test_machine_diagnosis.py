"""What the hub's API says of a machine as a whole, while its agent comes and goes: real processes."""

from __future__ import annotations

import time
from typing import Any

from deploy.demo.city import Hub, Machine
from devices.simulated.folder import ReaderFolder

SAID_MAX_S = 60.0
READER = "Suozhan Simulated 1"


def said(hub: Hub, condition: str) -> dict[str, Any]:
    """The machine, once that is said of it."""
    until = time.monotonic() + SAID_MAX_S
    while True:
        [edge] = hub.reader().call("GET", "/v1/edges")[1]
        if edge["condition"] == condition:
            return dict(edge)
        assert time.monotonic() < until, edge
        time.sleep(0.2)


def test_the_hub_says_what_a_machine_is_like(hub: Hub, machine: Machine) -> None:
    assert said(hub, "never-heard")["connected"] is False
    readers = ReaderFolder(machine.state.parent / "readers")
    readers.plug(READER)
    machine.service.start()
    assert said(hub, "connected")["diagnosis"] == "已连接，一切正常。"
    readers.unplug(READER)
    ailing = said(hub, "devices")
    assert ailing["diagnosis"].endswith("找不到社保卡读卡器。请检查连接线是否插好、电源是否打开。")
    readers.plug(READER)
    said(hub, "connected")
    machine.service.stop()
    silent = said(hub, "silent")
    assert silent["connected"] is False
    assert "最后一次联系在 0 分钟前" in silent["diagnosis"]
