"""How far the audit is, what it has found, and the data keys that it has seen."""

from __future__ import annotations

import sqlalchemy as sa

from hub.database import metadata
from hub.resources.tables import Whole

audited = sa.Table(
    "audited", metadata,
    sa.Column("only", sa.Integer, sa.CheckConstraint("only = 1"), primary_key=True),
    sa.Column("cursor", Whole, nullable=False),
    sqlite_strict=True,
)

# `journal` and `position` are of the record, "" and 0 where nobody knows them.
findings = sa.Table(
    "audit_findings", metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("cursor", Whole, nullable=False),
    sa.Column("journal", sa.Text, nullable=False),
    sa.Column("position", Whole, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("found_ms", Whole, nullable=False),
    sqlite_strict=True,
)

# SHA-256 of the secret, which is 32 random bytes: nobody finds it by trying. `counter` is the highest that a record used.
data_keys = sa.Table(
    "audit_data_keys", metadata,
    sa.Column("fingerprint", sa.LargeBinary, nullable=False),
    sa.Column("journal", sa.Text, nullable=False),
    sa.Column("position", Whole, nullable=False),
    sa.Column("counter", Whole, nullable=False),
    sa.PrimaryKeyConstraint("fingerprint", "journal", "position"),
    sqlite_strict=True,
)
places = sa.Index("ix_audit_data_keys_journal_position", data_keys.c.journal, data_keys.c.position)
