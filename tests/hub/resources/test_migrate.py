"""The schema is the sum of the migrations, and they run whole or not at all."""

from __future__ import annotations

import importlib
import re
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import hub
from hub.database import metadata, open_engine
from hub.ledger.runs import Damaged
from hub.migrate import DatabaseNewer, create, make_blank, upgrade

SCHEMA = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"


@pytest.fixture(scope="module", autouse=True)
def every_table_is_known() -> None:
    """Whatever folder of the hub has tables: a forgotten one shows as drift."""
    for package in hub.__path__:
        for path in sorted(Path(package).glob("*/tables.py")):
            importlib.import_module(f"hub.{path.parent.name}.tables")


@pytest.fixture
def blank(tmp_path: Path) -> Iterator[sa.Engine]:
    make_blank(tmp_path / "blank.db")
    engine = open_engine(tmp_path / "blank.db")
    yield engine
    engine.dispose()


def ledger_objects() -> set[str]:
    """Names of what the ledger's native SQL makes."""
    connection = sqlite3.connect(":memory:")
    try:
        for name in ("schema_sqlite.sql", "tree_sqlite.sql"):
            connection.executescript(files("hub.ledger").joinpath(name).read_text(encoding="utf-8"))
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    finally:
        connection.close()


def schema(engine: sa.Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return {row.name: re.sub(r"\s+", " ", row.sql).strip() for row in connection.exec_driver_sql(SCHEMA)}


def test_alembic_sees_no_difference_between_metadata_and_migrations(engine: sa.Engine) -> None:
    native = ledger_objects()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={
            "include_object": lambda _object, name, _kind, _reflected, _other: name not in native})
        assert compare_metadata(context, metadata) == []


def test_the_migrations_make_the_very_schema_of_the_metadata(engine: sa.Engine, blank: sa.Engine) -> None:
    """Checks, STRICT and the order of columns, too, which Alembic does not compare."""
    metadata.create_all(blank)
    native = {*ledger_objects(), "alembic_version"}
    assert {name: sql for name, sql in schema(engine).items() if name not in native} == schema(blank)


def test_every_table_is_strict(engine: sa.Engine) -> None:
    """SQLite would take any text for a number else."""
    with engine.connect() as connection:
        listed = connection.exec_driver_sql("PRAGMA table_list").all()
    loose = {row.name for row in listed if row.type == "table" and not row.strict}
    assert {name for name in loose if not name.startswith("sqlite_")} == {"alembic_version"}


def test_upgrading_again_changes_nothing(engine: sa.Engine) -> None:
    before = schema(engine)
    upgrade(engine)
    assert schema(engine) == before


def test_a_newer_database_is_refused_and_left_alone(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = schema(engine)
    with pytest.raises(DatabaseNewer, match=r"9999.*install the newer suozhan-hub"):
        upgrade(engine)
    assert schema(engine) == before


def test_an_empty_database_is_not_taken_for_a_new_one(blank: sa.Engine) -> None:
    """Whoever lost a city's ledger has to hear of it."""
    with pytest.raises(Damaged, match="empty"):
        upgrade(blank)
    assert schema(blank) == {}


def test_a_migration_that_fails_leaves_nothing_behind(blank: sa.Engine) -> None:
    """Invariant 11: the last table of the step is in the way, so its first ones must not stay."""
    with blank.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE resource_reports (x)")
    with pytest.raises(sa.exc.OperationalError, match="already exists"):
        upgrade(blank, new=True)
    assert set(schema(blank)) <= {"resource_reports", "alembic_version"}


def test_the_engine_can_be_used_as_before_after_an_upgrade(blank: sa.Engine) -> None:
    upgrade(blank, new=True)
    with blank.connect() as connection:
        connection.exec_driver_sql("INSERT INTO resource_heads VALUES ('x', 1, 1)")  # rolled back with the connection
    with blank.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM resource_heads").scalar() == 0


def test_what_a_crash_left_does_not_get_into_a_new_database(tmp_path: Path) -> None:
    """Invariant 11: not even its WAL, which bears the new file's name."""
    left = sqlite3.connect(tmp_path / ".hub.db.new")
    left.execute("PRAGMA journal_mode = WAL")
    left.execute("CREATE TABLE sites (x)")
    create(tmp_path / "hub.db")
    left.close()
    engine = open_engine(tmp_path / "hub.db")
    assert "kind" in schema(engine)["sites"]
    engine.dispose()


def test_a_new_database_is_private_and_never_takes_the_place_of_another(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["hub.db"]
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        create(path)
    assert path.read_bytes() == before
