"""A database of ours keeps what it commits, and is made only by those who mean to."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from security.durable_sqlite import (
    BUSY_TIMEOUT_MS,
    WAL_AUTOCHECKPOINT_PAGES,
    WAL_MAX_BYTES,
    DatabaseCut,
    DatabaseMissing,
    LogLeft,
    create_database,
    open_durable,
    open_look,
    open_readonly,
    transaction,
)
from tests.spine import flip_schema

SCHEMA = "CREATE TABLE parents (id INTEGER PRIMARY KEY) STRICT; CREATE TABLE children (p INTEGER REFERENCES parents) STRICT"
FULL = 2


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "data.db"
    create_database(path, SCHEMA)
    return path


@pytest.mark.parametrize(("pragma", "value"), [
    ("synchronous", FULL), ("journal_mode", "wal"), ("foreign_keys", 1), ("trusted_schema", 0),
    ("busy_timeout", BUSY_TIMEOUT_MS), ("wal_autocheckpoint", WAL_AUTOCHECKPOINT_PAGES),
    ("journal_size_limit", WAL_MAX_BYTES),
])
def test_an_opened_connection_really_has_each_setting(database: Path, pragma: str, value: int | str) -> None:
    with closing(open_durable(database)) as connection:
        assert connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)


def test_synchronous_is_full_on_every_later_connection_too(database: Path) -> None:
    for _ in range(3):
        with closing(open_durable(database)) as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (FULL,)


def test_settings_hold_inside_a_transaction(database: Path) -> None:
    with closing(open_durable(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert connection.in_transaction
        assert connection.execute("PRAGMA synchronous").fetchone() == (FULL,)
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("INSERT INTO children VALUES (1)")
        connection.execute("ROLLBACK")


def test_what_fails_or_is_cancelled_in_a_transaction_leaves_nothing(database: Path) -> None:
    with closing(open_durable(database)) as connection:
        for error in (ValueError, asyncio.CancelledError):
            with suppress(error), transaction(connection):
                connection.execute("CREATE TABLE half (n INTEGER)")
                raise error
            assert not connection.in_transaction
        with transaction(connection):
            connection.execute("CREATE TABLE half (n INTEGER)")
    with closing(open_durable(database)) as connection:
        assert connection.execute("SELECT * FROM half").fetchall() == []


@pytest.mark.parametrize("opener", [open_durable, open_readonly, open_look])
@pytest.mark.parametrize("size", [0, 1, 99])
def test_a_file_cut_below_its_header_is_never_opened_so_its_log_stays(
        database: Path, tmp_path: Path, opener: Callable[[Path], sqlite3.Connection], size: int) -> None:
    """SQLite takes such a file for a new one, and removes the log beside it with all that was committed. Invariant 3."""
    cut, log = tmp_path / "cut" / "data.db", tmp_path / "cut" / "data.db-wal"
    cut.parent.mkdir()
    with closing(open_durable(database)) as connection:
        connection.execute("INSERT INTO parents VALUES (7)")
        cut.write_bytes(database.read_bytes()[:size])
        log.write_bytes(Path(f"{database}-wal").read_bytes())
    with pytest.raises(DatabaseCut, match=rf"{cut} has {size} bytes, .*; data\.db-wal .* keep") as caught:
        opener(cut).close()
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_NOTADB
    assert (cut.stat().st_size, log.read_bytes()[:4]) == (size, bytes.fromhex("377f0682"))


@pytest.mark.parametrize("opener", [open_durable, open_readonly, open_look])
@pytest.mark.parametrize("name", ["missing.db", "no/such/folder.db", "."])
def test_opening_never_creates(tmp_path: Path, opener: object, name: str) -> None:
    assert callable(opener)
    with pytest.raises(DatabaseMissing, match="check the folder"):
        opener(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b.db", "a?mode=rwc.db", "a#b.db", "a%20b.db", "所站.db"])
def test_a_path_is_taken_literally(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    create_database(path, SCHEMA)
    with closing(open_durable(path)) as connection:
        connection.execute("INSERT INTO parents VALUES (1)")
    with closing(open_readonly(path)) as connection:
        assert connection.execute("SELECT id FROM parents").fetchall() == [(1,)]
    assert {file.name.removesuffix("-wal").removesuffix("-shm") for file in tmp_path.iterdir()} == {name}


def test_a_reader_cannot_change_a_row(database: Path) -> None:
    with closing(open_durable(database)) as writer, closing(open_readonly(database)) as reader:
        writer.execute("INSERT INTO parents VALUES (1)")
        assert reader.execute("SELECT count(*) FROM parents").fetchone() == (1,)
        for statement in ("INSERT INTO parents VALUES (2)", "DELETE FROM parents", "CREATE TABLE more (x)"):
            with pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only"):
                reader.execute(statement)


@pytest.mark.parametrize("opener", [open_durable, open_readonly, open_look])
def test_a_damaged_schema_is_trouble_of_sqlite_and_nothing_else(
        database: Path, opener: Callable[[Path], sqlite3.Connection]) -> None:
    """Python cannot decode the message that quotes it."""
    flip_schema(database, "parents")
    with pytest.raises(sqlite3.DatabaseError) as caught, closing(opener(database)) as db:
        db.execute("SELECT * FROM parents")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_CORRUPT


def test_a_look_sees_what_a_writer_has_committed_and_leaves_nothing_beside_a_file_that_rests(database: Path) -> None:
    with closing(open_durable(database)) as writer:
        writer.execute("INSERT INTO parents VALUES (1)")
        with closing(open_look(database)) as look:
            assert look.execute("SELECT id FROM parents").fetchall() == [(1,)]
            with pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only"):
                look.execute("DELETE FROM parents")
    with closing(open_look(database)) as look:
        assert look.execute("SELECT id FROM parents").fetchall() == [(1,)]
        assert look.execute("PRAGMA busy_timeout").fetchone() == (BUSY_TIMEOUT_MS,)
        assert list(database.parent.iterdir()) == [database]
    assert list(database.parent.iterdir()) == [database]


@pytest.mark.parametrize("opener", [open_durable, open_readonly, open_look])
def test_a_connection_serves_one_thread_after_the_other(database: Path, opener: Callable[[Path], sqlite3.Connection]) -> None:
    with ThreadPoolExecutor(1) as another, closing(another.submit(opener, database).result()) as connection:
        assert connection.execute("SELECT count(*) FROM parents").fetchone() == (0,)
        assert connection.isolation_level is None  # no statement begins a transaction by itself


def test_a_new_database_is_private_and_never_replaces_one(database: Path) -> None:
    assert stat.S_IMODE(database.stat().st_mode) == 0o600
    before = database.read_bytes()
    with pytest.raises(FileExistsError, match="nothing was changed"):
        create_database(database, "CREATE TABLE other (x)")
    assert database.read_bytes() == before


def test_a_schema_that_fails_leaves_no_database_and_can_be_mended(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    with pytest.raises(sqlite3.OperationalError):
        create_database(path, "CREATE TABLE fine (x); CREATE TABLE broken (")
    assert not path.exists()
    create_database(path, SCHEMA)
    with closing(open_readonly(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'fine'").fetchone() == (0,)


def test_the_new_name_is_synced_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[Path, bool]] = []
    path = tmp_path / "data.db"
    monkeypatch.setattr("security.durable_sqlite.sync_folder", lambda folder: synced.append((folder, path.exists())))
    create_database(path, SCHEMA)
    assert synced == [(tmp_path, True)]


@pytest.mark.parametrize(("suffix", "content"), [("-wal", b""), ("-shm", b"of another database")])
def test_what_was_left_of_a_database_that_somebody_took_away_gets_into_no_new_one(
        tmp_path: Path, suffix: str, content: bytes) -> None:
    left = tmp_path / f"data.db{suffix}"
    left.write_bytes(content)
    create_database(tmp_path / "data.db", SCHEMA)
    assert not left.exists()


@pytest.mark.parametrize("begin", [lambda path: create_database(path, SCHEMA), open_durable, open_readonly, open_look])
def test_no_database_is_begun_anew_beside_a_log_that_may_hold_what_was_committed(
        database: Path, tmp_path: Path, begin: Callable[[Path], object]) -> None:
    """Invariant 3."""
    with closing(open_durable(database)) as connection:
        connection.execute("INSERT INTO parents VALUES (7)")
        log = Path(f"{database}-wal").read_bytes()
    left = tmp_path / "gone.db-wal"
    left.write_bytes(log)
    with pytest.raises(LogLeft, match=r"gone\.db, and gone\.db-wal beside it .* keep that, and put gone\.db back"):
        begin(tmp_path / "gone.db")
    assert (left.read_bytes(), (tmp_path / "gone.db").exists()) == (log, False)
