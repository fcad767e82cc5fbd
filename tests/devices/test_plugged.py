"""udev's properties to what a device is to us."""

from pathlib import Path

import pytest

from devices.contract import DeviceFault, DeviceIdentity, DeviceState, DeviceUnavailable
from devices.listed import listed_keyboard, serial_identity
from devices.plugged import Plugged, PluggedKind, plugged, udev_serial

GUN = {
    "ID_BUS": "usb", "ID_VENDOR": "Honeywell_International", "ID_MODEL": "1900_Scanner", "ID_VENDOR_ID": "0c2e",
    "ID_MODEL_ID": "0200", "ID_SERIAL_SHORT": "19035B4F3C", "ID_PATH": "pci-0000:00:14.0-usb-0:2:1.0",
    "ID_USB_INTERFACE_NUM": "00", "USEC_INITIALIZED": "123456",
}  # fmt: skip


def test_a_serial_port_is_told_with_all_that_udev_knows() -> None:
    links = ("/dev/serial/by-path/pci-2", "/dev/serial/by-id/usb-Honeywell-if00")
    assert plugged("tty", "/dev/ttyACM0", links, GUN) == Plugged(
        kind=PluggedKind.SERIAL_PORT, path="/dev/ttyACM0", serial="19035B4F3C", model="Honeywell International 1900 Scanner",
        place="pci-0000:00:14.0-usb-0:2:1.0", vendor="0c2e", product="0200", interface="00",
        stable_path="/dev/serial/by-id/usb-Honeywell-if00", insertion="123456",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("subsystem", "properties", "kind"),
    [
        ("input", GUN | {"ID_INPUT_KEYBOARD": "1"}, PluggedKind.KEYBOARD),
        ("input", GUN | {"ID_INPUT_KEYBOARD": "1", "ID_BUS": "bluetooth"}, PluggedKind.KEYBOARD),
        ("input", GUN | {"ID_INPUT_MOUSE": "1"}, None),
        ("input", {"ID_INPUT_KEYBOARD": "1", "ID_PATH": "platform-i8042-serio-0"}, None),
        ("tty", {"ID_PATH": "platform-serial8250"}, None),
        ("video4linux", GUN | {"ID_V4L_CAPABILITIES": ":capture:"}, PluggedKind.CAMERA),
        ("video4linux", GUN | {"ID_V4L_CAPABILITIES": ":"}, None),
        ("usb", {"DEVTYPE": "usb_device", "ID_USB_INTERFACES": ":070102:"}, PluggedKind.PRINTER),
        ("usb", {"DEVTYPE": "usb_device", "ID_USB_INTERFACES": ":ffffff:070102:", "libsane_matched": "yes"}, PluggedKind.SCANNER),
        ("usb", {"DEVTYPE": "usb_device", "ID_USB_INTERFACES": ":060101:"}, PluggedKind.SCANNER),
        ("usb", {"DEVTYPE": "usb_device", "ID_USB_INTERFACES": ":0b0000:"}, PluggedKind.CARD_READER),
        ("usb", {"DEVTYPE": "usb_device", "ID_USB_INTERFACES": ":080650:"}, None),
        ("usb", {"DEVTYPE": "usb_interface", "ID_USB_INTERFACES": ":070102:"}, None),
        ("block", GUN, None),
    ],
)
def test_a_device_is_what_its_properties_say(subsystem: str, properties: dict[str, str], kind: PluggedKind | None) -> None:
    one = plugged(subsystem, "/dev/x", (), properties)
    assert (one and one.kind) == kind


def test_what_has_no_node_can_not_be_used() -> None:
    assert plugged("tty", None, (), GUN) is None


def test_a_device_is_the_same_in_every_socket_if_it_has_a_serial() -> None:
    here = plugged("tty", "/dev/ttyUSB0", (), GUN)
    there = plugged("tty", "/dev/ttyUSB7", (), GUN | {"ID_PATH": "pci-9", "USEC_INITIALIZED": "9"})
    assert here is not None
    assert there is not None
    assert here.identity == there.identity
    assert here != there


def test_two_of_a_kind_without_serials_are_told_by_their_sockets() -> None:
    nameless = {key: value for key, value in GUN.items() if key != "ID_SERIAL_SHORT"}
    here, there = (plugged("tty", "/dev/ttyUSB0", (), nameless | {"ID_PATH": path}) for path in ("pci-1", "pci-2"))
    assert here is not None
    assert there is not None
    assert here.identity != there.identity


def test_two_lines_of_one_device_are_two() -> None:
    first, second = (plugged("tty", "/dev/ttyUSB0", (), GUN | {"ID_USB_INTERFACE_NUM": n}) for n in ("00", "01"))
    assert first is not None
    assert second is not None
    assert first.identity != second.identity


@pytest.mark.parametrize(("said", "written"), [("19035B4F", "19035B4F"), (" S 1  2 ", "S_1_2"), ("A/1,b;é", "A_1_b__"), ("", "")])
def test_a_serial_is_compared_as_udev_writes_it(said: str, written: str) -> None:
    assert udev_serial(said) == written


def keyboard(path: str, place: str, **more: str) -> Plugged:
    one = plugged("input", path, (), GUN | {"ID_INPUT_KEYBOARD": "1", "ID_PATH": place} | more)
    assert one is not None
    return one


A = keyboard("/dev/input/event3", "pci-usb-0:2:1.0", ID_SERIAL_SHORT="A")
B = keyboard("/dev/input/event4", "pci-usb-0:3:1.0", ID_SERIAL_SHORT="B")
CLERKS = keyboard("/dev/input/event5", "pci-usb-0:4:1.0", ID_VENDOR_ID="046d", ID_MODEL_ID="c31c", ID_SERIAL_SHORT="")
A_AGAIN = keyboard("/dev/input/event6", "pci-usb-0:2:1.1", ID_SERIAL_SHORT="A", ID_USB_INTERFACE_NUM="01")


@pytest.mark.parametrize("usb", ["A", "0c2e:0200", "0C2E:0200"])
def test_the_scanner_that_the_list_names_is_found(usb: str) -> None:
    found = listed_keyboard((CLERKS, A_AGAIN, A), usb)
    assert vars(found)["_path"] == "/dev/input/event3"
    assert (vars(found)["_wanted"], vars(found)["_serial"]) == ((0x0C2E, 0x0200), "A")


@pytest.mark.parametrize("usb", ["C", "", "0c2e:0201", "0c2e", "a"])
def test_what_the_list_does_not_name_is_not_there(usb: str) -> None:
    with pytest.raises(DeviceUnavailable) as away:
        listed_keyboard((A, B, CLERKS), usb)
    assert away.value.state is DeviceState.NO_DEVICE


def test_of_two_that_could_be_meant_neither_is_touched() -> None:
    with pytest.raises(DeviceFault):
        listed_keyboard((A, B, CLERKS), "0c2e:0200")


def test_a_serial_port_is_known_by_its_node_and_by_links_to_it(tmp_path: Path) -> None:
    node, link = tmp_path / "ttyUSB0", tmp_path / "usb-Honeywell-if00"
    node.touch()
    link.symlink_to(node)
    one = plugged("tty", str(node), (), GUN)
    assert one is not None
    for port in (node, link):
        assert serial_identity((A, one), str(port)) == DeviceIdentity("Honeywell International 1900 Scanner", "19035B4F3C")
    assert serial_identity((A, one), "/dev/ttyS0") == DeviceIdentity("ttyS0")
