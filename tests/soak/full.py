"""A disk that is full for an hour of work, at either side, and is freed then: new work is refused or waits, none is lost.

An hour is as many submissions as a busy counter makes, while the clocks of both sides go that far (invariant 3).
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.soak.check import Broken, Check, wait_until_drained, wait_until_proved
from tests.soak.counter import Counter
from tests.soak.disk import SmallDisk
from tests.soak.native import MovedClock, compiled
from tests.soak.result import Result
from tests.soak.rounds import Campaign, Outcome, Round, Rounds
from tests.soak.world import World

NAME = "full"
BROKE = "a full disk of edge, hub or both for an hour of work, with and without a line; then it is freed"
HOUR_S = 3_600
AN_HOUR = 240  # submissions: one in 15 seconds
PARTS = 12  # of the hour, between which the clocks move
DETAILS_CHARS = 1_500
SIZE_BYTES = 6 * 1024 * 1024
AFTER_S = 45.0
AGAIN_S = 0.2
REPEATS = 3


@dataclass(frozen=True)
class Plan:
    """Whose disk is full, and whether the machine has a line meanwhile."""

    sides: tuple[str, ...]
    line: bool


PLANS = [Plan(sides, line) for sides in (("edge",), ("hub",), ("edge", "hub")) for line in (True, False)]


def run(folder: Path, seed: int, rounds: Rounds) -> Result:
    campaign = Campaign(NAME, BROKE, folder, seed, rounds)
    library = compiled("clock", folder)
    campaign.play(rounds.of(len(PLANS) * REPEATS, seed), lambda one: _round(one, library))
    return campaign.result()


def _round(one: Round, library: Path) -> Outcome:
    plan = PLANS[one.number % len(PLANS)]
    counted: Tally[str] = Tally()
    with ExitStack() as stack:
        disks = {side: stack.enter_context(SmallDisk(one.folder / f"{side}-disk", SIZE_BYTES)) for side in plan.sides}
        world = stack.enter_context(World(one.template, one.folder, one.ports))
        clocks = [MovedClock(library, one.folder / f"{side}.clock") for side in ("edge", "hub")]
        world.with_environment(edge=clocks[0].environment, hub=clocks[1].environment)
        counter, check = Counter(world, details_chars=DETAILS_CHARS), Check(world)
        world.start()
        counter.attempt(10)
        wait_until_drained(world)
        if not plan.line:
            world.hub.stop()
        for disk in disks.values():
            disk.fill()
        _an_hour(counter, clocks, one)
        counted["refused in the hour"] = len(counter.open)
        _judge(plan, world, counter, check)
        _free(disks)
        world.start()
        _served_again(counter)
        wait_until_proved(world)
        check.now(counter.said, drained=True)
        world.stop()
        assert not counter.wrong, counter.wrong[:5]
    return Outcome(check.records, 1, counted)


def _an_hour(counter: Counter, clocks: list[MovedClock], one: Round) -> None:
    for part in range(1, PARTS + 1):
        counter.attempt(AN_HOUR // PARTS)
        time.sleep(one.random.uniform(0.0, 0.2))
        for clock in clocks:
            clock.move(part * HOUR_S / PARTS)


def _judge(plan: Plan, world: World, counter: Counter, check: Check) -> None:
    """At the end of the hour. Raises Broken."""
    if plan.line or "hub" not in plan.sides:  # a full disk takes not even what a reader of a resting WAL has to write
        check.now(counter.said)
    if not world.edge.running or (plan.line and not world.hub.running):
        raise Broken([f"{plan}: a process has ended"])
    if "edge" in plan.sides and not counter.open:
        raise Broken([f"{plan}: nothing was refused: the disk was not full"])
    if "edge" not in plan.sides and counter.open:
        raise Broken([f"{plan}: the machine has refused work although its own disk had room: {dict(counter.refused)}"])
    if unexpected := set(counter.refused) - {"journal-full", "journal-busy"}:
        raise Broken([f"{plan}: refused with {unexpected}"])


def _free(disks: Mapping[str, SmallDisk]) -> None:
    for disk in disks.values():
        disk.free()


def _served_again(counter: Counter) -> None:
    until = time.monotonic() + AFTER_S
    while counter.open:
        counter.again()
        if time.monotonic() > until:
            raise Broken([f"still refused {AFTER_S:.0f} s after the disk was freed: {dict(counter.refused)}"])
        time.sleep(AGAIN_S)
