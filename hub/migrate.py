"""The hub's schema is the sum of its migrations: create a database, bring one up to date, refuse a newer one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

import sqlalchemy as sa

from hub.database import open_engine
from hub.ledger.runs import Damaged
from security.private_files import sync_folder


class DatabaseNewer(RuntimeError):
    """A database written by a newer program: this one would not understand it."""


def create(path: Path) -> None:
    """A new database with the whole schema, mode 0600, whole or not at all. Raises FileExistsError."""
    if path.exists():
        raise FileExistsError(f"{path} exists already; nothing was changed")
    temporary = path.with_name(f".{path.name}.new")
    for ending in ("", "-wal", "-shm"):  # what a crash left
        Path(f"{temporary}{ending}").unlink(missing_ok=True)
    make_blank(temporary)
    engine = open_engine(temporary)
    try:
        upgrade(engine, new=True)
    finally:
        engine.dispose()  # the last connection folds the WAL into the file
    temporary.replace(path)
    sync_folder(path.parent)


def make_blank(path: Path) -> None:
    """Nothing but the header, without which no database of ours is opened, mode 0600."""
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as blank:
        blank.execute("PRAGMA journal_mode = WAL")


def upgrade(engine: sa.Engine, *, new: bool = False) -> None:
    """Each missing migration in one transaction, in order. Raises DatabaseNewer or Damaged and then changes nothing."""
    from alembic import command  # noqa: PLC0415 - Alembic loads only where it works: in most commands it does not
    from alembic.config import Config  # noqa: PLC0415
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "hub:migrations")
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_heads()
        if not found and not new:
            raise Damaged("it is empty")  # and an empty ledger in its place would look like a city without records
        scripts = ScriptDirectory.from_config(config)
        _refuse_newer(found, {one.revision for one in scripts.walk_revisions()}, scripts.get_current_head())
        _begin_before_ddl(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _refuse_newer(found: tuple[str, ...], known: set[str], head: str | None) -> None:
    strange = sorted(set(found) - known)
    if strange:
        raise DatabaseNewer(f"the database is at schema {', '.join(strange)}, newer than this program "
                            f"({head}); install the newer suozhan-hub")


def _begin_before_ddl(connection: sa.Connection) -> None:
    """Python's sqlite3 begins no transaction before DDL, so half a migration could stay: begin it ourselves."""
    if connection.dialect.name != "sqlite":
        return
    connection.rollback()  # what looking at the version began
    connection.detach()  # this connection does not go back to the pool
    cast(sqlite3.Connection, connection.connection.dbapi_connection).isolation_level = None
    sa.event.listen(connection, "begin", lambda begun: begun.exec_driver_sql("BEGIN IMMEDIATE"))
