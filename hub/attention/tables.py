"""Alarms that are open or were, and requests that wait for a person's decision."""

from __future__ import annotations

import sqlalchemy as sa

from hub.database import metadata
from hub.resources.tables import Whole

alarms = sa.Table(
    "alarms",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("raised_ms", Whole, nullable=False),
    sa.Column("repeated_ms", Whole, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("cleared_ms", Whole),
    sa.Column("cleared_by", sa.Text, nullable=False, server_default=""),
    sqlite_strict=True,
)
# At most one open alarm of a kind and subject: what goes on is told once, and counted.
open_alarms = sa.Index("ix_alarms_open", alarms.c.kind, alarms.c.subject, unique=True,
                       sqlite_where=alarms.c.cleared_ms.is_(None), postgresql_where=alarms.c.cleared_ms.is_(None))

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("asked_ms", Whole, nullable=False),
    sa.Column("state", sa.Text, sa.CheckConstraint("state IN ('waiting', 'approved', 'refused')"), nullable=False),
    sa.Column("decided_ms", Whole),
    sa.Column("decided_by", sa.Text, nullable=False, server_default=""),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("kind", "key"),
    sqlite_strict=True,
)
