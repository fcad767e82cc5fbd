"""What is plugged in and stands in no device list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from devices.contract import DeviceIdentity, DeviceState, DeviceStatus
from devices.plugged import Plugged, PluggedKind
from edge.equipment.device import DeviceView
from edge.equipment.device_list import ListedDevice, listed
from edge.equipment.unlisted import UNLISTED_MAX, unlisted

HUB = "pci-0000:00:14.0-usb-0"
LINE = Plugged(PluggedKind.SERIAL_PORT, "/dev/ttyUSB7", "A1", "Prolific Serial", f"{HUB}:1:1.0", "067b", "23a3", "00",
               "/dev/serial/by-id/usb-Prolific-A1")
GUN = Plugged(PluggedKind.KEYBOARD, "/dev/input/event7", "K1", "Honeywell 1900", f"{HUB}:2:1.0", "0c2e", "0200", "00")
GUN_LINE = Plugged(PluggedKind.SERIAL_PORT, "/dev/ttyACM0", "K1", "Honeywell 1900", f"{HUB}:2:1.1", "0c2e", "0200", "01")
PRINTER = Plugged(PluggedKind.PRINTER, "/dev/bus/usb/001/007", "P1", "Hewlett-Packard HP LaserJet M401dn", f"{HUB}:3", "03f0")
SCANNER = Plugged(PluggedKind.SCANNER, "/dev/bus/usb/001/008", "", "Canon CanoScan LiDE300", f"{HUB}:4", "04a9", "1913")
CAMERA = Plugged(PluggedKind.CAMERA, "/dev/video0", "", "Chicony Integrated Camera", f"{HUB}:5:1.0", "04f2", "b71a", "00")
READER = Plugged(PluggedKind.CARD_READER, "/dev/bus/usb/001/009", "", "Gemalto PC Twin Reader", f"{HUB}:6", "08e6", "3437")


def found(plugged: list[Plugged], devices: list[dict[str, Any]] | None = None,
          known: dict[str, DeviceIdentity] | None = None) -> list[str]:
    names: tuple[ListedDevice, ...] = listed(devices or [])
    views = [DeviceView(name, "", DeviceStatus(DeviceState.ONLINE, identity), 0) for name, identity in (known or {}).items()]
    return [one.model for one in unlisted(plugged, names, views)]


def test_each_kind_is_told_in_one_sentence_with_the_next_step() -> None:
    said = {one.kind: (one.chinese, one.certain) for one in unlisted([LINE, GUN, PRINTER, SCANNER, CAMERA], (), ())}
    assert said[PluggedKind.SERIAL_PORT] == (
        "已接入但未登记：串口设备（Prolific Serial，/dev/serial/by-id/usb-Prolific-A1）。"
        "是读卡器或扫码枪的，请联系市信息中心登记到本机的设备列表；是其他设备（如调制解调器、UPS）的无须处理。", False)
    assert said[PluggedKind.KEYBOARD] == (
        "已接入但未登记：键盘或键盘式扫码枪（Honeywell 1900，0c2e:0200）。是键盘的无须处理；"
        "是扫码枪的，请联系市信息中心登记到本机的设备列表。", False)
    assert said[PluggedKind.PRINTER] == (
        "已接入但未登记：打印机（Hewlett-Packard HP LaserJet M401dn，03f0:）。"
        "请联系市信息中心登记到本机的设备列表后使用；不用的请拔下。", True)
    assert {kind for kind, (_, certain) in said.items() if certain} == {PluggedKind.PRINTER, PluggedKind.SCANNER}
    assert len(said) == 5
    for sentence, _ in said.values():
        assert sentence.startswith("已接入但未登记：")
        assert sentence.endswith("。")


@pytest.mark.parametrize("device", [
    {"name": "id-1", "kind": "id-card", "port": LINE.path},
    {"name": "scan-1", "kind": "barcode", "port": LINE.path},
])
def test_a_serial_line_is_listed_by_its_node(device: dict[str, Any]) -> None:
    assert found([LINE], [device]) == []
    assert found([LINE], [device | {"port": "/dev/ttyUSB8"}]) == ["Prolific Serial"]


def test_a_serial_line_is_listed_by_any_link_to_its_node(tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    link.symlink_to(LINE.path)
    assert found([LINE], [{"name": "id-1", "kind": "id-card", "port": str(link)}]) == []


@pytest.mark.parametrize("usb", ["0c2e:0200", "0C2E:0200", "K1"])
def test_a_scanner_that_types_is_listed_by_what_it_is_or_by_its_serial(usb: str) -> None:
    other = Plugged(PluggedKind.KEYBOARD, "/dev/input/event9", "", "Dell Keyboard", f"{HUB}:9:1.0", "413c", "2113", "00")
    assert found([GUN, other], [{"name": "scan-1", "kind": "barcode", "usb": usb}]) == ["Dell Keyboard"]


def test_what_else_a_listed_device_is_needs_no_listing() -> None:
    assert found([GUN, GUN_LINE], [{"name": "scan-1", "kind": "barcode", "usb": "0c2e:0200"}]) == []
    assert found([GUN, GUN_LINE, LINE], [{"name": "scan-1", "kind": "barcode", "port": GUN_LINE.path}]) == ["Prolific Serial"]


def test_a_keyboard_of_several_interfaces_is_told_once() -> None:
    second = Plugged(PluggedKind.KEYBOARD, "/dev/input/event8", "K1", "Honeywell 1900", f"{HUB}:2:1.2", "0c2e", "0200", "02")
    assert found([GUN, second]) == ["Honeywell 1900"]


def test_devices_on_one_hub_are_told_apart() -> None:
    assert found([PRINTER, SCANNER]) == [PRINTER.model, SCANNER.model]
    named = {"name": "d", "kind": "document", "device": "LiDE300"}
    assert found([PRINTER, SCANNER], [named]) == [PRINTER.model]


def test_card_readers_are_found_by_themselves() -> None:
    assert found([READER]) == []


def test_a_printer_is_told_by_what_its_driver_knows() -> None:
    near, far = ({"name": "p", "kind": "printer", "uri": uri} for uri in ("ipp://localhost/printers/p", "ipp://10.21.0.9/ipp"))
    assert found([PRINTER], [near]) == [], "it does not say who it is: this may be it"
    assert found([PRINTER], [far]) == [PRINTER.model]
    assert found([PRINTER], [near], {"p": DeviceIdentity("HP LaserJet 400 M401dn")}) == []
    assert found([PRINTER], [far], {"p": DeviceIdentity("", "P1")}) == []
    for other in (DeviceIdentity("Brother HL-2140"), DeviceIdentity("HP LaserJet 400 M401dn", "P2")):
        assert found([PRINTER], [near], {"p": other}) == [PRINTER.model]


def test_a_document_scanner_is_told_by_its_name_or_by_what_its_driver_knows() -> None:
    first, named = ({"name": "d", "kind": "document", "device": name} for name in ("", "LiDE300"))
    assert found([SCANNER], [first]) == found([SCANNER], [named]) == []
    assert found([SCANNER, CAMERA], [named]) == [CAMERA.model]
    assert found([SCANNER, CAMERA], [first], {"d": DeviceIdentity("Canon CanoScan LiDE300")}) == [CAMERA.model]
    assert found([SCANNER], [first], {"d": DeviceIdentity("Plustek OpticBook 3800")}) == [SCANNER.model]


def test_a_scanner_that_prints_is_listed_as_a_printer() -> None:
    printer = {"name": "p", "kind": "printer", "uri": "ipp://10.0.0.9/"}
    assert found([SCANNER], [printer], {"p": DeviceIdentity("Canon LiDE300")}) == []


def test_there_is_an_end_to_it() -> None:
    many = [Plugged(PluggedKind.SERIAL_PORT, f"/dev/ttyUSB{n}", "", "", f"{HUB}:{n}:1.0") for n in range(UNLISTED_MAX + 9)]
    assert len(found(many)) == UNLISTED_MAX
