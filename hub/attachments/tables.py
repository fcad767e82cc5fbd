"""Which attachments came, from whom, and which records name them. Keys are in none of these: they stay in the sealed records."""

from __future__ import annotations

import sqlalchemy as sa

from hub.database import metadata
from hub.resources.tables import Whole

# Those that are whole, by the SHA-256 of their sealed bytes. The file is the truth; this says whose it is.
attachments = sa.Table(
    "attachments", metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("size", Whole, nullable=False),  # of the sealed bytes
    sa.Column("edge", sa.Text, nullable=False),
    sa.Column("arrived_ms", Whole, nullable=False),
    sa.Column("backed_up_ms", Whole),  # when a backup held it, and the record that names it
    sqlite_strict=True,
)
of_edge = sa.Index("ix_attachments_edge", attachments.c.edge)

# What records say: projected with them, in one commit.
attachment_names = sa.Table(
    "attachment_names", metadata,
    sa.Column("cursor", Whole, primary_key=True, autoincrement=False),  # of the ledger's entry
    sa.Column("number", Whole, primary_key=True, autoincrement=False),  # 1, 2, … within its record
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("edge", sa.Text, nullable=False),
    sa.Column("journal", sa.Text, nullable=False),
    sa.Column("position", Whole, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("size", Whole, nullable=False),  # of the content
    sqlite_strict=True,
)
by_record = sa.Index("ix_attachment_names_record", attachment_names.c.record)
by_address = sa.Index("ix_attachment_names_address", attachment_names.c.address)
