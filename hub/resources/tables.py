"""Tables of the published resources and of what the edges say about them."""

from __future__ import annotations

import sqlalchemy as sa

from hub.database import metadata

# STRICT tables know INTEGER only, and PostgreSQL's INTEGER is too short for milliseconds.
Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# One row per name: its update takes the next number atomically, and polling it is cheap.
heads = sa.Table(
    "resource_heads", metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("epoch", Whole, nullable=False),  # raised when the hub comes back from a backup
    sa.Column("number", Whole, nullable=False),
    sqlite_strict=True,
)

resources = sa.Table(
    "resources", metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("epoch", Whole, primary_key=True, autoincrement=False),
    # Numbers run through all audiences of a name: an edge holds one version per name, the newest meant for it.
    sa.Column("number", Whole, primary_key=True, autoincrement=False),
    sa.Column("audience", sa.Text, nullable=False),  # "all" or an edge's UUID
    sa.Column("expires_ms", Whole, nullable=False),  # 0 = never
    sa.Column("payload", sa.LargeBinary, nullable=False),  # the bytes that were signed
    sa.Column("signature", sa.LargeBinary, nullable=False),
    sa.Column("key_id", sa.LargeBinary, nullable=False),
    sa.Column("published_ms", Whole, nullable=False),
    sqlite_strict=True,
)

# The newest word of each edge about each name.
reports = sa.Table(
    "resource_reports", metadata,
    sa.Column("edge", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("epoch", Whole, nullable=False),
    sa.Column("number", Whole, nullable=False),
    sa.Column("applied", sa.SmallInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),  # 0 or 1
    sa.Column("reason", sa.Text, nullable=False),  # why it was refused; "" when applied
    sa.Column("reported_ms", Whole, nullable=False),
    sqlite_strict=True,
)
