"""What a successor says of the journal that it follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.identity import NotEnrolled, load_identity
from edge.journal_check import JournalCheck
from edge.journal_store import KEEP_AND_CALL
from edge.keys_check import known_identity
from edge.succession import REASON_GONE, REASON_MAX_CHARS, begin, read_succession
from security.private_files import write_private
from tests.edge.machine import enrolled, fill


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
    said = read_succession(state, begin(state, reason.format(path=state.business.db)))
    assert said.reason == told


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(bytes(200)),
                                  lambda path: path.write_text(path.read_text().replace("-", "x"))])
def test_a_successor_that_no_longer_says_what_it_follows_follows_it_all_the_same(
        tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """Else its callers' ids would be new again, and nothing would be carried over."""
    state = enrolled(tmp_path / "edge")
    fill(state, 2)
    new = begin(state, "two")
    whole = read_succession(state, new)
    assert whole.journals["business"].position == 3
    harm(new.succession)
    assert read_succession(state, new) == replace(whole, reason=REASON_GONE)
    state.identity.write_bytes(bytes(200))
    with pytest.raises(NotEnrolled, match="restore it from a copy"):
        read_succession(state, new)


def test_nobody_is_sent_to_enrol_where_a_successor_has_lost_its_name(tmp_path: Path) -> None:
    newest = begin(enrolled(tmp_path), "forked")
    newest.identity.unlink()
    with pytest.raises(NotEnrolled, match=r"identity\.json is gone; restore it from a copy"):
        load_identity(newest.identity)


@pytest.mark.parametrize("damaged", [None, b"", b"[]", b'{"old_edge": 5}', b'{"reason": "", "journals": {"bus": {}}}'])
def test_whose_journal_it_is_is_known_where_succession_json_is_gone(tmp_path: Path, damaged: bytes | None) -> None:
    """Another predecessor makes another genesis, and no record of it could be proved."""
    state = enrolled(tmp_path / "edge")
    for folder in (state, begin(state, "a damaged page"), begin(state, "another")):
        with JournalCheck(folder.business.db) as check:
            own = check.identity
        folder.succession.unlink(missing_ok=True)
        if damaged is not None and folder is not state:
            write_private(folder.succession, damaged)
        assert known_identity(folder.business) == own
    state.identity.unlink()
    assert known_identity(state.identities()[1].business) is None, "nobody says which journal comes before"
