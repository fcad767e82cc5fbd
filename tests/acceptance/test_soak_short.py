"""A few rounds of each campaign, so that its tools cannot rot. `make soak` plays all of them (docs/soak.md)."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from tests.soak import clock, faults, kill, messages, nonsense, power
from tests.soak.rounds import Rounds
from tests.soak.world import Template

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
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        pytest.skip("a file system on a loop device needs root")
    result = power.run(tmp_path, SEED, Rounds(1, template=template))
    assert list(result.findings) == []
    assert len([note for note in result.notes if "as it must" in note]) == 2
