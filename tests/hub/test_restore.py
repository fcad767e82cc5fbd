"""A hub that comes back from a backup: what is put in the place of its database, and what it knows then (invariants 2, 6, 11)."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from hub.alone import alone, beside_others, undisturbed
from hub.backup import back_up
from hub.command import app
from hub.founding import found_hub
from hub.keys import load_keys
from hub.ledger.high_water import HighWater
from hub.ledger.own_journal import OwnJournal
from hub.ledger.store import Ledger
from hub.ledger.transparency import TransparencyLog
from hub.restore import RestoreRefused, Said, restore
from hub.state import BadConfig, HubState, checked_config
from tests.spine import HandClock

SAID = Said("周敏", "disk failure")


class City:
    """A hub by its folder, without servers."""

    def __init__(self, folder: Path) -> None:
        self.state, self.clock, self.hub = HubState(folder / "hub"), HandClock(), uuid4()
        config = checked_config({"hub": self.hub, "hosts": ["127.0.0.1"], "listen": "127.0.0.1"})
        found_hub(self.state, config, folder / "root.key", "a passphrase", lambda: None, self.clock)
        self.keys = load_keys(self.state.keys)

    @property
    def own(self) -> OwnJournal:
        return OwnJournal(self.state.database, self.hub, self.keys.record, self.clock)

    def sign(self) -> TransparencyLog:
        """What there is."""
        log = TransparencyLog(self.state.database, HighWater(self.state.high_water), self.hub, self.keys.log, self.clock)
        log.begin()
        return log

    def note(self, *kinds: str) -> None:
        for kind in kinds:
            self.own.note(kind, {})

    def size(self) -> int:
        with Ledger(self.state.database) as ledger:
            return ledger.size()

    def run(self, *arguments: str) -> str:
        """A command, which has to be refused."""
        done = CliRunner().invoke(app, ["--state", str(self.state.root), *arguments])
        assert isinstance(done.exception, BadConfig), done.output
        return str(done.exception)


@pytest.fixture
def city(tmp_path: Path) -> City:
    city = City(tmp_path)
    city.note("first")
    city.sign()
    return city


def test_a_database_that_lies_beside_its_wal_is_restored_with_all_that_was_committed(city: City, tmp_path: Path) -> None:
    """What was put aside by an earlier restore, of a hub that had died: whoever undoes that loses nothing."""
    aside = tmp_path / "before-restore-1-hub.db"
    with Ledger(city.state.database):  # so that the WAL stays
        city.note("second", "third")
        size = city.size()
        for ending in ("", "-wal"):
            shutil.copy(f"{city.state.database}{ending}", f"{aside}{ending}")
        with closing(sqlite3.connect(f"file:{aside}?immutable=1", uri=True)) as db:
            (without,) = db.execute("SELECT size FROM ledger_head").fetchone()
    assert without < size
    restore(city.state, aside, city.clock, SAID)
    assert city.size() > size  # and the record that says so
    assert not list(city.state.root.glob("*.restored"))


def test_what_is_no_database_or_a_damaged_one_changes_nothing(city: City, tmp_path: Path) -> None:
    size, backup = city.size(), tmp_path / "backup.db"
    nonsense = tmp_path / "nonsense.db"
    nonsense.write_bytes(b"nonsense" * 1_000)
    with pytest.raises(RestoreRefused, match="cannot be copied"):
        restore(city.state, nonsense, city.clock, SAID)
    back_up(city.state.database, backup)
    with closing(sqlite3.connect(backup)) as db:
        db.executescript("DROP TRIGGER runs_never_change; UPDATE runs SET signatures = zeroblob(length(signatures))")
    with pytest.raises(RestoreRefused, match=r"backup\.db is damaged \(\d+ findings"):
        restore(city.state, backup, city.clock, SAID)
    assert city.size() == size
    assert not list(city.state.root.glob("before-restore-*"))


def test_nothing_lies_beside_the_restored_file_that_would_be_replayed_onto_it(
    city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup, rename = tmp_path / "backup.db", Path.rename
    back_up(city.state.database, backup)

    def looked_into(path: Path, target: Path) -> Path:
        done = rename(path, target)
        if path == city.state.database:
            Path(f"{path}-wal").write_bytes(b"of a program that looked in")
        return done

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", looked_into)
        restore(city.state, backup, city.clock, SAID)
    with Ledger(city.state.database):
        assert not Path(f"{city.state.database}-wal").read_bytes().startswith(b"of a program")


@pytest.fixture
def held(city: City) -> Iterator[City]:
    with undisturbed(city.state):
        yield city


def test_no_command_opens_the_database_while_another_one_is_put_in_its_place(held: City) -> None:
    """It would write into the file that is put aside, or leave a WAL beside the one that comes."""
    for arguments in (["approvals"], ["alarms", "clear", "1", "--by", "周敏"], ["site", "list"], ["backup", "x.db"],
                      ["import", "file", "--by", "周敏", "--reason", "x"], ["invite", "A01"], ["verify"],
                      ["revoke", str(uuid4()), "--by", "周敏", "--reason", "x"]):
        assert "restore or reopen works" in held.run(*arguments)


def test_a_restore_waits_for_no_command_and_goes_ahead_of_none(city: City, tmp_path: Path) -> None:
    with beside_others(city.state), beside_others(city.state):  # commands disturb each other as little as before
        assert "let it end" in city.run("reopen", "--by", "周敏", "--reason", "x")
        with alone(city.state.root):  # nor does a hub that runs
            pass
    with alone(city.state.root):
        assert "stop it first" in city.run("restore", str(tmp_path / "x"), "--by", "周敏", "--reason", "x")


def test_a_hub_looks_at_no_database_before_it_is_alone(held: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.assembly.upgrade", lambda _engine: pytest.fail("the database was opened"))
    assert "stop it first" in held.run("run")
