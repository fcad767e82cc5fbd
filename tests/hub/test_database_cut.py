"""A database that a disk has cut below its header, or that is gone: SQLite would begin anew, and remove the log beside it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from deploy.demo.city import Hub
from deploy.demo.processes import DemoFailed
from hub.database import open_engine
from hub.migrate import create
from security.durable_sqlite import LogLost
from tests.hub.commands import command_here

WRITER = """
import os, signal, sys
from pathlib import Path
from hub.database import open_engine
with open_engine(Path(sys.argv[1])).begin() as connection:
    connection.exec_driver_sql("CREATE TABLE committed (id INTEGER)")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    """With a log in which something was committed."""
    hub = Hub(tmp_path_factory.mktemp("cut"))
    hub.init()
    database = hub.state / "hub.db"
    engine = open_engine(database)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE committed (id INTEGER)")
    log = Path(f"{database}-wal").read_bytes()
    engine.dispose()
    database.write_bytes(b"")
    Path(f"{database}-wal").write_bytes(log)
    return hub


@pytest.mark.parametrize("arguments", [
    ("verify",), ("alarms",), ("approvals",), ("findings",), ("run",), ("site", "list"), ("backup", "{}/copy.db"),
    ("export", "{}/x", "--by", "a", "--reason", "b"), ("reopen", "--by", "a", "--reason", "b")], ids=lambda words: words[0])
def test_every_command_names_a_cut_database_and_leaves_its_log(cut: Hub, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Invariant 3."""
    state = Path(shutil.copytree(cut.state, tmp_path / "hub"))
    with pytest.raises(DemoFailed) as caught:
        command_here(state, *(word.format(tmp_path) for word in arguments))
    for words in (f"{state}/hub.db has 0 bytes", "hub.db-wal beside it may hold what was committed: keep both"):
        assert words in str(caught.value)
    assert any(words in str(caught.value) for words in ("restore the newest backup that verifies", "check both disks"))
    assert (state / "hub.db").read_bytes() == b""
    assert (state / "hub.db-wal").read_bytes() == (cut.state / "hub.db-wal").read_bytes()


def test_a_log_of_a_program_that_wrote_by_the_engine_alone_is_missed(tmp_path: Path) -> None:
    """Invariant 3. As most commands do; a hub that works has it open for its ledger, too."""
    database = tmp_path / "hub.db"
    create(database)
    assert subprocess.run([sys.executable, "-c", WRITER, database], check=False).returncode == -signal.SIGKILL
    Path(f"{database}-wal").unlink()
    with pytest.raises(LogLost, match=r"hub\.db-wal is gone"):
        open_engine(database)


@pytest.mark.parametrize("name", ["hub.db", "decisions.db"])
def test_no_hub_starts_where_a_database_is_gone_beside_its_log(tmp_path: Path, name: str) -> None:
    """Invariant 3: a ledger, or the hub's decisions, that were begun anew would look like those of a city without any."""
    hub = Hub(tmp_path)
    hub.init()
    gone, log = hub.state / name, hub.state / f"{name}-wal"
    away = Path(shutil.move(gone, tmp_path / "away"))
    log.write_bytes(b"committed")
    words = f"no database at {gone}, and {name}-wal beside it .* keep that, and put {name} back from where it went"
    with pytest.raises(DemoFailed, match=words):
        command_here(hub.state, "run")
    with pytest.raises(DemoFailed, match=words):
        command_here(hub.state, "alarms") if name == "hub.db" else command_here(hub.state, "reopen", "--by", "a", "--reason", "b")
    assert (log.read_bytes(), gone.exists()) == (b"committed", False)
    shutil.move(away, gone)
    log.unlink()
    assert " 0 of them damage" in command_here(hub.state, "verify")


def test_a_restore_puts_the_log_of_a_ledger_that_is_gone_aside(tmp_path: Path) -> None:
    hub = Hub(tmp_path)
    hub.init()
    command_here(hub.state, "backup", str(tmp_path / "backup.db"))
    (hub.state / "hub.db").unlink()
    (hub.state / "hub.db-wal").write_bytes(b"committed")
    command_here(hub.state, "restore", str(tmp_path / "backup.db"), "--by", "a", "--reason", "b")
    (aside,) = hub.state.glob("before-restore-*-hub.db-wal")
    assert aside.read_bytes() == b"committed"
    assert " 0 of them damage" in command_here(hub.state, "verify")


def test_an_engine_that_is_open_makes_no_new_connection_to_a_file_that_was_cut(tmp_path: Path) -> None:
    database = tmp_path / "hub.db"
    create(database)
    engine = open_engine(database)
    database.write_bytes(b"S")
    log = Path(f"{database}-wal")
    log.write_bytes(b"committed")
    with pytest.raises(DBAPIError, match=r"hub\.db has 1 bytes"):
        engine.connect()
    assert log.read_bytes() == b"committed"


def test_a_log_that_a_killed_init_left_is_no_part_of_the_new_database(tmp_path: Path) -> None:
    left = tmp_path / ".hub.db.new-wal"
    left.write_bytes(b"of another")
    create(tmp_path / "hub.db")
    assert not left.exists()
