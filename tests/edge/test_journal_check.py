"""Each position of a journal is looked at once, whatever the size of a step, and what is missing is named (invariant 5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.journal_check import Finding, JournalCheck
from tests.edge.small_journal import LONG, PRUNED, SmallJournal, copy_journal
from tests.spine import damage

STEPS = (7, 50, PRUNED, PRUNED + 1, 10_000)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallJournal:
    return SmallJournal(tmp_path_factory.mktemp("small"))


def _checked(path: Path, step: int) -> list[Finding]:
    found: list[Finding] = []
    with JournalCheck(path) as check:
        at, last = -1, 0
        while last > at:
            at = last
            last, findings = check.step(at, step)
            assert last <= at + step
            found += findings
    return found


@pytest.mark.parametrize("step", STEPS)
def test_a_whole_journal_has_no_findings_before_or_behind_what_was_pruned(small: SmallJournal, step: int) -> None:
    assert _checked(small.clean, step) == []


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("position", [PRUNED + 2, 140, 150, LONG, 272])
def test_a_record_that_is_not_there_is_missing(small: SmallJournal, tmp_path: Path, step: int, position: int) -> None:
    path = tmp_path / "business.db"
    copy_journal(small.clean, path)
    damage(path, f"DELETE FROM envelopes WHERE position = {position}")
    assert [(one.position, one.where) for one in _checked(path, step)] == [(position, f"position {position}")]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("position", [1, 49, 50, PRUNED, PRUNED + 1, 140, 141, 272])
def test_a_position_of_which_nothing_is_known_is_missing(small: SmallJournal, tmp_path: Path, step: int, position: int) -> None:
    path = tmp_path / "business.db"
    copy_journal(small.clean, path)
    damage(path, f"DELETE FROM digests WHERE position = {position}")
    found = _checked(path, step)
    assert [(one.position, one.where) for one in found] == [(position, f"position {position}")]
    assert "missing" in found[0].text


def test_a_whole_journal_of_which_all_was_pruned_but_its_end_misses_what_no_backup_holds(
    small: SmallJournal, tmp_path: Path
) -> None:
    """Behind the hub's mark nothing was pruned: what is not there was lost, although no record is left before it."""
    path = tmp_path / "business.db"
    copy_journal(small.clean, path)
    damage(path, f"DELETE FROM envelopes WHERE position < {LONG}")
    assert [one.position for one in _checked(path, 50)] == list(range(PRUNED + 2, LONG))
