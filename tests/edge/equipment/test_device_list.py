"""What a machine takes as its device list, from the hub and from edge.toml."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.ipp import IppWire
from edge.equipment.device_list import (
    DEVICES_MAX,
    CurrentList,
    DeviceListRefused,
    Printer,
    Scanner,
    listed,
    parse_device_list,
)
from edge.equipment.events import Lister
from hub.fleet.device_list import DeviceListInvalid, encode_device_list

OFFICE = """
[[devices]]
name = "id-1"
kind = "id-card"
port = "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"

[[devices]]
name = "scan-1"
kind = "barcode"
usb = "05f9:2206"
suffix = "#"

[[devices]]
name = "scan-2"
kind = "barcode"
port = "/dev/ttyS1"
baud = 115200

[[devices]]
name = "printer-1"
kind = "printer"
uri = "ipp://127.0.0.1:8631/ipp/print"

[[devices]]
name = "fax-1"
kind = "fax"
note = "传真机，柜台后"
"""


def table(**changes: Any) -> dict[str, Any]:
    return {"name": "id-1", "kind": "id-card", "port": "/dev/ttyS0"} | changes


def test_what_the_hub_publishes_is_what_the_machine_takes() -> None:
    devices = parse_device_list(encode_device_list(OFFICE.encode()))
    assert [one.name for one in devices] == ["id-1", "scan-1", "scan-2", "printer-1", "fax-1"]
    assert isinstance(devices[2], Scanner)
    assert (devices[2].baud, devices[1].suffix) == (115200, "#")  # type: ignore[union-attr]
    assert isinstance(devices[3], Printer)
    assert devices[3].uri.endswith("/ipp/print")


@pytest.mark.parametrize(("tables", "words"), [
    ([table(), table()], "id-1 stands twice"),
    ([table(name="ID 1")], "'ID 1', name"),
    ([table(kind="x-ray")], "'id-1', kind"),
    ([{"name": "id-1", "kind": "id-card"}], "port"),
    ([table(colour="red")], "colour"),
    ([{"name": "s", "kind": "barcode"}], "either a port or a usb address"),
    ([{"name": "s", "kind": "barcode", "port": "/dev/ttyS0", "usb": "1:2"}], "either a port or a usb address"),
    ([{"name": "p", "kind": "printer", "uri": "file:///etc/passwd"}], "uri"),
    ([table(name=f"id-{number}") for number in range(DEVICES_MAX + 1)], "at most"),
    ([table(), table(name="id-2")], "'id-1' and 'id-2' are the same device"),
    ([table(), {"name": "s", "kind": "barcode", "port": "/dev/ttyS0"}], "'id-1' and 's' are the same device"),
    ([{"name": name, "kind": "barcode", "usb": usb} for name, usb in (("a", "05F9:2206"), ("b", "05f9:2206"))],
     "the same device"),
    ([{"name": name, "kind": "social-card", "serial": "S1"} for name in ("card-1", "card-2")], "the same device"),
    ([{"name": name, "kind": "document"} for name in ("document-1", "document-2")], "the same device"),
])
def test_a_list_that_is_wrong_is_refused_whole_and_says_where(tables: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(DeviceListRefused, match=words):
        listed(tables)


@pytest.mark.parametrize(("line", "words"), [
    ('port = "/etc/passwd"', "no serial port"), ('port = "/dev/../etc/passwd"', "no serial port"),
    ('port = "/dev/serial/by-id/../../sda"', "no serial port"),
])
def test_the_hub_names_no_file_but_a_serial_port(line: str, words: str) -> None:
    with pytest.raises(DeviceListRefused, match=words):
        parse_device_list(encode_device_list(f'[[devices]]\nname = "id-1"\nkind = "id-card"\n{line}'.encode()))


def test_the_hub_names_no_program_to_run() -> None:
    list_of_hub = encode_device_list(b'[[devices]]\nname = "f"\nkind = "fingerprint"\nprogram = "/bin/sh"')
    with pytest.raises(DeviceListRefused, match=r"edge\.toml only"):
        parse_device_list(list_of_hub)
    assert listed([{"name": "f", "kind": "fingerprint", "program": "/opt/vendor/finger"}])


@pytest.mark.parametrize("uri", [
    "ipp:///ipp/print", "ipp://[::1/x", "ipp://h:99999999/x", "ipp://h:x/y", "ipp://h/x?query", "ipp://h/x#part", "ipp://user@host/x",
    f"ipp://{'a' * 80}.x/", "ipp://a..b/", "http://h/x", "ipp://h/\u0007",
])
def test_an_address_that_is_no_printers_is_refused_on_both_sides(uri: str) -> None:
    with pytest.raises(DeviceListRefused, match=r"'p', uri"):
        listed([{"name": "p", "kind": "printer", "uri": uri}])
    with pytest.raises(DeviceListInvalid, match=r"'p'.*uri"):
        encode_device_list(f'[[devices]]\nname = "p"\nkind = "printer"\nuri = {json.dumps(uri)}'.encode())


@pytest.mark.parametrize("uri", ["ipp://10.0.0.9/ipp/print", "ipps://printer-2.local:8631", "ipp://[fe80::1]/ipp", "ipp://打印机/x"])
def test_an_address_of_a_printer_is_taken_on_both_sides(uri: str) -> None:
    (printer,) = parse_device_list(encode_device_list(f'[[devices]]\nname = "p"\nkind = "printer"\nuri = "{uri}"'.encode()))
    assert isinstance(printer, Printer)
    assert printer.uri == uri
    IppWire(uri)


@pytest.mark.parametrize(("field", "text"), [
    ("program", "/opt/fp --label 'left"), ("program", " "), ("program", "/opt/fp\0"), ("serial", "\0"),
])
def test_a_program_that_cannot_be_started_is_refused(field: str, text: str) -> None:
    with pytest.raises(DeviceListRefused, match=f"'f', {field}"):
        listed([{"name": "f", "kind": "fingerprint", field: text}])


def test_what_the_machine_itself_lists_goes_before_what_the_hub_says_of_that_name_or_that_device() -> None:
    current = CurrentList(listed([table(), {"name": "fax-1", "kind": "fax"}]))
    assert [one.name for one in current()] == ["id-1", "fax-1"]
    current.follow(lambda: listed([table(port="/dev/ttyS1"), table(name="id-2"), table(name="id-3", port="/dev/ttyS3"),
                                   {"name": "fax-2", "kind": "fax"}]))
    assert [one.name for one in current()] == ["id-1", "fax-1", "id-3", "fax-2"]
    asyncio.run(current.known())


def test_who_lists_a_device_is_said_and_the_hub_only_while_its_list_is_there() -> None:
    current = CurrentList(listed([table()]))
    current.follow(lambda: listed([table(), table(name="id-3", port="/dev/ttyS3")]))
    said = {name: current.lister_of(name) for name in ("id-1", "id-3", "ACS ACR39U 00 00")}
    assert said == {"id-1": Lister.MACHINE, "id-3": Lister.HUB, "ACS ACR39U 00 00": Lister.NOBODY}
    assert current.known_whole() == {Lister.MACHINE, Lister.HUB}
    current.follow(lambda: ())
    assert current.known_whole() == {Lister.MACHINE, Lister.HUB}
    current.follow(lambda: None)
    assert current.known_whole() == {Lister.MACHINE}


@given(st.binary(max_size=200))
def test_whatever_comes_is_a_list_or_refused(content: bytes) -> None:
    try:
        parse_device_list(content)
    except DeviceListRefused:
        return


@pytest.mark.parametrize(("text", "words"), [
    ("devices = 3", "tables"), ("[[devices]]\nkind = 'fax'", "number 1: it needs a name"),
    ("[[devices]]\nname = 'f'\nkind = 'x-ray'", "its kind is one of"),
    ("[[devices]]\nname = 'f'\nkind = 'fax'\nnote = [1]", "note"),
    ("[[devices]]\nname = 'f'\nkind = 'fax'\n[[devices]]\nname = 'f'\nkind = 'fax'", "stands twice"), ("[", "not TOML"),
    ("[[devices]]\nname = 'a'\nkind = 'id-card'\nport = '/dev/ttyS0'\n[[devices]]\nname = 'b'\nkind = 'barcode'\n"
     "port = '/dev/ttyS0'",
     "port /dev/ttyS0 stands twice"),
    ("[[devices]]\nname = 'a'\nkind = 'social-card'\nserial = 'S'\n[[devices]]\nname = 'b'\nkind = 'social-card'\nserial = 'S'",
     "social-card S stands twice"),
    ("colour = 1", "nothing else"),
])
def test_the_hub_refuses_to_publish_what_is_wrong(text: str, words: str) -> None:
    with pytest.raises(DeviceListInvalid, match=words):
        encode_device_list(text.encode())
