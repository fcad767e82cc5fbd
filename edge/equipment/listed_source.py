"""The devices of the device list, each by the driver of its kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from devices.contract import Driver
from devices.discovery import Discovery
from edge.equipment.containment import DriverFailed
from edge.equipment.device_list import CardReader, Inventory, ListedDevice
from edge.equipment.equipment import Wanted

LOOK_S = 2.0  # at the device list, which the hub may change

log = structlog.get_logger()


class ListedSource:
    """`devices` gives the list as it is now. What udev sees plugged or unplugged is looked at at once."""

    def __init__(self, devices: Callable[[], Sequence[ListedDevice]], discovery: Discovery, *, simulated: bool) -> None:
        self._devices = devices
        self._discovery = discovery
        self._simulated = simulated
        self._made: dict[ListedDevice, Wanted] = {}
        self._generation = 0
        self._change = asyncio.Event()

    def wanted(self) -> Sequence[Wanted]:
        """See `DeviceSource.wanted`. Card readers are found by PC/SC; what has no line to this machine is none of ours."""
        listed = [one for one in self._devices() if not isinstance(one, CardReader | Inventory)]
        self._made = {one: self._made.get(one) or self._new(one) for one in listed}
        return list(self._made.values())

    def _new(self, one: ListedDevice) -> Wanted:
        from edge.equipment.makers import wanted_of  # noqa: PLC0415 - an agent without such devices does not load their libraries

        try:
            return wanted_of(one, self._discovery, self.told, simulated=self._simulated)
        except Exception:  # the outermost edge of one device: what cannot be made takes no other down
            log.exception("driver failed", device=one.name, kind=one.kind, next="report it with this log")
            return Wanted(one.name, one.kind, _unmade, one, simulated=self._simulated)

    def told(self) -> None:
        """One of them has changed by itself."""
        self._generation += 1
        change, self._change = self._change, asyncio.Event()
        change.set()

    async def changed(self, after: int) -> int:
        """See `DeviceSource.changed`."""
        plugged, listed = self._discovery.generation, self._devices()
        while self._generation <= after and self._discovery.generation == plugged and self._devices() == listed:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._any_change(plugged)
        if self._generation <= after:
            self.told()
        return self._generation

    async def _any_change(self, plugged: int) -> None:
        waiting = [asyncio.ensure_future(self._change.wait()), asyncio.ensure_future(self._discovery.changed(plugged))]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()


def _unmade() -> Driver[Any]:
    raise DriverFailed
