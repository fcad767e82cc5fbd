"""Card readers that a device list names by their serials: the name is of that reader, wherever it is plugged in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from devices.contract import DeviceIdentity, DeviceState, DeviceUnavailable, Reading
from devices.simulated.card import CardText
from devices.simulated.serials import made_up
from devices.simulated.wire import MODEL, SimulatedReaders
from devices.social_card import NOT_THIS_ONE, SocialCardDriver
from edge.equipment import card_source
from edge.equipment.card_source import CardReaderSource
from edge.equipment.commands import Commands, Order
from edge.equipment.device import DeviceView
from edge.equipment.equipment import Equipment
from tests.spine import CEILING_S, HandClock

OWN = made_up("R1")
CARD = CardText(name="王秀英")


@dataclass
class Office:
    readers: SimulatedReaders
    equipment: Equipment
    commands: Commands
    names: dict[str, str]
    noticed: list[DeviceView] = field(default_factory=list)

    @property
    def devices(self) -> dict[str, tuple[DeviceState, str]]:
        return {view.name: (view.status.state, view.status.identity.serial if view.status.identity else "")
                for view in self.equipment.views}

    async def until(self, devices: dict[str, tuple[DeviceState, str]]) -> None:
        """Until these are all, and it stays so."""
        while self.devices != devices:
            generation = self.equipment.generation
            if self.devices != devices:
                await self.equipment.changed(generation)

    async def read(self, name: str) -> Reading[Any]:
        return await self.commands.run(Order(name, "read", "窗口1", CEILING_S, wait=False))


def at(act: Callable[[Office], Awaitable[None]], monkeypatch: pytest.MonkeyPatch, names: dict[str, str]) -> None:
    monkeypatch.setattr(card_source, "LOOK_S", 0.02)

    async def come() -> None:
        async with asyncio.timeout(CEILING_S), SimulatedReaders(readers=("R1",)) as readers:
            noticed: list[DeviceView] = []
            equipment = Equipment([CardReaderSource(readers, lambda: dict(names), simulated=True)], HandClock(), noticed.append)
            running = asyncio.create_task(equipment.run())
            try:
                await act(Office(readers, equipment, Commands(equipment, lambda reading: None), names, noticed))
            finally:
                running.cancel()
                await asyncio.wait([running])

    asyncio.run(come())


HERE, AWAY = DeviceState.ONLINE, DeviceState.NO_DEVICE


def test_another_reader_in_its_place_is_not_the_named_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(office: Office) -> None:
        await office.until({"card-1": (HERE, OWN)})
        office.readers.unplug("R1")
        await office.until({"card-1": (AWAY, "")})
        office.readers.plug("R1", "OTHER1")
        office.readers.insert("R1", CARD)
        await office.until({"card-1": (AWAY, ""), "R1": (HERE, "OTHER1")})
        with pytest.raises(DeviceUnavailable):
            await office.read("card-1")
        assert (await office.read("R1")).serial == "OTHER1"
        assert not [view for view in office.noticed if view.name == "card-1" and
                    view.status.identity and view.status.identity.serial != OWN]

    at(act, monkeypatch, {OWN: "card-1"})


def test_the_named_reader_keeps_its_name_wherever_it_is_plugged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(office: Office) -> None:
        office.readers.unplug("R1")
        office.readers.plug("R2", OWN)
        office.readers.insert("R2", CARD)
        await office.until({"card-1": (HERE, OWN)})
        reading = await office.read("card-1")
        assert (reading.device, reading.serial) == ("card-1", OWN)

    at(act, monkeypatch, {OWN: "card-1"})


def test_a_list_that_changes_renames_a_reader_by_itself_and_leaves_no_other_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(office: Office) -> None:
        await office.until({"R1": (HERE, OWN)})
        for name in ("card-1", "card-2"):
            office.names[OWN] = name
            await office.until({name: (HERE, OWN)})
        office.names.clear()
        await office.until({"R1": (HERE, OWN)})

    at(act, monkeypatch, {})


def test_a_reader_without_a_name_is_one_device_wherever_it_is_plugged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(office: Office) -> None:
        await office.until({"R1": (HERE, OWN)})
        office.readers.unplug("R1")
        await office.until({"R1": (AWAY, "")})
        office.readers.plug("R2", OWN)
        await office.until({"R2": (HERE, OWN)})

    at(act, monkeypatch, {})


def test_two_readers_that_say_the_same_serial_have_the_name_of_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(office: Office) -> None:
        office.readers.plug("R2", OWN)
        await office.until({"card-1": (AWAY, ""), "R1": (HERE, OWN), "R2": (HERE, OWN)})

    at(act, monkeypatch, {OWN: "card-1"})


def test_two_slots_of_one_reader_are_not_two_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(office: Office) -> None:
        office.readers.unplug("R1")
        office.readers.plug("Dual 00 01", OWN)
        office.readers.plug("Dual 00 00", OWN)
        await office.until({"card-1": (HERE, OWN), "Dual 00 01": (HERE, OWN)})

    at(act, monkeypatch, {OWN: "card-1"})


def test_a_swap_that_nobody_saw_shows_when_the_card_is_taken() -> None:
    """The name and what was known of it are as before; the reader that holds the card says who it is."""

    async def come() -> None:
        async with asyncio.timeout(CEILING_S), SimulatedReaders(readers=("R1",)) as readers:
            driver = SocialCardDriver(readers, "R1", serial=OWN)
            assert (await driver.probe()).identity == DeviceIdentity(MODEL, OWN)
            readers._readers["R1"].serial = "OTHER1"
            readers.insert("R1", CARD)
            with pytest.raises(DeviceUnavailable, match=NOT_THIS_ONE):
                async with driver:
                    raise AssertionError
            async with readers.card("R1"):
                pass  # it was let go

    asyncio.run(come())
