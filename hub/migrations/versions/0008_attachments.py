"""Attachments that came, and the records that name them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "attachments",
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("size", Whole, nullable=False),
        sa.Column("edge", sa.Text, nullable=False),
        sa.Column("arrived_ms", Whole, nullable=False),
        sa.Column("backed_up_ms", Whole),
        sa.PrimaryKeyConstraint("address", name="pk_attachments"),
        sqlite_strict=True,
    )
    op.create_index("ix_attachments_edge", "attachments", ["edge"])
    op.create_table(
        "attachment_names",
        sa.Column("cursor", Whole, nullable=False),
        sa.Column("number", Whole, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("edge", sa.Text, nullable=False),
        sa.Column("journal", sa.Text, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size", Whole, nullable=False),
        sa.PrimaryKeyConstraint("cursor", "number", name="pk_attachment_names"),
        sqlite_strict=True,
    )
    op.create_index("ix_attachment_names_record", "attachment_names", ["record"])
    op.create_index("ix_attachment_names_address", "attachment_names", ["address"])
