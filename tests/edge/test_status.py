"""What a technician reads of a machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge.journal_end import write_stop
from edge.status import describe
from tests.edge.machine import enrolled


def test_nobody_is_told_to_let_a_journal_in_doubt_be_written_on(tmp_path: Path) -> None:
    """Invariant 5: a journal that has ended gets a successor."""
    state = enrolled(tmp_path / "edge")
    write_stop(state.business.db, "FORKED: a copy of this machine works elsewhere")
    told = asyncio.run(describe(state, ()))
    assert "FORKED" in told
    assert "a new journal" in told
    assert "remove" not in told


def test_scans_that_the_hub_does_not_have_safe_are_counted(tmp_path: Path) -> None:
    state = enrolled(tmp_path / "edge")
    assert "scans" not in asyncio.run(describe(state, ()))
    state.attachments.mkdir()
    for number in range(2):
        (state.attachments / f"{number:064x}.blob").write_bytes(bytes(100))
        (state.attachments / f"{number:064x}.names").write_bytes(b'["t1"]')
    assert "2 not safe at the hub yet, 200 bytes" in asyncio.run(describe(state, ()))
