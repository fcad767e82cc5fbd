"""Commands of counter programs to devices: one at a time on each, with a time limit, cancelled by whoever gave it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pydantic import ValidationError

from devices.contract import CardAbsent, Reading
from edge.equipment.actions import ACTIONS, Action, Event, FindReading, Given, Take, Tell, Values
from edge.equipment.device import Device
from edge.equipment.equipment import Equipment

TIMEOUT_S, TIMEOUT_MAX_S = 60.0, 600.0


class UnknownCommand(Exception):
    """A device of that kind has no such command; `names` are those that it has."""

    def __init__(self, kind: str, name: str, names: tuple[str, ...]) -> None:
        super().__init__(f"no command {name!r} for {kind}")
        self.names = names


class BadValues(Exception):
    """The values are not those of the command; `fields` says which, never what they are."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        super().__init__(", ".join(fields))
        self.fields = fields


class CommandTimedOut(Exception):
    """Nobody presented anything in time, or the device was not done; `hint` is for the counter."""

    def __init__(self, hint: str) -> None:
        super().__init__(hint)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Order:
    """A command, as a window gave it; `user` is the name of the window. `timeout_s` begins anew with each page of a stack,
    scanned or printed.
    """

    device: str
    name: str
    user: str
    timeout_s: float = TIMEOUT_S
    wait: bool = True  # for a card to be put in
    values: Mapping[str, Any] | Values = field(default_factory=dict, repr=False)  # as they were said, or checked already


class Commands:
    """Over the devices of this machine; `find` gives the readings of a moment ago."""

    def __init__(self, equipment: Equipment, find: FindReading) -> None:
        self._equipment = equipment
        self._find = find

    def names(self, kind: str) -> tuple[str, ...]:
        """The commands of a kind of device."""
        return tuple(ACTIONS.get(kind, {}))

    async def run(self, order: Order, tell: Tell | None = None, take: Take | None = None) -> Reading[Any] | None:
        """To its end: its reading, or None when `take` got all of them. Raises UnknownCommand, BadValues,
        NoSuchDevice, CommandTimedOut, or a DeviceError (DeviceBusy, too); and what `take` raises.
        """
        device = self._equipment.device(order.device)
        action = ACTIONS.get(device.view.kind, {}).get(order.name)
        if action is None:
            raise UnknownCommand(device.view.kind, order.name, self.names(device.view.kind))
        values, patience_s = _values(action, order), min(order.timeout_s, TIMEOUT_MAX_S)
        with device.owned_by(order.user):
            try:
                async with asyncio.timeout(patience_s) as limit:
                    given = Given(values, tell or _unheard, self._find, take or _taken_by_nobody,
                                  partial(_renew, limit, patience_s))
                    waits = order.wait and action.waits
                    return await device.used(lambda: _until_presented(device, action, given, wait=waits))
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise CommandTimedOut(action.late) from error


def _values(action: Action, order: Order) -> Any:
    if isinstance(order.values, Values):
        return order.values
    try:
        return action.values.model_validate(dict(order.values))
    except ValidationError as error:
        raise BadValues(tuple(".".join(map(str, one["loc"])) for one in error.errors())) from error


def _unheard(_event: Event) -> None: ...


async def _taken_by_nobody(_reading: Reading[Any]) -> None:
    raise AssertionError("whoever gives this command has to take what comes")


def _renew(limit: asyncio.Timeout, patience_s: float) -> None:
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time() + patience_s)


async def _until_presented(device: Device, action: Action, given: Given, *, wait: bool) -> Reading[Any] | None:
    """An empty reader is waited for. A card pulled while it is read ends the command: the next one may be somebody else's."""
    told = not action.hint
    while True:
        hints, taken = device.hints, False
        try:
            async with device.opened() as driver:
                taken = True
                if not told:
                    given.tell(Event("present", action.hint))
                return await action.do(driver, given)
        except CardAbsent:
            if taken or not wait:
                raise
        if not told:
            given.tell(Event("present", action.hint))
            told = True
        await device.hinted(hints)
