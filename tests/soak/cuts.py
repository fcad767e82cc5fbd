"""Two thousand cuts of the line, with work in between: neither edge nor hub may grow by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deploy.demo.line import Line
from tests.soak.check import Broken, Check, wait_until_delivered, wait_until_drained
from tests.soak.counter import Counter
from tests.soak.memory import anonymous_kb, slope, step
from tests.soak.result import Result
from tests.soak.rounds import Campaign, Outcome, Round, Rounds
from tests.soak.world import World

NAME = "cuts"
BROKE = "the line, again and again, with work in between"
CUTS = 2_000
SAMPLE_EVERY = 5
GROWTH_MAX_KB = 1.0  # a cut, over the second half
CHECK_EVERY = 100
TOLD_EVERY = 250


def run(folder: Path, seed: int, rounds: Rounds) -> Result:
    """One world; `--rounds` cuts less often."""
    campaign = Campaign(NAME, BROKE, folder, seed, replace(rounds, jobs=1))
    cuts = CUTS if rounds.count is None else rounds.count
    samples: dict[str, list[tuple[float, float]]] = {"edge": [], "hub": []}
    campaign.play([0], lambda one: _cuts(one, cuts, samples))
    for side, taken in samples.items():
        half = [sample for sample in taken if sample[0] >= cuts / 2]
        slopes = slope(half), step(half)
        campaign.note(f"{side}: {slopes[0]:+.2f} KB a cut by least squares, {slopes[1]:+.2f} by medians, over the last "
                      f"{cuts // 2:,}; {half[-1][1] / 1024:.0f} MB in the end")
        if min(slopes) > GROWTH_MAX_KB:  # both: a burst moves one of them
            campaign.find(f"{side} grows by {slopes[0]:.2f} KB a cut (medians: {slopes[1]:.2f})")
    return campaign.result()


def _cuts(one: Round, cuts: int, samples: dict[str, list[tuple[float, float]]]) -> Outcome:
    with World(one.template, one.folder, one.ports) as world:
        counter, check, line = Counter(world), Check(world), Line(one.ports.work)
        world.connect_edge_to(line.port)
        world.start()
        for number in range(1, cuts + 1):
            line.cut()
            counter.submit(1)
            line.restore()
            wait_until_delivered(world)
            if number % SAMPLE_EVERY == 0:
                for side, service in (("edge", world.edge), ("hub", world.hub)):
                    samples[side].append((number, anonymous_kb(service.pid)))
            if number % CHECK_EVERY == 0:
                wait_until_drained(world)
                check.now(counter.said, drained=True)
            if number % TOLD_EVERY == 0:
                print(f"  {number} cuts: edge {samples['edge'][-1][1] / 1024:.1f} MB, "
                      f"hub {samples['hub'][-1][1] / 1024:.1f} MB", flush=True)
        world.stop()
        line.cut()
        if counter.wrong:
            raise Broken(counter.wrong)
    return Outcome(check.records, cuts)
