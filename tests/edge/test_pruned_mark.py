"""How far a journal was pruned: a mark that only grows, and that hides nothing once it is damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.pruned_mark import PrunedMark


def test_the_mark_only_grows(tmp_path: Path) -> None:
    mark = PrunedMark(tmp_path / "business.db")
    assert mark.read() == 0
    for position, kept in ((7, 7), (9, 9), (8, 9), (2**63 - 1, 2**63 - 1)):
        mark.keep(position)
        assert mark.read() == kept


@pytest.mark.parametrize(("stored", "position"), [
    ("7", 7), *((damaged, 0) for damaged in ("", "x", "-5", "+5", " 5", "5\n", "1_0", "²")),
])
def test_what_is_no_position_hides_nothing(tmp_path: Path, stored: str, position: int) -> None:
    (tmp_path / "business.pruned").write_text(stored, encoding="latin-1")
    assert PrunedMark(tmp_path / "business.db").read() == position
