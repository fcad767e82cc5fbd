"""What the site ledger shows. A resident's whole ID number never gets here."""

from __future__ import annotations

import sqlalchemy as sa

from hub.database import metadata
from hub.resources.tables import Whole

transactions = sa.Table(
    "transactions", metadata,
    sa.Column("cursor", Whole, primary_key=True, autoincrement=False),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("day", sa.Text, nullable=False),  # YYYY-MM-DD in China, of the claimed time
    sa.Column("claimed_ms", Whole, nullable=False),
    sa.Column("arrived_ms", Whole, nullable=False),
    sa.Column("item", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("operator", sa.Text, nullable=False),
    sa.Column("operator_verified", sa.SmallInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sa.Column("resident", sa.Text, nullable=False),  # masked
    sa.Column("id_number", sa.Text, nullable=False),  # masked
    sa.Column("edge", sa.Text, nullable=False),
    sa.Column("journal", sa.Text, nullable=False),
    sa.Column("position", Whole, nullable=False),
    sa.Column("record", sa.Text, nullable=False),
    sa.Column("simulated", sa.SmallInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    sqlite_strict=True,
)
site_days = sa.Index("ix_transactions_site_day", transactions.c.site, transactions.c.day)
records = sa.Index("ix_transactions_record", transactions.c.record)
