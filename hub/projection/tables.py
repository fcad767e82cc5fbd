"""How far the feed is projected, and what made no sense on the way."""

from __future__ import annotations

import sqlalchemy as sa

from hub.database import metadata
from hub.resources.tables import Whole

cursors = sa.Table(
    "projection_cursors", metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("cursor", Whole, nullable=False),
    sqlite_strict=True,
)

# Records that make no sense or do not open: kept in the ledger, told here, never in the way of others.
findings = sa.Table(
    "projection_findings", metadata,
    sa.Column("cursor", Whole, primary_key=True, autoincrement=False),
    sa.Column("edge", sa.Text, nullable=False),
    sa.Column("journal", sa.Text, nullable=False),
    sa.Column("position", Whole, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sqlite_strict=True,
)
