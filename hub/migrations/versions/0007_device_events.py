"""What machines tell of their devices; one cursor for all views."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Flag = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "device_events",
        sa.Column("cursor", Whole, nullable=False, autoincrement=False),
        sa.Column("arrived_ms", Whole, nullable=False),
        sa.Column("noticed_ms", Whole, nullable=False),
        sa.Column("edge", sa.Text, nullable=False),
        sa.Column("journal", sa.Text, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("simulated", Flag, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("serial_before", sa.Text, nullable=False),
        sa.Column("mender", sa.Text, nullable=False),
        sa.Column("diagnosis", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cursor", name="pk_device_events"),
        sqlite_strict=True,
    )
    op.create_index("ix_device_events_device", "device_events", ["edge", "device", "cursor"])
    op.create_index("ix_device_events_record", "device_events", ["record"])
    # The site ledger was the only view: none of what came before is another one's.
    op.execute("UPDATE projection_cursors SET name = 'views' WHERE name = 'transactions'")
