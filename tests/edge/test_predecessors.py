"""The journals before this one are looked after at each hello of the hub: it may have come back from a backup."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from edge import predecessors
from edge.alarms import Alarms
from edge.carry import Ask, Carrier, EarlierJournalUnreadable
from edge.line import HubRefused, Line, LineLost
from edge.predecessors import Predecessors
from edge.settlement import Held
from edge.state import IdentityFolder, StateFolder
from edge.succession import begin, read_succession
from hub.backup import back_up
from security.record import CarriedRecord, parse_record
from tests.edge.machine import enrolled, fill, journal_of
from tests.spine import CEILING_S, HandClock
from tests.station import Station


class Carrying(Carrier):
    """Stands in for the carrier of one journal, with what each look back meets."""

    def __init__(self, *meets: Exception | None) -> None:
        self.meets = list(meets)
        self.looks = 0

    async def carry_over(self, ask: Ask) -> None:
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


def test_the_hub_is_asked_once_for_each_hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predecessors, "RETRY_S", 0.01)

    async def scenario() -> None:
        line, carrier = Line("replicate", HandClock(), Random(1)), Carrying(LineLost("away"), HubRefused("no"), OSError("disk"))
        running = asyncio.create_task(Predecessors([carrier], _ask, line, Alarms(tmp_path, HandClock())).run())
        await _until(lambda: carrier.looks == 4)  # until it is answered
        await asyncio.sleep(0.05)
        assert carrier.looks == 4
        for looks in (5, 6):
            line.connected()
            await _until(lambda looks=looks: carrier.looks == looks)
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(scenario())


def test_a_machine_without_a_journal_before_this_one_asks_nothing(tmp_path: Path) -> None:
    asyncio.run(Predecessors([], _ask, Line("replicate", HandClock(), Random(1)), Alarms(tmp_path, HandClock())).run())


def _positions(payloads: Sequence[bytes], journal: UUID) -> list[int]:
    """Of that journal's records, as they were carried."""
    carried = [parse_record(one.payload) for one in (parse_record(payload).content for payload in payloads)
               if isinstance(one, CarriedRecord)]
    return [one.position for one in carried if one.journal == journal]


def test_a_journal_that_is_gone_is_named_and_the_one_behind_it_is_carried(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 3."""
    monkeypatch.setattr(predecessors, "RETRY_S", 0.01)
    state = enrolled(tmp_path / "edge")
    fill(state, 1)
    folders: list[IdentityFolder] = [state]
    for records in (2, 0):
        folders.append(begin(state, "a damaged page"))
        Held(0, 0, []).save(folders[-1].business)
        if records:
            fill(StateFolder(folders[-1].root), records)
    gone = state.business.db.rename(tmp_path / "elsewhere")
    alarms = Alarms(state.alarms, HandClock())

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S), journal_of(StateFolder(folders[2].root)) as journal:
            carriers = [Carrier(old.business, new.business, read_succession(old, new), journal) for old, new in pairwise(folders)]
            line = Line("replicate", HandClock(), Random(1))
            running = asyncio.create_task(Predecessors(carriers, _ask, line, alarms).run())
            await _until(folders[2].business.carried.exists)
            [alarm] = alarms.open_alarms()
            assert alarm.kind == "earlier-journal"
            assert str(state.business.db) in alarm.text
            assert "from a copy" in alarm.text
            assert not folders[1].business.carried.exists()
            alarms.clear("earlier-journal")
            await asyncio.sleep(0.1)
            assert alarms.open_alarms() == (), "who cleared it knows it"
            gone.rename(state.business.db)
            await _until(folders[1].business.carried.exists)
            running.cancel()
            await asyncio.wait([running])
            payloads = (await journal.after(0, 1000, 10**7)).payloads
        assert _positions(payloads, read_succession(*folders[1:]).journals["business"].journal) == [1, 2, 3]
        assert _positions(payloads, read_succession(*folders[:2]).journals["business"].journal) == [1, 2]

    asyncio.run(scenario())


def test_behind_a_journal_that_is_gone_the_hub_is_asked_after_the_others_all_the_same(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predecessors, "RETRY_S", 0.01)

    async def scenario() -> None:
        alarms, line = Alarms(tmp_path / "alarms", HandClock()), Line("replicate", HandClock(), Random(1))
        lacking, behind = Carrying(*[EarlierJournalUnreadable("gone")] * 3), Carrying()
        running = asyncio.create_task(Predecessors([lacking, behind], _ask, line, alarms).run())
        await _until(lambda: behind.looks == 4)
        assert [one.text for one in alarms.open_alarms()] == ["gone"]
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(scenario())


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
