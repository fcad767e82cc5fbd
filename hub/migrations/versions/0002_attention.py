"""What people must look at or decide: alarms and approvals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("raised_ms", Whole, nullable=False),
        sa.Column("repeated_ms", Whole, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("cleared_ms", Whole),
        sa.Column("cleared_by", sa.Text, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name="pk_alarms"),
        sqlite_strict=True,
    )
    still_open = sa.text("cleared_ms IS NULL")
    op.create_index("ix_alarms_open", "alarms", ["kind", "subject"], unique=True, sqlite_where=still_open,
                    postgresql_where=still_open)
    op.create_table(
        "approvals",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("asked_ms", Whole, nullable=False),
        sa.Column("state", sa.Text, sa.CheckConstraint("state IN ('waiting', 'approved', 'refused')"), nullable=False),
        sa.Column("decided_ms", Whole),
        sa.Column("decided_by", sa.Text, nullable=False, server_default=""),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
        sa.UniqueConstraint("kind", "key", name="uq_approvals_kind"),
        sqlite_strict=True,
    )
