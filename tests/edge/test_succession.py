"""What a successor says of the journal that it follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.journal_store import KEEP_AND_CALL
from edge.succession import REASON_MAX_CHARS, begin, read_succession
from tests.edge.machine import enrolled


@pytest.mark.parametrize(("reason", "told"), [
    ("{path}: the record at position 7 is not what was signed; " + KEEP_AND_CALL,
     "business.db: the record at position 7 is not what was signed"),
    ("{path}-wal is damaged: the record at position 7 is lost, those up to 9 stand in {path}-wal.damaged; " + KEEP_AND_CALL,
     "business.db-wal is damaged: the record at position 7 is lost, those up to 9 stand in business.db-wal.damaged"),
    ("硬盘已更换", "硬盘已更换"),
    ("FORKED: two\nlines\x1b[2J", "FORKED: two lines [2J"),
    ("x" * 500, "x" * (REASON_MAX_CHARS - 1) + "…"),
])
def test_who_approves_a_successor_reads_in_one_line_what_is_damaged(tmp_path: Path, reason: str, told: str) -> None:
    state = enrolled(tmp_path / "a-folder-with-a-name-that-alone-would-fill-half-of-the-reason" / "edge")
    said = read_succession(begin(state, reason.format(path=state.journal)))
    assert said is not None
    assert said.reason == told
