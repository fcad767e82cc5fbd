"""Which changes of a device are worth a record."""

from __future__ import annotations

import pytest

from devices.contract import DeviceIdentity, DeviceState, DeviceStatus
from edge.equipment.events import EventKind, Known, events_of

OLD, NEW = DeviceIdentity("ACR39", "0001"), DeviceIdentity("ACR39", "0002")
ONLINE, AWAY = DeviceStatus(DeviceState.ONLINE, OLD), DeviceStatus(DeviceState.NO_DEVICE)
FAULT = DeviceStatus(DeviceState.HARDWARE_ERROR, None, ("paperJammed",))
BUSY = DeviceStatus(DeviceState.DEVICE_BUSY)
WRONG_CARD = DeviceStatus(DeviceState.USER_ERROR, OLD)
NO_PAPER = DeviceStatus(DeviceState.ONLINE, OLD, ("paperOut", "tonerLow"))
NO_PAPER_AT_WORK = DeviceStatus(DeviceState.DEVICE_BUSY, OLD, ("paperOut", "tonerLow"))
OPEN = DeviceStatus(DeviceState.USER_ERROR, OLD, ("coverOpen", "paperOut"))
LOW = DeviceStatus(DeviceState.ONLINE, OLD, ("paperLow", "tonerLow"))
EMPTY_FEEDER = DeviceStatus(DeviceState.USER_ERROR, OLD, ("paperOut",))


def told(*statuses: DeviceStatus) -> list[str]:
    known, kinds = Known(), []
    for status in statuses:
        known, events = events_of(known, status)
        kinds += [one.kind.value.removeprefix("device.") for one in events]
    return kinds


@pytest.mark.parametrize(("statuses", "expected"), [
    ((AWAY, AWAY), []),  # it has never been there
    ((AWAY, ONLINE, ONLINE), ["attached"]),
    ((ONLINE, AWAY, AWAY, ONLINE), ["attached", "detached", "attached"]),
    ((ONLINE, FAULT, FAULT, ONLINE), ["attached", "fault", "recovered"]),
    ((ONLINE, FAULT, AWAY, ONLINE), ["attached", "fault", "detached", "attached"]),
    ((FAULT, ONLINE), ["fault", "recovered"]),
    ((ONLINE, BUSY, WRONG_CARD, ONLINE), ["attached"]),  # nothing that a technician has to see
    ((ONLINE, DeviceStatus(DeviceState.ONLINE, NEW)), ["attached", "replaced"]),  # swapped between two looks
    ((ONLINE, AWAY, DeviceStatus(DeviceState.ONLINE, NEW)), ["attached", "detached", "replaced"]),
    ((ONLINE, AWAY, DeviceStatus(DeviceState.ONLINE, DeviceIdentity("ACR38U", "0001"))), ["attached", "detached", "attached"]),
    ((ONLINE, FAULT, DeviceStatus(DeviceState.HARDWARE_ERROR, None, ("tonerOut",))), ["attached", "fault", "fault"]),
    ((ONLINE, AWAY, FAULT), ["attached", "detached", "fault"]),
    ((ONLINE, NO_PAPER, NO_PAPER_AT_WORK, ONLINE), ["attached", "fault", "recovered"]),  # a printer says both
    ((ONLINE, OPEN, ONLINE), ["attached", "fault", "recovered"]),
    ((ONLINE, LOW, ONLINE), ["attached"]),  # it prints all the same
    ((ONLINE, EMPTY_FEEDER, ONLINE), ["attached"]),
    ((ONLINE, AWAY, NO_PAPER, AWAY, ONLINE), ["attached", "detached", "fault", "detached", "attached"]),
])
def test_what_changes_is_told_once(statuses: tuple[DeviceStatus, ...], expected: list[str]) -> None:
    assert told(*statuses) == expected


def test_a_replaced_device_names_both() -> None:
    known, _ = events_of(Known(), ONLINE)
    _, (event,) = events_of(known, DeviceStatus(DeviceState.ONLINE, NEW))
    assert (event.kind, event.before, event.identity) == (EventKind.REPLACED, OLD, NEW)


def test_a_device_without_a_serial_is_another_one_as_another_model() -> None:
    known, _ = events_of(Known(), DeviceStatus(DeviceState.ONLINE, DeviceIdentity("A")))
    assert [one.kind for one in events_of(known, DeviceStatus(DeviceState.ONLINE, DeviceIdentity("A")))[1]] == []
    (event,) = events_of(known, DeviceStatus(DeviceState.ONLINE, DeviceIdentity("B")))[1]
    assert event.kind is EventKind.REPLACED
