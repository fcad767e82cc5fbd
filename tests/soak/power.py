"""The power of edge, hub or both is cut: the writers stand still, and what had reached their disks is all that is left.

Only what was acknowledged before counts (invariant 1). The same with synchronous=NORMAL must lose some of it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

from deploy.demo.processes import CHECKOUT, Service
from tests.soak.check import Broken, Check, wait_for_line, wait_until_proved
from tests.soak.counter import Counter, Said
from tests.soak.disk import Disk
from tests.soak.result import Result
from tests.soak.rounds import Campaign, Outcome, Round, Rounds
from tests.soak.world import World, together

NAME = "power"
BROKE = "power of edge, hub or both, on file systems of their own"
ROUNDS = 50
CONTROLS = 6
MOMENT_S = (0.0, 0.6)
STOP_MAX_S = 60.0
VICTIMS = ("edge", "hub", "both")
NORMAL = {"PYTHONPATH": f"{Path(__file__).with_name('normal')}:{CHECKOUT}"}


def run(folder: Path, seed: int, rounds: Rounds) -> Result:
    campaign = Campaign(NAME, BROKE, folder, seed, rounds)
    campaign.play(rounds.of(ROUNDS, seed), _round)
    if rounds.only is None:
        lost: dict[str, list[tuple[int, int]]] = {"edge": [], "hub": []}
        numbers = range(min(CONTROLS, 2 * (rounds.count or CONTROLS)))
        campaign.play(numbers, lambda one: _control(one, lost), "control")
        for side, controls in lost.items():
            campaign.note(_verdict(campaign, side, controls))
    return campaign.result()


def _round(one: Round) -> Outcome:
    victim = one.random.choice(VICTIMS)
    with ExitStack() as stack:
        disks = {name: stack.enter_context(Disk(one.folder / f"{name}.image", one.folder / f"{name}-disk"))
                 for name in ("edge", "hub")}
        world = stack.enter_context(World(one.template, one.folder, one.ports))
        counter, check = Counter(world), Check(world)
        for disk in disks.values():
            disk.settle()
        with counter.working():
            world.start()
            said = _cut(world, disks, victim, counter, one.random)
            check.now(said)
            world.start()
        counter.submit(1)
        wait_until_proved(world)
        check.now(counter.said, drained=True)
        world.stop()
        assert not counter.wrong, counter.wrong[:5]
    return Outcome(check.records, 1, {"acknowledged before the cut": len(said)})


def _cut(world: World, disks: dict[str, Disk], victim: str, counter: Counter, random: Random) -> list[Said]:
    """Returns what was acknowledged before it."""
    wait_for_line(world)
    time.sleep(random.uniform(*MOMENT_S))
    names = ["edge", "hub"] if victim == "both" else [victim]
    services = {"edge": world.edge, "hub": world.hub}
    for name in names:
        stand_still(services[name])
    said = list(counter.said)
    contents = {name: disks[name].contents() for name in names}
    together([services[name].kill for name in names])
    for name in names:
        disks[name].come_back_with(contents[name])
    return said


def stand_still(service: Service) -> None:
    """SIGSTOP, and wait until no thread runs any more; one that waits for its disk will not come back from there."""
    os.kill(service.pid, signal.SIGSTOP)
    until = time.monotonic() + STOP_MAX_S
    while set(_states(service.pid)) - {"T", "D"}:
        assert time.monotonic() < until, "it does not stand still"
        time.sleep(0.001)


def _states(pid: int) -> Sequence[str]:
    tasks = Path(f"/proc/{pid}/task")
    return [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()]


def _control(one: Round, lost: dict[str, list[tuple[int, int]]]) -> Outcome:
    """The same without the fsync of each commit. Broken is what is wanted here: so many of so many are noted as lost."""
    side = ("edge", "hub")[one.number % 2]
    with ExitStack() as stack:
        disks = {side: stack.enter_context(Disk(one.folder / f"{side}.image", one.folder / f"{side}-disk"))}
        world = stack.enter_context(World(one.template, one.folder, one.ports))
        counter, check = Counter(world), Check(world)
        disks[side].settle()
        world.with_environment(**{side: NORMAL})
        with counter.working():
            world.start()
            said = _cut(world, disks, side, counter, one.random)
        try:
            check.now(said)
        except Broken as broken:
            lost[side].append((len(broken.lost), len(said)) if side == "edge" else (broken.unkept, broken.acknowledged))
    return Outcome(0, 0)


def _verdict(campaign: Campaign, side: str, controls: list[tuple[int, int]]) -> str:
    lost, of = (sum(numbers) for numbers in zip((0, 0), *controls, strict=True))
    if not lost:
        campaign.find(f"synchronous=NORMAL lost nothing at the {side}: this campaign would not see a lost commit")
    return f"negative control, synchronous=NORMAL at the {side}: lost {lost:,} of {of:,}, as it must"
