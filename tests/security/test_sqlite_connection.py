"""A resting file that somebody begins to write while it is read is no damaged one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from security.durable_sqlite import DatabaseMissing, create_database, look_uri, open_durable, open_look
from security.sqlite_connection import FileChanged, Look

ROWS = 3_000
SELECT = "SELECT number, length(data) FROM rows"


@pytest.fixture
def resting(tmp_path: Path) -> Path:
    path = tmp_path / "a file, at 100%.db"
    create_database(path, "CREATE TABLE rows (number INTEGER, data BLOB) STRICT")
    with closing(open_durable(path)) as db:
        db.execute(f"INSERT INTO rows SELECT value, zeroblob(500) FROM json_each('{list(range(ROWS))}')")
    return path


def _rewritten(path: Path) -> None:
    with closing(open_durable(path)) as db:
        db.execute("DELETE FROM rows WHERE number % 2 = 0")
        db.execute("VACUUM")


def test_a_file_that_rests_is_read_as_any_other(resting: Path) -> None:
    with closing(open_look(resting)) as look:
        cursor = look.execute("SELECT number FROM rows WHERE number >= ? ORDER BY number", (7,))
        assert cursor.fetchmany(2) == [(7,), (8,)]
        assert (cursor.fetchone(), next(cursor), cursor.fetchmany()) == ((9,), (10,), [(11,)])
        assert cursor.fetchall() == [(number,) for number in range(12, ROWS)]
        assert cursor.execute("SELECT ? + 1", (7,)).fetchone() == (8,)


@pytest.mark.parametrize("read", [
    lambda cursor: cursor.fetchall(), lambda cursor: cursor.fetchone(), lambda cursor: cursor.fetchmany(ROWS), next, list,
    lambda cursor: cursor.execute(SELECT), lambda cursor: cursor.connection.execute(SELECT)],
    ids=["all", "one", "many", "next", "list", "execute", "connection"])
def test_what_is_read_after_a_change_is_neither_believed_nor_called_damaged(
        resting: Path, read: Callable[[sqlite3.Cursor], object]) -> None:
    with closing(open_look(resting)) as look:
        cursor = look.execute(SELECT)
        assert cursor.fetchone() == (0, 500)
        _rewritten(resting)
        for _ in range(2):
            with pytest.raises(FileChanged, match=r"a file, at 100%\.db was changed while it was read.*; do it again"):
                read(cursor)
    with closing(open_look(resting)) as look:
        assert len(look.execute(SELECT).fetchall()) == ROWS // 2


def test_of_a_file_that_goes_while_it_is_read_opening_it_again_tells(resting: Path) -> None:
    with closing(open_look(resting)) as look:
        resting.unlink()
        with pytest.raises(FileChanged):
            look.execute(SELECT)
    with pytest.raises(DatabaseMissing):
        open_look(resting)


def test_who_is_asked_to_stop_while_he_reads_is_not_told_to_do_it_again(resting: Path) -> None:
    def asked(_: bytes) -> str:
        raise KeyboardInterrupt

    with closing(open_look(resting)) as look:
        look.text_factory = asked
        cursor = look.execute("SELECT 'text' FROM rows")
        _rewritten(resting)
        with pytest.raises(KeyboardInterrupt):
            cursor.fetchone()


def test_a_writer_who_has_just_come_changes_nothing_yet(resting: Path) -> None:
    with closing(open_look(resting)) as look:
        with closing(open_durable(resting)) as db:
            db.execute("DELETE FROM rows")
            assert len(look.execute(SELECT).fetchall()) == ROWS  # as it was
        with pytest.raises(FileChanged):
            look.execute(SELECT).fetchall()


def test_a_log_that_came_before_the_first_look_may_be_ending_in_the_file(resting: Path) -> None:
    uri = look_uri(resting)
    with (closing(open_durable(resting)), closing(sqlite3.connect(uri, uri=True, factory=Look)) as look,
          pytest.raises(FileChanged)):
        look.execute(SELECT)


def test_beside_a_log_sqlites_own_locks_do(resting: Path) -> None:
    with closing(open_durable(resting)) as db, closing(open_look(resting)) as look:
        _rewritten(resting)
        assert len(look.execute(SELECT).fetchall()) == ROWS // 2
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert len(look.execute(SELECT).fetchall()) == ROWS // 2


def test_a_file_that_is_damaged_and_was_not_changed_meanwhile_is_damaged(resting: Path) -> None:
    with resting.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(4096))
    with closing(open_look(resting)) as look, pytest.raises(sqlite3.DatabaseError, match="malformed"):
        look.execute(SELECT).fetchall()
