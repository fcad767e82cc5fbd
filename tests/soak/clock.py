"""The clock of edge or hub jumps by minutes, days or years, before it starts or while it works (invariant 10).

Whatever the clock says, the counter goes on; and once the clock is right again, everything is delivered without a visit.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.line import Line
from tests.soak.check import Broken, Check, drained, wait_for_line, wait_until_drained
from tests.soak.counter import Counter
from tests.soak.native import MovedClock, compiled
from tests.soak.result import Result
from tests.soak.rounds import Campaign, Outcome, Round, Rounds
from tests.soak.world import World

NAME = "clock"
BROKE = "the clock of edge or hub, by minutes, days and years, both ways, before and after its start"
MINUTE_S, DAY_S, YEAR_S = 60, 86_400, 365 * 86_400
JUMPS_S = {"5 minutes": 5 * MINUTE_S, "3 days": 3 * DAY_S, "40 days": 40 * DAY_S, "2 years": 2 * YEAR_S, "12 years": 12 * YEAR_S}
TO_1970_S = 3_600 - time.time()  # a PC without a battery, an hour after it was switched on
SUBMISSIONS = 5
WRONG_S = 3.0
SERVED_MAX_S = 20.0
HEALS_MAX_S = 60.0


@dataclass(frozen=True)
class Jump:
    """Of one side's clock, before its start or in its work."""

    side: str
    name: str
    seconds: float
    before: bool


JUMPS = [Jump(side, name, seconds, before) for side in ("edge", "hub") for before in (True, False)
         for name, seconds in [*((f"{sign}{name}", float(f"{sign}{seconds}")) for name, seconds in JUMPS_S.items()
                                 for sign in "+-"), ("to 1970", TO_1970_S)]]


def run(folder: Path, seed: int, rounds: Rounds) -> Result:
    campaign = Campaign(NAME, BROKE, folder, seed, rounds)
    library = compiled("clock", folder)
    campaign.play(rounds.of(len(JUMPS), seed), lambda one: _round(one, library))
    return campaign.result()


def _round(one: Round, library: Path) -> Outcome:
    jump = JUMPS[one.number]
    counted: Tally[str] = Tally()
    with World(one.template, one.folder, one.ports) as world:
        counter, check = Counter(world), Check(world)
        check.alarms_allowed = frozenset({"authority-ends"} if jump.side == "hub" else ())  # years ahead it is so
        clocks = {side: MovedClock(library, one.folder / f"{side}.clock") for side in ("edge", "hub")}
        world.with_environment(hub=clocks["hub"].environment, edge=clocks["edge"].environment)
        line = Line(one.ports.work)
        world.connect_edge_to(line.port)
        if not jump.before:
            world.start()
            counter.submit(SUBMISSIONS)
            wait_for_line(world)
        clocks[jump.side].move(jump.seconds)
        world.start()
        _anew(line)
        if counter.submit(SUBMISSIONS, SERVED_MAX_S) < SUBMISSIONS:
            raise Broken([f"{jump}: the counter was not served: {dict(counter.refused)}"])
        time.sleep(WRONG_S)
        counted["delivered while the clock was wrong"] += drained(world)
        check.now(counter.said)
        clocks[jump.side].move(0)
        _heals(world, jump)
        counter.submit(SUBMISSIONS)
        wait_until_drained(world)
        check.now(counter.said, drained=True)
        world.stop()
        line.cut()
    return Outcome(check.records, 1, counted)


def _anew(line: Line) -> None:
    """Connections are made again, under the clock that is now."""
    line.cut()
    line.restore()


def _heals(world: World, jump: Jump) -> None:
    """The clock is right again; nobody comes and starts anything. Raises Broken."""
    try:
        wait_until_drained(world, HEALS_MAX_S)
    except Broken as error:
        world.stop()
        world.start()
        try:
            wait_until_drained(world, HEALS_MAX_S)
        except Broken:
            raise Broken([f"{jump}: not healed {HEALS_MAX_S:.0f} s after the clock was set, nor by a restart"]) from error
        raise Broken([f"{jump}: healed by a restart only"]) from error
