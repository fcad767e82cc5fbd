"""The background audit: how far it is, what it found, which data keys it has seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audited",
        sa.Column("only", sa.Integer, sa.CheckConstraint("only = 1"), nullable=False),
        sa.Column("cursor", Whole, nullable=False),
        sa.PrimaryKeyConstraint("only", name="pk_audited"),
        sqlite_strict=True,
    )
    op.create_table(
        "audit_findings",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("cursor", Whole, nullable=False),
        sa.Column("journal", sa.Text, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("found_ms", Whole, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_findings"),
        sqlite_strict=True,
    )
    op.create_table(
        "audit_data_keys",
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("journal", sa.Text, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("counter", Whole, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "journal", "position", name="pk_audit_data_keys"),
        sqlite_strict=True,
    )
    op.create_index("ix_audit_data_keys_journal_position", "audit_data_keys", ["journal", "position"])
