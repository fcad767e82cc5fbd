"""What the name of a PC/SC reader says: "MODEL [INTERFACE] (SERIAL) RR SS" (pcsc-lite, hotplug_libudev.c).

All but the model may be missing.
"""

import re
from collections.abc import Collection

from devices.contract import DeviceIdentity

_NAME = re.compile(
    r"(?P<model>.*?)(?: \[[^\]]*\])?(?: \((?P<serial>[^()]*)\))?(?P<slot> [0-9A-F]{2} [0-9A-F]{2})?", re.DOTALL
)
SLOT = " 00"
COUNTED = "0123456789ABCDEF"
COUNTED_MIN = 4  # fewer may be a serial


def identity_in(name: str) -> DeviceIdentity:
    """Model and serial as far as the name of a reader tells them. The two numbers at its end are its place, not itself."""
    parts = _NAME.fullmatch(name)
    assert parts is not None, "every group may be empty"
    return DeviceIdentity(parts["model"], serial_of(parts["serial"] or ""))


def without_slot(name: str) -> str:
    """The name as all slots of one reader have it: they differ in the last number."""
    parts = _NAME.fullmatch(name)
    return name[: -len(SLOT)] if parts is not None and parts["slot"] else name


def found_again(name: str, names: Collection[str]) -> str:
    """What of `names` is the slot that was called `name`; "" where none is, or several may be.

    The service counts readers anew whenever they are plugged in. Where a serial, or a slot behind the first, tells which one is
    meant, its count may have changed; any other slot may be that of a like reader.
    """
    if name in names:
        return name
    found = [one for one in names if _uncounted(name) and _uncounted(one) == _uncounted(name)]
    return found[0] if len(found) == 1 else ""


def _uncounted(name: str) -> str:
    parts = _NAME.fullmatch(name)
    slot = parts["slot"] if parts is not None else None
    if parts is None or not slot or not (serial_of(parts["serial"] or "") or slot[-len(SLOT) :] != SLOT):
        return ""
    return name[: -len(slot)] + slot[-len(SLOT) :]


def serial_of(said: str) -> str:
    """A serial, or "" for what makers write where a serial belongs: one character again and again, or digits counted up."""
    serial = "".join(said.split("\0")).strip()
    counted = len(serial) >= COUNTED_MIN and serial.upper() in COUNTED
    return "" if counted or len(set(serial)) == 1 or not serial.isprintable() else serial
