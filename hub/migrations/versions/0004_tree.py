"""The transparency tree, its checkpoints and epochs; holes; closed journals."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib.resources import files

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    script = files("hub.ledger").joinpath("tree_sqlite.sql")
    for statement in _statements(script.read_text(encoding="utf-8")):
        # Not op.execute: it would read ":" as a parameter.
        op.get_bind().exec_driver_sql(statement)


def _statements(script: str) -> Iterator[str]:
    """One by one: executescript would commit what came before."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
