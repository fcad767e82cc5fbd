"""A hub that lies, in each way that we know: no record is lost by it, the counter goes on, and people are told."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.soak.between import Between, Honest
from tests.soak.check import Broken, Check, wait_until_proved
from tests.soak.counter import Counter
from tests.soak.lies import LIES, Liar, Lie
from tests.soak.memory import anonymous_kb
from tests.soak.messages import Cut
from tests.soak.result import Result
from tests.soak.rounds import Campaign, Outcome, Round, Rounds
from tests.soak.succession import approve, begun, wait_until_carried
from tests.soak.world import World

NAME = "nonsense"
BROKE = "a hub that lies: positions, digests, times, receipts, checkpoints, refusals, endless streams, silence"
SUBMISSIONS = 6
TOLD_MAX_S = 60.0  # what ends a journal is said again before it does
LISTENS_S = 2.0
POLL_S = 0.1
SERVED_MAX_S = 20.0
GROWTH_MAX_KB = 48 * 1024


def run(folder: Path, seed: int, rounds: Rounds) -> Result:
    campaign = Campaign(NAME, BROKE, folder, seed, rounds)
    campaign.play(rounds.of(len(LIES), seed), _round)
    return campaign.result()


def _round(one: Round) -> Outcome:
    lie = LIES[one.number]
    with World(one.template, one.folder, one.ports) as world:
        counter, check = Counter(world), Check(world)
        check.alarms_expected = lie.alarms
        world.hub.start()
        world.connect_edge_to(one.ports.between)
        with Between(world, one.ports.between) as between:
            world.edge.start()
            counter.submit(SUBMISSIONS)
            wait_until_proved(world)
            _listen(world, between, counter, lie)
            if not lie.stops:
                check.now(counter.said)
            between.begin(Honest())
            between.cut()
            if lie.stops:
                approve(world)
            elif _line(world) == "refused":  # it tries again in a minute, this comes first
                world.edge.stop()
                world.edge.start()
            counter.submit(SUBMISSIONS)
            if lie.stops:
                wait_until_carried(world, counter.said)
            else:
                wait_until_proved(world)
                check.now(counter.said, drained=True)
            world.stop()
    return Outcome(check.records, 1, {"lies that ended a journal; its successor was approved": int(lie.stops)})


def _listen(world: World, between: Between, counter: Counter, lie: Lie) -> None:
    """A queue, and then a hub that lies about it. Raises Broken."""
    before = anonymous_kb(world.edge.pid)
    between.begin(Cut())
    between.cut()
    counter.submit(SUBMISSIONS)
    liar = Liar(lie)
    between.begin(liar, lie.method)
    between.cut()

    def provoked(condition: Callable[[], bool]) -> bool:
        counter.submit(1, SERVED_MAX_S)
        return condition()

    _until(lambda: provoked(lambda: liar.told > 0), f"{lie.name}: it was never told")
    if lie.noticed and not lie.stops:
        _until(lambda: _line(world) not in ("connected", "connecting"), f"{lie.name}: the line shows nothing wrong")
    if lie.stops:
        _until(lambda: begun(world), f"{lie.name}: the machine did not begin anew")
    if lie.alarms:
        _until(lambda: provoked(lambda: bool(list(world.edge_state.glob("alarms/*.json")))), f"{lie.name}: nobody was alarmed")
    time.sleep(LISTENS_S)
    if not world.edge.running:
        raise Broken([f"{lie.name}: the edge has ended"])
    if not counter.submit(1, SERVED_MAX_S):
        raise Broken([f"{lie.name}: the counter is not served: {dict(counter.refused)}"])
    grown = anonymous_kb(world.edge.pid) - before
    if grown > GROWTH_MAX_KB:
        raise Broken([f"{lie.name}: the edge has grown by {grown // 1024} MB"])


def _line(world: World) -> str:
    return str(world.caller().call("GET", "/v1/state")[1]["line"]["state"])


def _until(condition: Callable[[], bool], text: str) -> None:
    until = time.monotonic() + TOLD_MAX_S
    while not condition():
        if time.monotonic() > until:
            raise Broken([text])
        time.sleep(POLL_S)
