"""The hub's database: the ledger's hot path is native SQL, every other table SQLAlchemy Core on this metadata."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry

from security.durable_sqlite import DURABLE_PRAGMAS, SMALL_CACHE, database_uri, refuse_cut
from security.sqlite_index import mark_index

metadata = sa.MetaData(naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s",
                                          "ix": "ix_%(table_name)s_%(column_0_name)s"})


def open_engine(path: Path) -> sa.Engine:
    """An engine on an existing database; raises DatabaseMissing, DatabaseCut. Write with `engine.begin()`, in a thread."""
    uri = database_uri(path, mode="rw")

    def connect() -> sqlite3.Connection:
        refuse_cut(path)
        return sqlite3.connect(uri, uri=True, check_same_thread=False)

    def make_durable(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        for pragma in (*DURABLE_PRAGMAS, SMALL_CACHE):
            connection.execute(pragma)
        mark_index(path)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.QueuePool)
    sa.event.listen(engine, "connect", make_durable)
    return engine
