"""The check sees what it is there for: each kind of loss and change, done by hand to a world that was well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge.state import StateFolder
from hub.state import HubState
from tests.soak.check import Broken, Check, wait_until_proved
from tests.soak.counter import Counter, Said
from tests.soak.events import note
from tests.soak.memory import slope, step
from tests.soak.result import Result, keep, read
from tests.soak.world import Ports, Template, World
from tests.spine import damage

RECORDS = 6


@pytest.fixture(scope="module")
def well(tmp_path_factory: pytest.TempPathFactory) -> tuple[Template, Sequence[Said]]:
    """State folders in which all was delivered and proved, and what was acknowledged."""
    template, ports = Template(tmp_path_factory.mktemp("template")), Ports.free()
    template.make()
    folder = tmp_path_factory.mktemp("well")
    with World(template, folder, ports) as world:
        counter = Counter(world)
        note(world, RECORDS)
        world.start()
        counter.submit(RECORDS)
        wait_until_proved(world)
        world.stop()
        Check(world).now(counter.said, drained=True)
        played = Template(folder)
        played.hub, played.edge, played.token = world.hub_state, world.edge_state, template.token
    return played, counter.said


@pytest.fixture
def world(well: tuple[Template, Sequence[Said]], tmp_path: Path) -> Iterator[World]:
    with World(well[0], tmp_path, Ports.free()) as world:
        yield world


@pytest.mark.parametrize(("side", "statement", "word"), [
    ("edge", "DELETE FROM digests WHERE position = 4", "gap"),
    ("edge", "UPDATE head SET position = 6", "head"),
    ("edge", "UPDATE envelopes SET payload = zeroblob(200) WHERE position = 5", "not what the digest covers"),
    ("edge", "UPDATE envelopes SET signature = zeroblob(64) WHERE position = 5", "signature does not hold"),
    ("edge", "DELETE FROM envelopes WHERE position = 4", "missing in the middle"),
    ("edge", "UPDATE standing SET position = 9", "has acknowledged 9"),
    ("edge", "UPDATE receipts SET idx = idx - 1", "another record stands at"),
    ("edge", "UPDATE receipts SET proof = zeroblob(length(proof))", "receipt for position"),
    ("events", "DELETE FROM digests WHERE position = 4", "events: the journal's positions have a gap"),
    ("events", "UPDATE envelopes SET payload = zeroblob(200) WHERE position = 5", "events: journal, position 5: the payload"),
    ("events", "UPDATE standing SET position = 99", "events: the hub has acknowledged 99"),
    ("events", "UPDATE receipts SET idx = idx - 1", "another record stands at"),
    ("hub", "DELETE FROM runs WHERE idx = (SELECT max(idx) FROM runs)", "ledger"),
    ("hub", "UPDATE runs SET leaves = zeroblob(length(leaves)) WHERE idx = (SELECT max(idx) FROM runs)", "leaf"),
    ("hub", "UPDATE tiles SET hashes = zeroblob(length(hashes))", "tiles"),
    ("hub", "INSERT INTO alarms (kind, subject, text, raised_ms, repeated_ms, times) VALUES ('x', 'y', 'z', 1, 1, 1)", "alarm"),
])
def test_each_change_of_what_is_stored_is_seen(
    world: World, well: tuple[Template, Sequence[Said]], side: str, statement: str, word: str
) -> None:
    events = StateFolder(world.edge_state).events.db
    damage({"edge": world.journal_db, "events": events, "hub": world.hub_db}[side], statement)
    with pytest.raises(Broken, match=word):
        Check(world).now(well[1])


def test_what_was_acknowledged_and_is_gone_is_counted(world: World, well: tuple[Template, Sequence[Said]]) -> None:
    """Invariant 1."""
    with pytest.raises(Broken, match="was acknowledged at position 99") as broken:
        Check(world).now([*well[1], Said("never-stored", 99)])
    assert broken.value.lost == [Said("never-stored", 99)]


def test_a_checkpoint_over_another_tree_is_seen(world: World, well: tuple[Template, Sequence[Said]]) -> None:
    """Invariant 6: the hub's ledger went back behind what it has signed."""
    mark = HubState(world.hub_state).high_water
    origin, size, *rest = mark.read_text(encoding="utf-8").split("\n")
    mark.write_text("\n".join([origin, str(int(size) + 1), *rest]), encoding="utf-8")
    with pytest.raises(Broken, match="high-water mark"):
        Check(world).now(well[1])


def test_growth_is_told_from_a_burst() -> None:
    assert slope([(x, 2.0 * x) for x in range(100)]) == pytest.approx(2.0)
    assert step([(x, 500.0 if x == 90 else 7.0) for x in range(100)]) == 0.0


def test_a_campaign_replaces_its_own_row_only(tmp_path: Path) -> None:
    one, two = Result("one", 1, "x", 1, (), 1, 1.0), Result("two", 1, "x", 1, ("lost",), 1, 1.0)
    for result in (one, two, Result("one", 9, "x", 9, (), 2, 2.0)):
        keep(result, tmp_path / "soak.json")
    assert [(row.campaign, row.rounds) for row in read(tmp_path / "soak.json")] == [("one", 9), ("two", 1)]
