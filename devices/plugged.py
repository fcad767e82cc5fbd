"""What one plugged device is, from the properties that udev gives it; no I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

BUSES = {"usb", "bluetooth"}
UNSAFE = re.compile(r"[^0-9A-Za-z#+\-.:=@_]")
PRINTER, PICTURES, CARDS = ":0701", ":06", ":0b"  # USB interface classes (usb.org, Defined Class Codes)


class PluggedKind(StrEnum):
    """What a device is good for. A keyboard may be a scanner that types, or that of the person at the counter."""

    SERIAL_PORT = "serial-port"
    KEYBOARD = "keyboard"
    CAMERA = "camera"
    PRINTER = "printer"
    SCANNER = "scanner"
    CARD_READER = "card-reader"


WHOLE = {PluggedKind.PRINTER, PluggedKind.SCANNER, PluggedKind.CARD_READER}  # known by the device, not by an interface of it


@dataclass(frozen=True)
class Plugged:
    """One device that is plugged in. Maker's words (`model`, `serial`) are as the device says them: escape them where shown.

    `path` is the kernel's node, another one after the next plugging; `stable_path` udev's link by maker, model and serial, ""
    without one. `place` is the socket. `vendor`, `product` and `interface` are hexadecimal, as udev gives them.
    `insertion` differs after every plugging, so that a quick one shows.
    """

    kind: PluggedKind
    path: str
    serial: str
    model: str
    place: str
    vendor: str = ""
    product: str = ""
    interface: str = ""
    stable_path: str = ""
    insertion: str = ""

    @property
    def socket(self) -> str:
        """`place` without the interface: the same for all that one USB device is."""
        return self.place if self.kind in WHOLE else self.place.rpartition(":")[0] or self.place

    @property
    def identity(self) -> str:
        """The same for the same device wherever it is plugged in; for one without a serial, in the same socket only."""
        which = self.serial or f"@{self.place}"
        return f"{self.kind}:{self.vendor}:{self.product}:{which}:{self.interface}"


def udev_serial(serial: str) -> str:
    """A serial as the device says it, in udev's letters (`ID_SERIAL_SHORT`), so that one is the other."""
    return UNSAFE.sub("_", "_".join(serial.split()))


def plugged(subsystem: str, node: str | None, links: tuple[str, ...], properties: Mapping[str, str]) -> Plugged | None:
    """What this device of udev's is to us, None when it is nothing."""
    kind = _kind(subsystem, properties)
    if kind is None or node is None:
        return None
    return Plugged(
        kind=kind,
        path=node,
        serial=properties.get("ID_SERIAL_SHORT", ""),
        model=f"{properties.get('ID_VENDOR', '')} {properties.get('ID_MODEL', '')}".replace("_", " ").strip(),
        place=properties.get("ID_PATH", ""),
        vendor=properties.get("ID_VENDOR_ID", ""),
        product=properties.get("ID_MODEL_ID", ""),
        interface=properties.get("ID_USB_INTERFACE_NUM", ""),
        stable_path=min((link for link in links if "/by-id/" in link), default=""),
        insertion=properties.get("USEC_INITIALIZED", ""),
    )


def _kind(subsystem: str, properties: Mapping[str, str]) -> PluggedKind | None:
    if subsystem == "usb":
        return _kind_of_usb(properties) if properties.get("DEVTYPE") == "usb_device" else None
    if properties.get("ID_BUS") not in BUSES:
        return None
    if subsystem == "tty":
        return PluggedKind.SERIAL_PORT
    if subsystem == "input" and properties.get("ID_INPUT_KEYBOARD") == "1":
        return PluggedKind.KEYBOARD
    if subsystem == "video4linux" and ":capture:" in properties.get("ID_V4L_CAPABILITIES", ""):
        return PluggedKind.CAMERA
    return None


def _kind_of_usb(properties: Mapping[str, str]) -> PluggedKind | None:
    interfaces = properties.get("ID_USB_INTERFACES", "")
    if properties.get("libsane_matched") == "yes" or PICTURES in interfaces:
        return PluggedKind.SCANNER
    if PRINTER in interfaces:
        return PluggedKind.PRINTER
    return PluggedKind.CARD_READER if CARDS in interfaces else None
