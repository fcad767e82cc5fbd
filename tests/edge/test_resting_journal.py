"""An agent that starts while a resting journal is looked at: whoever looks says so, and calls nothing damaged."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

import edge.receipt_check
from edge.command import app
from edge.drafts import JournalUnreadable
from edge.journal_check import JournalCheck
from edge.journal_store import Head, JournalStore
from edge.state import StateFolder
from edge.verify import Verification
from security.durable_sqlite import open_durable, open_look
from security.sqlite_connection import FileChanged
from tests.edge.machine import enrolled, fill
from tests.spine import Spine
from tests.test_receipts import _deliver


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    state = enrolled(tmp_path / "edge")
    fill(state, 100)
    return state


def _written(path: Path) -> None:
    """As by an agent that comes and goes: all pages have other places now."""
    with closing(open_durable(path)) as db:
        db.execute("PRAGMA application_id = 7")
        db.execute("VACUUM")


@pytest.mark.parametrize("look", [
    lambda check: check.step(50), lambda check: list(check.structure()), lambda check: list(check.ends()), JournalCheck.marks],
    ids=["step", "structure", "ends", "marks"])
def test_a_check_of_a_journal_says_that_it_has_to_be_done_again(
        state: StateFolder, look: Callable[[JournalCheck], object]) -> None:
    with JournalCheck(state.business.db) as check:
        assert check.step(0, 50) == (50, [])
        _written(state.business.db)
        with pytest.raises(FileChanged, match=r"business\.db was changed while it was read.*; do it again"):
            look(check)
    assert list(Verification(state, lambda checked, end: None, resume=False).findings()) == []


def test_a_check_of_receipts_has_nothing_against_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spine = Spine(tmp_path)
    asyncio.run(_deliver(spine, "a", "b"))

    def look(path: Path) -> sqlite3.Connection:
        db = open_look(path)
        _written(path)
        return db

    monkeypatch.setattr(edge.receipt_check, "open_look", look)
    with pytest.raises(FileChanged):
        list(spine.receipt_check().findings())


def test_status_says_what_to_do(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    head = JournalStore.head

    async def written(store: JournalStore) -> Head:
        _written(state.business.db)
        return await head(store)

    monkeypatch.setattr(JournalStore, "head", written)
    told = CliRunner().invoke(app, ["--state", str(state.root), "status"])
    assert isinstance(told.exception, JournalUnreadable)
    assert str(told.exception).endswith("do it again")
