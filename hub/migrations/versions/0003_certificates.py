"""A machine's certificates over its life; until here it had the one of its enrolment."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

Whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    enrolments = op.create_table(
        "enrolments",
        sa.Column("csr_hash", sa.LargeBinary, nullable=False),
        sa.Column("invitation", sa.Text, nullable=False),
        sa.Column("edge", sa.Text, nullable=False),
        sa.Column("record_key_id", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("csr_hash", name="pk_enrolments"),
        sa.ForeignKeyConstraint(["invitation"], ["invitations.id"]),
        sa.ForeignKeyConstraint(["edge"], ["edges.edge"]),
        sa.UniqueConstraint("record_key_id", name="uq_enrolments_record_key_id"),
        sqlite_strict=True,
    )
    machine_certificates = op.create_table(
        "machine_certificates",
        sa.Column("edge", sa.Text, nullable=False),
        sa.Column("generation", Whole, nullable=False, autoincrement=False),
        sa.Column("csr_hash", sa.LargeBinary, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
        sa.Column("not_after_ms", Whole, nullable=False),
        sa.Column("issued_ms", Whole, nullable=False),
        sa.Column("asked_from", sa.Text, nullable=False),
        sa.Column("first_used_ms", Whole),
        sa.PrimaryKeyConstraint("edge", "generation", name="pk_machine_certificates"),
        sa.ForeignKeyConstraint(["edge"], ["edges.edge"]),
        sa.UniqueConstraint("csr_hash", name="uq_machine_certificates_csr_hash"),
        sa.UniqueConstraint("fingerprint", name="uq_machine_certificates_fingerprint"),
        sqlite_strict=True,
    )
    op.create_index("ix_machine_certificates_not_after_ms", "machine_certificates", ["not_after_ms"])
    _move(enrolments, machine_certificates)
    op.drop_table("certificates")


def _move(enrolments: sa.Table, machine_certificates: sa.Table) -> None:
    """What stood in one row: how the machine came, and what it got."""
    connection = op.get_bind()
    old = sa.table("certificates", *map(sa.column, (
        "csr_hash", "invitation", "edge", "certificate", "record_key_id", "not_after_ms")))
    edges = sa.table("edges", sa.column("edge"), sa.column("enrolled_ms"))
    for row in connection.execute(sa.select(old, edges.c.enrolled_ms).join(edges, edges.c.edge == old.c.edge)).all():
        connection.execute(enrolments.insert().values(
            csr_hash=row.csr_hash, invitation=row.invitation, edge=row.edge, record_key_id=row.record_key_id))
        connection.execute(machine_certificates.insert().values(
            edge=row.edge, generation=0, csr_hash=row.csr_hash, fingerprint=hashlib.sha256(row.certificate).digest(),
            certificate=row.certificate, not_after_ms=row.not_after_ms, issued_ms=row.enrolled_ms, asked_from=""))
