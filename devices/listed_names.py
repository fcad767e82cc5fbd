"""Which plugged device a device list means: by the names that the kernel and udev give it. Nothing is opened for that."""

import os

from devices.plugged import Plugged, PluggedKind


def is_at(one: Plugged, port: str) -> bool:
    """Whether it is the serial line at that node, or at any link to it."""
    return one.kind is PluggedKind.SERIAL_PORT and os.path.realpath(one.path) == os.path.realpath(port)


def is_meant(one: Plugged, usb: str) -> bool:
    """Whether it types, and is the one of "vvvv:pppp" or of that serial."""
    if one.kind is not PluggedKind.KEYBOARD:
        return False
    return usb.lower() == f"{one.vendor}:{one.product}" or (bool(one.serial) and usb == one.serial)
