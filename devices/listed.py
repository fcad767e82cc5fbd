"""What a site's device list names, found among what is plugged in. What it does not name is nobody's to open."""

import os
from collections.abc import Iterable

from devices.contract import DeviceFault, DeviceIdentity, DeviceState, DeviceUnavailable
from devices.evdev_keyboard import NOT_THERE, EvdevKeyboard
from devices.listed_names import is_at, is_meant
from devices.plugged import Plugged

SEVERAL = "有不止一个设备符合这把扫码枪的登记，为免误占键盘，暂不使用。请管理员在设备列表里改填它的序列号。"


def listed_keyboard(plugged: Iterable[Plugged], usb: str) -> EvdevKeyboard:
    """The scanner that types which the list means by "vvvv:pppp" or by its serial.

    DeviceUnavailable: none is there. DeviceFault: several are, and one may be the keyboard of the person at the counter.
    """
    meant = [one for one in plugged if is_meant(one, usb)]
    if not usb or not meant:
        raise DeviceUnavailable(NOT_THERE, DeviceState.NO_DEVICE)
    if len({one.socket for one in meant}) > 1:
        raise DeviceFault(SEVERAL)
    one = min(meant, key=lambda one: one.interface)
    return EvdevKeyboard(one.path, int(one.vendor, 16), int(one.product, 16), one.serial)


def serial_identity(plugged: Iterable[Plugged], port: str) -> DeviceIdentity:
    """Which device is at that serial port, by its node or any link to it. One that udev does not know is called by its port."""
    for one in plugged:
        if is_at(one, port):
            return DeviceIdentity(one.model, one.serial)
    return DeviceIdentity(os.path.basename(port))  # noqa: PTH119  # no more than a name
