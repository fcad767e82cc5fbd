"""SIGKILL of edge, hub or both at random moments, while counters submit and a drain goes on (invariants 1, 2, 11)."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

from tests.soak.check import Check, read_books, wait_until_proved
from tests.soak.counter import Counter
from tests.soak.result import Result
from tests.soak.rounds import Campaign, Outcome, Round, Rounds
from tests.soak.world import World, together

NAME = "kill"
BROKE = "SIGKILL of edge, hub or both, while counters submit and a drain goes on"
ROUNDS = 500
GROUP = 20  # rounds in one world: a kill also meets what earlier kills have left
MOMENT_MAX_S = 0.8
VICTIMS = ("edge", "hub", "both")


def run(folder: Path, seed: int, rounds: Rounds) -> Result:
    """One round alone is played with those of its group before it: they are its history."""
    campaign = Campaign(NAME, BROKE, folder, seed, rounds)
    wanted = ROUNDS if rounds.count is None else rounds.count
    begins = range(0, wanted, GROUP) if rounds.only is None else [rounds.only - rounds.only % GROUP]
    last = wanted - 1 if rounds.only is None else rounds.only

    def group(one: Round) -> Outcome:
        return _group(one, seed, min(GROUP, last - one.number + 1))

    campaign.play(list(begins), group, "from")
    if wanted >= GROUP and not campaign.counted("kills in mid-drain"):
        campaign.find("no kill hit a drain: the campaign proved nothing")
    return campaign.result()


def _group(one: Round, seed: int, count: int) -> Outcome:
    in_the_middle = held = 0
    with World(one.template, one.folder, one.ports) as world:
        counter, check = Counter(world, pause_s=0.005), Check(world)
        for number in range(one.number, one.number + count):
            with counter.working():
                world.start()
                _kill(world, Random(f"{seed}:{NAME}:{number}"))
            before, (held, head) = held, _standing(world)
            in_the_middle += before < held < head
            check.now(counter.said)
        world.start()
        counter.submit(1)
        wait_until_proved(world)
        check.now(counter.said, drained=True)
        world.stop()
        assert not counter.wrong, counter.wrong[:5]
    return Outcome(check.records, count, {"kills in mid-drain": in_the_middle, "acknowledged": len(counter.said)})


def _kill(world: World, random: Random) -> None:
    victim = random.choice(VICTIMS)
    time.sleep(random.uniform(0.0, MOMENT_MAX_S))
    together([service.kill for service, name in ((world.edge, "edge"), (world.hub, "hub")) if victim in (name, "both")])


def _standing(world: World) -> tuple[int, int]:
    """What the machine knows to be held by the hub, and its own head."""
    books = read_books(world.journal_db, b"")
    return books.acknowledged, books.head[0]
