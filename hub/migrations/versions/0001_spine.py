"""The spine: ledger, resources, enrolment, transactions, tokens."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from importlib.resources import files

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _ledger()
    _enrolment()
    _resources()
    _transactions()
    _tokens()


def _ledger() -> None:
    """Native SQL: the hot path's schema is one file per engine."""
    script = files("hub.ledger").joinpath("schema_sqlite.sql")
    for statement in _statements(script.read_text(encoding="utf-8")):
        # Not op.execute: it would read ":" as a parameter.
        op.get_bind().exec_driver_sql(statement)


def _statements(script: str) -> Iterator[str]:
    """One by one: executescript would commit what came before."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    assert not statement.strip() or statement.lstrip().startswith("--"), "the schema ends in the middle of a statement"


def _enrolment() -> None:
    op.create_table(
        "sites",
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, sa.CheckConstraint("kind IN ('office', 'station')"), nullable=False),
        sa.Column("county", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("code", name="pk_sites"),
        sqlite_strict=True,
    )
    op.create_table(
        "edges",
        sa.Column("edge", sa.Text, nullable=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("machine", sa.Text, nullable=False),
        sa.Column("enrolled_ms", Whole, nullable=False),
        sa.Column("revoked_ms", Whole),
        sa.PrimaryKeyConstraint("edge", name="pk_edges"),
        sa.ForeignKeyConstraint(["site"], ["sites.code"]),
        sqlite_strict=True,
    )
    op.create_table(
        "invitations",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("created_ms", Whole, nullable=False),
        sa.Column("expires_ms", Whole, nullable=False),
        sa.Column("edge", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_invitations"),
        sa.ForeignKeyConstraint(["site"], ["sites.code"]),
        sa.ForeignKeyConstraint(["edge"], ["edges.edge"]),
        sqlite_strict=True,
    )
    op.create_table(
        "certificates",
        sa.Column("csr_hash", sa.LargeBinary, nullable=False),
        sa.Column("invitation", sa.Text, nullable=False),
        sa.Column("edge", sa.Text, nullable=False),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
        sa.Column("record_key_id", sa.LargeBinary, nullable=False),
        sa.Column("not_after_ms", Whole, nullable=False),
        sa.PrimaryKeyConstraint("csr_hash", name="pk_certificates"),
        sa.ForeignKeyConstraint(["invitation"], ["invitations.id"]),
        sa.ForeignKeyConstraint(["edge"], ["edges.edge"]),
        sa.UniqueConstraint("record_key_id", name="uq_certificates_record_key_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "declarations",
        sa.Column("journal", sa.Text, nullable=False),
        sa.Column("edge", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("journal", name="pk_declarations"),
        sa.ForeignKeyConstraint(["edge"], ["edges.edge"]),
        sqlite_strict=True,
    )


def _resources() -> None:
    op.create_table(
        "resource_heads",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("number", Whole, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_resource_heads"),
        sqlite_strict=True,
    )
    op.create_table(
        "resources",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("number", Whole, nullable=False),
        sa.Column("audience", sa.Text, nullable=False),
        sa.Column("expires_ms", Whole, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.LargeBinary, nullable=False),
        sa.Column("published_ms", Whole, nullable=False),
        sa.PrimaryKeyConstraint("name", "epoch", "number", name="pk_resources"),
        sqlite_strict=True,
    )
    op.create_table(
        "resource_reports",
        sa.Column("edge", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.Column("number", Whole, nullable=False),
        sa.Column("applied", sa.SmallInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("reported_ms", Whole, nullable=False),
        sa.PrimaryKeyConstraint("edge", "name", name="pk_resource_reports"),
        sqlite_strict=True,
    )


def _transactions() -> None:
    flag = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "transactions",
        sa.Column("cursor", Whole, nullable=False, autoincrement=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("claimed_ms", Whole, nullable=False),
        sa.Column("arrived_ms", Whole, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("operator", sa.Text, nullable=False),
        sa.Column("operator_verified", flag, nullable=False),
        sa.Column("resident", sa.Text, nullable=False),
        sa.Column("id_number", sa.Text, nullable=False),
        sa.Column("edge", sa.Text, nullable=False),
        sa.Column("journal", sa.Text, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("simulated", flag, nullable=False),
        sa.PrimaryKeyConstraint("cursor", name="pk_transactions"),
        sqlite_strict=True,
    )
    op.create_index("ix_transactions_site_day", "transactions", ["site", "day"])
    op.create_index("ix_transactions_record", "transactions", ["record"])
    op.create_table(
        "projection_cursors",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("cursor", Whole, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_projection_cursors"),
        sqlite_strict=True,
    )
    op.create_table(
        "projection_findings",
        sa.Column("cursor", Whole, nullable=False, autoincrement=False),
        sa.Column("edge", sa.Text, nullable=False),
        sa.Column("journal", sa.Text, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("cursor", name="pk_projection_findings"),
        sqlite_strict=True,
    )


def _tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_ms", Whole, nullable=False),
        sa.Column("expires_ms", Whole),
        sa.Column("revoked_ms", Whole),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sqlite_strict=True,
    )
