"""What a change of a device is worth in a record: attached, detached, fault, recovered, replaced. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from devices.contract import DeviceIdentity, DeviceState, DeviceStatus
from devices.ipp_status import blocking
from devices.paper import PAPER_OUT

_HERE = (DeviceState.ONLINE, DeviceState.DEVICE_BUSY, DeviceState.USER_ERROR)
_AWAY = (DeviceState.OFFLINE, DeviceState.NO_DEVICE, DeviceState.POWER_OFF)


UNLISTED = "unlisted"  # the reason of a device's last event: nobody has to mend it


class EventKind(StrEnum):
    """Record kinds of the events journal."""

    ATTACHED = "device.attached"
    DETACHED = "device.detached"
    FAULT = "device.fault"
    RECOVERED = "device.recovered"
    REPLACED = "device.replaced"


class Condition(StrEnum):
    """What of a device's state people are told as an event. A card that is put in wrong is none, nor is an empty feeder."""

    UNKNOWN = "unknown"
    HERE = "here"
    AWAY = "away"
    FAULTY = "faulty"


class Lister(StrEnum):
    """Whose device list names a device. What is found by itself, and named by nobody, leaves no list when it is gone."""

    NOBODY = ""
    MACHINE = "machine"  # edge.toml
    HUB = "hub"


@dataclass(frozen=True, slots=True)
class Known:
    """What was last told of a device. `identity` stays when it goes, so that another in its place is noticed; `listed` is who
    named it last, and stays when its list names it no more. `kind` is "", `simulated` False and `listed` nobody in what an agent
    of before kept.
    """

    condition: Condition = Condition.UNKNOWN
    identity: DeviceIdentity | None = None
    reasons: tuple[str, ...] = ()
    kind: str = ""
    simulated: bool = False
    listed: Lister = Lister.NOBODY


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """`before` is set where one device took the place of another."""

    kind: EventKind
    state: DeviceState
    reasons: tuple[str, ...]
    identity: DeviceIdentity | None
    before: DeviceIdentity | None = None


def events_of(known: Known, status: DeviceStatus) -> tuple[Known, tuple[DeviceEvent, ...]]:
    """What to know from now on, and what to record. A device that has never been there is no event."""
    condition = _condition(status)
    identity = status.identity or known.identity
    now = Known(condition, identity, status.reasons if condition is Condition.FAULTY else ())
    found: list[EventKind] = []
    replaced = _other(known.identity, status.identity)
    if replaced:
        found.append(EventKind.REPLACED)
    elif condition is Condition.HERE and known.condition in (Condition.UNKNOWN, Condition.AWAY):
        found.append(EventKind.ATTACHED)
    if condition is Condition.AWAY:
        if known.condition in (Condition.HERE, Condition.FAULTY):
            found.append(EventKind.DETACHED)
        elif known.condition is Condition.UNKNOWN:
            now = replace(now, condition=Condition.UNKNOWN)
    if condition is Condition.FAULTY and (known.condition is not Condition.FAULTY or known.reasons != now.reasons):
        found.append(EventKind.FAULT)
    if condition is Condition.HERE and known.condition is Condition.FAULTY and not replaced:
        found.append(EventKind.RECOVERED)
    return now, tuple(DeviceEvent(kind, status.state, status.reasons, identity,
                                  known.identity if kind is EventKind.REPLACED else None) for kind in found)


def last_of(known: Known) -> tuple[DeviceEvent, ...]:
    """What to record of a device that is looked after no longer. Of one that was never told of, nothing."""
    if known.condition is Condition.UNKNOWN:
        return ()
    return (DeviceEvent(EventKind.DETACHED, DeviceState.NO_DEVICE, (UNLISTED,), known.identity),)


def is_reworded(known: Known, events: tuple[DeviceEvent, ...]) -> bool:
    """Whether they say no more than that what was faulty is so in other words."""
    return known.condition is Condition.FAULTY and [one.kind for one in events] == [EventKind.FAULT]


def _condition(status: DeviceStatus) -> Condition:
    if status.state in _HERE:
        return Condition.FAULTY if _stopped(status) else Condition.HERE
    return Condition.AWAY if status.state in _AWAY else Condition.FAULTY


def _stopped(status: DeviceStatus) -> bool:
    """A printer that lacks paper may say that it is idle, or at work: nothing comes out, and somebody has to mend it."""
    reasons = set(blocking(status.reasons))
    return bool(reasons - {PAPER_OUT} if status.state is DeviceState.USER_ERROR else reasons)


def _other(before: DeviceIdentity | None, now: DeviceIdentity | None) -> bool:
    """By the serial; a device that tells none is another one only as another model."""
    if before is None or now is None:
        return False
    return before.serial != now.serial if before.serial or now.serial else before.model != now.model
