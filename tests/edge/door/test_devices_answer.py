"""What the door tells of equipment that no task looks after."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from devices.plugged import Plugged, PluggedKind
from edge.equipment.device_list import listed
from tests.edge.door.test_door import Counter, at_the_door

LOOK = "是读卡器或扫码枪的，请联系市信息中心登记到本机的设备列表；是其他设备（如调制解调器、UPS）的无须处理。"
WATCHED: list[str] = []
OPENED: list[str] = []


def line(node: Path) -> Plugged:
    return Plugged(PluggedKind.SERIAL_PORT, str(node), "A1", "Prolific Serial", "usb-0:1:1.0", "067b", "23a3", "00")


def test_what_is_plugged_in_and_not_listed_is_named_apart(tmp_path: Path) -> None:
    node = tmp_path / "ttyUSB7"

    async def visit(counter: Counter) -> None:
        answer = (await counter.client.get("/v1/devices")).json()
        assert [one["name"] for one in answer["devices"]] == ["R1"]
        assert answer["unlisted"] == [{
            "kind": "serial-port", "model": "Prolific Serial", "serial": "A1", "port": str(node), "usb": "067b:23a3",
            "certain": False, "diagnosis": f"已接入但未登记：串口设备（Prolific Serial，{node}）。{LOOK}"}]

    at_the_door(tmp_path, visit, plugged=[line(node)])


def test_what_is_listed_is_not_named_there(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        assert (await counter.client.get("/v1/devices")).json()["unlisted"] == []

    node = tmp_path / "ttyUSB7"
    at_the_door(tmp_path, visit, plugged=[line(node)], listed=listed([{"name": "id-1", "kind": "id-card", "port": str(node)}]))


def test_what_is_only_counted_is_inventory(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        answer = (await counter.client.get("/v1/devices")).json()
        assert answer["inventory"] == [{"name": "fax-1", "kind": "fax", "state": "inventory", "note": "柜台后"},
                                       {"name": "cabinet-1", "kind": "filing-cabinet", "state": "inventory", "note": ""}]
        assert [one["name"] for one in answer["devices"]] == ["R1"]
        assert (await counter.client.get("/v1/devices/fax-1")).status_code == 404

    at_the_door(tmp_path, visit, listed=listed([{"name": "fax-1", "kind": "fax", "note": "柜台后"},
                                                {"name": "cabinet-1", "kind": "filing-cabinet"}]))


def test_telling_of_it_opens_it_not(tmp_path: Path) -> None:
    node = tmp_path / "ttyUSB7"
    node.touch()
    sys.addaudithook(_watch)  # it stays for as long as this process: it looks at what is watched alone
    WATCHED.append(str(node))

    async def visit(counter: Counter) -> None:
        assert len((await counter.client.get("/v1/devices")).json()["unlisted"]) == 1
        await asyncio.sleep(0)
        assert OPENED == []
        with node.open():
            assert [str(node)] == OPENED, "opening would have been seen"

    at_the_door(tmp_path, visit, plugged=[line(node)])
    WATCHED.clear()


def _watch(event: str, values: Any) -> None:
    if event == "open" and WATCHED and str(values[0]) in WATCHED:
        OPENED.append(str(values[0]))
