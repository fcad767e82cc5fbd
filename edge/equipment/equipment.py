"""All devices of this machine: those of its device list, and those that are found plugged in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from devices.contract import DeviceUnavailable, Driver
from devices.generation import Generation
from edge.equipment.containment import kept_going
from edge.equipment.device import Device, DeviceView
from security.clock import Clock


class NoSuchDevice(DeviceUnavailable):
    """No device of this machine has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"本机没有名为“{name}”的设备。请从设备列表中重新选择。")


@dataclass(frozen=True)
class Wanted:
    """A device to look after: `make` gives a driver on its wire, `background` is what has to run meanwhile. With other
    `settings` it is another device.
    """

    name: str
    kind: str
    make: Callable[[], Driver[Any]] = field(compare=False)
    settings: object = None
    background: Callable[[], Coroutine[None, None, None]] | None = field(default=None, compare=False)
    simulated: bool = False


class DeviceSource(Protocol):
    """Where devices come from: a device list, or what a service finds plugged in."""

    def wanted(self) -> Sequence[Wanted]:
        """All of them, as of now."""
        ...

    async def changed(self, after: int) -> int:
        """Wait until what `wanted` says, or what a probe would see, is another than at `after`; the new number."""
        ...


@dataclass(frozen=True)
class _LookedAfter:
    wanted: Wanted
    device: Device
    tasks: tuple[asyncio.Task[None], ...]


class Equipment:
    """One task a device. `generation` rises with every change of `views`: take it before reading, wait after. One that is
    wanted otherwise, or no longer, while somebody uses it, stays as it is until it is free.

    `noticed` is called with each new view of a device, and misses none.
    """

    def __init__(self, sources: Sequence[DeviceSource], clock: Clock, noticed: Callable[[DeviceView], None]) -> None:
        self._sources = sources
        self._clock = clock
        self._noticed = noticed
        self._wanted: dict[str, Wanted] = {}
        self._looked_after: dict[str, _LookedAfter] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._generation = Generation()

    @property
    def views(self) -> tuple[DeviceView, ...]:
        return tuple(one.device.view for one in self._looked_after.values())

    @property
    def generation(self) -> int:
        return self._generation.number

    async def changed(self, after: int) -> int:
        return await self._generation.above(after)

    def device(self, name: str) -> Device:
        """Raises NoSuchDevice."""
        if name not in self._looked_after:
            raise NoSuchDevice(name)
        return self._looked_after[name].device

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                for source in self._sources:
                    tasks.create_task(self._follow(source))
                await asyncio.Event().wait()
            finally:
                self._tasks = None  # a command that ends now begins nothing

    async def _follow(self, source: DeviceSource) -> None:
        number, mine = 0, dict[str, Wanted]()
        while True:
            wanted = {one.name: one for one in source.wanted()}
            for name in mine.keys() - wanted.keys():
                if self._wanted.get(name) == mine[name]:  # else another source has it by now
                    del self._wanted[name]
                    self._settle(name)
            for one in wanted.values():
                self._wanted[one.name] = one
                self._settle(one.name)
                self._looked_after[one.name].device.look_now()
            mine = wanted
            number = await source.changed(number)

    def _settle(self, name: str) -> None:
        """What is looked after becomes what is wanted, unless somebody uses it."""
        wanted, now = self._wanted.get(name), self._looked_after.get(name)
        if self._tasks is None or (now.wanted if now else None) == wanted or (now and now.device.view.user):
            return
        if now:
            for task in now.tasks:
                task.cancel()
            del self._looked_after[name]
        if wanted:
            self._looked_after[name] = self._begun(wanted, self._tasks)
        self._generation.rise()

    def _begun(self, wanted: Wanted, tasks: asyncio.TaskGroup) -> _LookedAfter:
        device = Device(wanted.name, wanted.kind, wanted.make, self._clock, self._told, simulated=wanted.simulated)
        work = [device.run, *([wanted.background] if wanted.background else [])]
        return _LookedAfter(wanted, device, tuple(
            tasks.create_task(kept_going(wanted.name, one), name=f"device {wanted.name}") for one in work))

    def _told(self, view: DeviceView) -> None:
        self._noticed(view)
        self._generation.rise()
        if not view.user:
            self._settle(view.name)
