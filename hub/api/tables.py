"""Bearer tokens; only hashes of their secrets."""

from __future__ import annotations

import sqlalchemy as sa

from hub.database import metadata
from hub.resources.tables import Whole

api_tokens = sa.Table(
    "api_tokens", metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),  # separated by blanks
    sa.Column("created_ms", Whole, nullable=False),
    sa.Column("expires_ms", Whole),
    sa.Column("revoked_ms", Whole),
    sqlite_strict=True,
)
