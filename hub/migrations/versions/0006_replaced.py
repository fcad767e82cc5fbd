"""Why a machine was revoked, and which one came in its place; which machine an invitation is to replace."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("edges", sa.Column("revoked_why", sa.Text, nullable=False, server_default=""))
    op.add_column("edges", sa.Column("successor", sa.Text))
    op.add_column("invitations", sa.Column("replaces", sa.Text))
