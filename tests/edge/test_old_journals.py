"""What a machine that begins anew says of its journals before, whatever became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.old_journals import known_digests
from tests.edge.test_carry import Machine
from tests.spine import flip_schema


def _flip_schema(journal: Path) -> None:
    flip_schema(journal, "digests")


@pytest.mark.parametrize("harm", [_flip_schema, lambda journal: journal.write_bytes(b"x" * 4096 + journal.read_bytes()[4096:])])
def test_a_damaged_journal_shows_the_same_digests_as_a_whole_one(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    machine = Machine(tmp_path)
    asyncio.run(machine.write("a", "b"))
    whole = known_digests(machine.old.business)
    assert [position for position, _ in whole] == [3, 2]
    harm(machine.old.business.db)
    assert known_digests(machine.old.business) == whole
