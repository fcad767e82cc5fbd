"""Every message between edge and hub lost before it arrived, lost after it was stored, or doubled: each in turn.

Both processes go on; the edge has to find its way back by itself (invariant 2).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.soak.between import Between, CutHere, Raw, Write
from tests.soak.check import Check, wait_until_drained, wait_until_proved
from tests.soak.counter import Counter
from tests.soak.result import Result
from tests.soak.rounds import Campaign, Outcome, Round, Rounds
from tests.soak.world import World

NAME = "messages"
BROKE = "each replication message and each acknowledgement lost before or after it was stored, or doubled"
SUBMISSIONS = 60
WAYS = ("up", "down")
FATES = ("cut-before", "cut-after", "double")
MESSAGES_MAX = 14  # of one way; a session of so many submissions has ten to thirteen
HIT_MIN = 0.6
STORED_S = 0.03  # what the hub has got by then is committed


@dataclass
class Fate:
    """The fate of one message."""

    way: str
    number: int
    fate: str
    hit: bool = False

    async def up(self, number: int, message: Raw, write: Write) -> None:
        await self._pass("up", number, message, write)

    async def down(self, number: int, message: Raw, write: Write) -> None:
        await self._pass("down", number, message, write)

    async def _pass(self, way: str, number: int, message: Raw, write: Write) -> None:
        if self.hit or (way, number) != (self.way, self.number):
            await write(message)
            return
        self.hit = True
        if self.fate != "cut-before":
            await write(message)
        if self.fate == "double":
            await write(message)
        elif self.fate == "cut-after":
            await asyncio.sleep(STORED_S)
        if self.fate != "double":
            raise CutHere(f"{way} {number}, {self.fate}")


class Cut:
    """No stream gets anywhere."""

    async def up(self, number: int, message: Raw, write: Write) -> None:
        raise CutHere("no line")

    down = up


def run(folder: Path, seed: int, rounds: Rounds) -> Result:
    campaign = Campaign(NAME, BROKE, folder, seed, rounds)
    plans = [(way, number, fate) for number in range(MESSAGES_MAX) for way in WAYS for fate in FATES]

    def message(one: Round) -> Outcome:
        """All that may happen to messages of one number, in one world."""
        return _world(one, [plans[number] for number in chosen if plans[number][1] == one.number])

    chosen = rounds.of(len(plans), seed)
    campaign.play(sorted({plans[number][1] for number in chosen}), message, "message")
    if len(chosen) == len(plans) and campaign.counted("rounds that met their message") < HIT_MIN * len(plans):
        campaign.find("too few messages were hit: the campaign proved too little")
    return campaign.result()


def _world(one: Round, plans: list[tuple[str, int, str]]) -> Outcome:
    hit = 0
    with World(one.template, one.folder, one.ports) as world:
        counter, check = Counter(world), Check(world)
        world.hub.start()
        world.connect_edge_to(one.ports.between)
        with Between(world, one.ports.between) as between:
            world.edge.start()
            for plan in plans:
                hit += _round(world, between, counter, Fate(*plan))
                check.now(counter.said, drained=True)
            wait_until_proved(world)
            check.now(counter.said, drained=True)
            world.stop()
        assert not counter.wrong, counter.wrong[:5]
    return Outcome(check.records, len(plans), {"rounds that met their message": hit, "acknowledged": len(counter.said)})


def _round(world: World, between: Between, counter: Counter, fate: Fate) -> bool:
    """A queue without a line; then the line with this fate on it. Returns whether a message met it."""
    between.begin(Cut())
    between.cut()
    counter.submit(SUBMISSIONS)
    between.begin(fate)
    wait_until_drained(world)
    return fate.hit
