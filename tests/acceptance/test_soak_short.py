"""A few rounds of each campaign, so that its tools cannot rot. `make soak` plays all of them (docs/soak.md)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import ModuleType

import pytest

from edge.state import StateFolder
from edge.succession import begin
from tests.soak import clock, faults, kill, messages, nonsense, power
from tests.soak.between import HELD, Between, Honest
from tests.soak.check import wait_until_proved
from tests.soak.counter import Counter
from tests.soak.rounds import Rounds
from tests.soak.succession import approve
from tests.soak.world import Ports, Template, World
from tests.spine import CEILING_S

SEED = 20_261_121


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    template = Template(tmp_path_factory.mktemp("template") / "soak")
    template.make()
    return template


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("campaign", "rounds"), [(kill, 3), (messages, 3), (faults, 4), (clock, 2), (nonsense, 2)])
def test_a_few_rounds_of_a_campaign_find_nothing(tmp_path: Path, template: Template, campaign: ModuleType, rounds: int) -> None:
    result = campaign.run(tmp_path, SEED, Rounds(rounds, template=template))
    assert list(result.findings) == []
    assert result.rounds == rounds
    assert result.records > 0


@pytest.mark.timeout(300)
def test_a_power_cut_loses_nothing_and_the_control_with_another_durability_does(tmp_path: Path, template: Template) -> None:
    """Invariant 1. With synchronous=NORMAL what was acknowledged is gone: the campaign would see it."""
    if os.geteuid() != 0:
        pytest.skip("a file system on a loop device needs root")
    if not Path("/dev/loop-control").exists():  # no package brings it
        pytest.skip("this kernel gives no loop devices: modprobe loop, or a container that may have them")
    result = power.run(tmp_path, SEED, Rounds(1, template=template))
    assert list(result.findings) == []
    assert len([note for note in result.notes if "as it must" in note]) == 2


@pytest.mark.timeout(300)
def test_through_the_campaigns_line_a_machine_hears_what_the_hub_holds_of_its_earlier_journal(
        tmp_path: Path, template: Template) -> None:
    """Else no campaign would see what it makes of a hub that was restored."""
    ports = Ports.free()
    with World(template, tmp_path, ports) as world, Between(world, ports.between) as between:
        world.connect_edge_to(ports.between)
        world.start()
        Counter(world).submit(3)
        wait_until_proved(world)
        world.edge.stop()
        begin(StateFolder(world.edge_state), "a damaged page")
        between.begin(Honest(), HELD)
        world.edge.start()
        approve(world)
        until = time.monotonic() + CEILING_S
        while not between.counts["up"] == between.counts["down"] > 0 and time.monotonic() < until:
            time.sleep(0.1)
        assert between.counts["up"] == between.counts["down"] > 0
        world.stop()
