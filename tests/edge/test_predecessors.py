"""The journals before this one are looked after at each hello of the hub: it may have come back from a backup."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from edge import predecessors
from edge.carry import Ask, Carrier
from edge.line import HubRefused, Line, LineLost
from edge.predecessors import Predecessors
from edge.succession import begin
from hub.backup import back_up
from tests.spine import CEILING_S, HandClock
from tests.station import Station


class Carrying(Carrier):
    """Stands in for the carrier of one journal, with what each look back meets."""

    def __init__(self, *meets: Exception | None) -> None:
        self.meets = list(meets)
        self.looks = 0

    async def run(self, ask: Ask) -> None:
        pass

    async def look_back(self, ask: Ask) -> None:
        self.looks += 1
        if error := self.meets.pop(0) if self.meets else None:
            raise error


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(CEILING_S):
        while not condition():
            await asyncio.sleep(0.01)


async def _ask(*_: object) -> tuple[int, bool]:
    raise AssertionError


def test_the_hub_is_asked_once_for_each_hello(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predecessors, "RETRY_S", 0.01)

    async def scenario() -> None:
        line, carrier = Line("replicate", HandClock(), Random(1)), Carrying(LineLost("away"), HubRefused("no"), OSError("disk"))
        running = asyncio.create_task(Predecessors([carrier], _ask, line).run())
        await _until(lambda: carrier.looks == 4)  # until it is answered
        await asyncio.sleep(0.05)
        assert carrier.looks == 4
        for looks in (5, 6):
            line.connected()
            await _until(lambda looks=looks: carrier.looks == looks)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(scenario())


def test_a_machine_without_a_journal_before_this_one_asks_nothing() -> None:
    asyncio.run(Predecessors([], _ask, Line("replicate", HandClock(), Random(1))).run())


def test_what_a_restored_hub_lacks_of_a_journal_that_has_ended_shows_again(tmp_path: Path) -> None:
    """Invariant 3: all of it had been delivered and acknowledged, and the machine's uplink serves the journal behind it."""
    station, backup = Station(tmp_path), tmp_path / "backup.db"
    station.say("a1", deliver=True)
    back_up(station.hub_db, backup)
    station.say("b1", "b2", deliver=True)
    station.say("c1")
    successor = begin(station.state, "a damaged page")
    station.rejoin(successor)
    assert station.shown() == [2, 4, 5, 7]
    station.restore(backup)
    station.rejoin(successor)  # somebody lets it in once more
    assert station.shown() == [2, 4, 5, 7]
    station.check_ledger()
