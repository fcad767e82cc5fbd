"""What is plugged in and stands in no device list: known from udev alone, and never opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from devices.contract import DeviceIdentity
from devices.listed_names import is_at, is_meant
from devices.plugged import Plugged, PluggedKind, udev_serial
from edge.equipment.device import DeviceView
from edge.equipment.device_list import DocumentScanner, IdCardReader, Inventory, ListedDevice, Printer, Scanner

UNLISTED_MAX = 64
LOOPBACK = {"localhost", "127.0.0.1", "::1"}

_LIST = "请联系市信息中心登记到本机的设备列表后使用；不用的请拔下。"
_WORDS = {
    PluggedKind.SERIAL_PORT: ("串口设备", (
        "是读卡器或扫码枪的，请联系市信息中心登记到本机的设备列表；是其他设备（如调制解调器、UPS）的无须处理。")),
    PluggedKind.KEYBOARD: ("键盘或键盘式扫码枪", "是键盘的无须处理；是扫码枪的，请联系市信息中心登记到本机的设备列表。"),
    PluggedKind.CAMERA: ("摄像头", "是电脑自带摄像头的无须处理；是高拍仪的，请联系市信息中心登记到本机的设备列表。"),
    PluggedKind.PRINTER: ("打印机", _LIST),
    PluggedKind.SCANNER: ("扫描仪", _LIST),
}
_MAYBE_OTHERS = {PluggedKind.KEYBOARD, PluggedKind.CAMERA, PluggedKind.SERIAL_PORT}
_ON_PAPER = {PluggedKind.CAMERA, PluggedKind.PRINTER, PluggedKind.SCANNER}
_MODEL_NUMBER = re.compile(r"[a-z]*\d[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Unlisted:
    """`port` and `usb` are what a device list would name it by. `certain`: False where it may be none for a list,
    as the computer's own keyboard or camera, or a modem: udev cannot tell.
    """

    kind: PluggedKind
    model: str
    serial: str
    port: str
    usb: str

    @property
    def certain(self) -> bool:
        return self.kind not in _MAYBE_OTHERS

    @property
    def chinese(self) -> str:
        """One sentence, with the next step."""
        what, next_step = _WORDS[self.kind]
        said = "，".join(one for one in (self.model, self.port if self.kind is PluggedKind.SERIAL_PORT else self.usb) if one)
        return f"已接入但未登记：{what}{f'（{said}）' if said else ''}。{next_step}"


class Unattended:
    """What no task looks after. Asked when somebody wants to see it, and idle otherwise."""

    def __init__(self, devices: Callable[[], Sequence[ListedDevice]], plugged: Callable[[], Sequence[Plugged]]) -> None:
        self._devices = devices
        self._plugged = plugged

    @property
    def inventory(self) -> tuple[Inventory, ...]:
        """Listed, without a line to this machine."""
        return tuple(one for one in self._devices() if isinstance(one, Inventory))

    def unlisted(self, views: Iterable[DeviceView]) -> tuple[Unlisted, ...]:
        return unlisted(self._plugged(), self._devices(), views)


def unlisted(plugged: Sequence[Plugged], devices: Sequence[ListedDevice], views: Iterable[DeviceView]) -> tuple[Unlisted, ...]:
    """One for each kind that a device is, but none where a part of that device is listed; what is certain comes first. Card
    readers are found by themselves.

    Printers and scanners are listed by what only their drivers know: one is called unlisted only where no listed one may be it.
    """
    known = {view.name: view.status.identity for view in views}
    sockets = {one.socket for one in plugged if one.place and _is_listed(one, devices, known)}
    found = {
        (one.kind, one.socket or one.path): _told(one) for one in plugged
        if one.kind in _WORDS and one.socket not in sockets and not _is_listed(one, devices, known)
    }
    return tuple(sorted(found.values(), key=lambda one: not one.certain))[:UNLISTED_MAX]


def _told(one: Plugged) -> Unlisted:
    usb = f"{one.vendor}:{one.product}" if one.vendor else ""
    return Unlisted(one.kind, one.model, one.serial, one.stable_path or one.path, usb)


def _is_listed(one: Plugged, devices: Sequence[ListedDevice], known: Mapping[str, DeviceIdentity | None]) -> bool:
    return any(_is(one, device, known.get(device.name)) for device in devices)


def _is(one: Plugged, device: ListedDevice, identity: DeviceIdentity | None) -> bool:
    match device:
        case IdCardReader(port=port):
            return is_at(one, port)
        case Scanner(port=port, usb=usb):
            return is_at(one, port) if port else is_meant(one, usb or "")
        case DocumentScanner(device=name) if one.kind in _ON_PAPER:
            return _is_named(one, name) if name and identity is None else _may_be(one, identity)
        case Printer(uri=uri) if one.kind in _ON_PAPER:
            return _may_be(one, identity) if identity or urlsplit(uri).hostname in LOOPBACK else False
        case _:
            return False


def _is_named(one: Plugged, name: str) -> bool:
    return udev_serial(name) == one.serial or _alike(name, one.model) or one.path in name


def _may_be(one: Plugged, identity: DeviceIdentity | None) -> bool:
    """Where a listed device does not say who it is, it may be this one."""
    if identity is None:
        return True
    if identity.serial and one.serial:
        return udev_serial(identity.serial) == one.serial
    return _alike(identity.model, one.model)


def _alike(one: str, other: str) -> bool:
    """Two names of a model: each maker's part writes it in its own way, but for its number."""
    one, other = one.casefold(), other.casefold()
    return bool(set(_MODEL_NUMBER.findall(one)) & set(_MODEL_NUMBER.findall(other))) or (bool(one and other) and
                                                                                        (one in other or other in one))
