"""What a technician reads of a machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

from edge.journal_store import write_stop
from edge.status import describe
from tests.edge.machine import enrolled


def test_nobody_is_told_to_let_a_journal_in_doubt_be_written_on(tmp_path: Path) -> None:
    """Invariant 5: a journal that has ended gets a successor."""
    state = enrolled(tmp_path / "edge")
    write_stop(state.journal, "FORKED: a copy of this machine works elsewhere")
    told = asyncio.run(describe(state, ()))
    assert "FORKED" in told
    assert "a new journal" in told
    assert "remove" not in told
