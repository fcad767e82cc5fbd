"""Sites, their machines, how these came, and the certificates they got."""

from __future__ import annotations

import sqlalchemy as sa

from hub.database import metadata
from hub.resources.tables import Whole

sites = sa.Table(
    "sites",
    metadata,
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, sa.CheckConstraint("kind IN ('office', 'station')"), nullable=False),
    sa.Column("county", sa.Text, nullable=False),
    sqlite_strict=True,
)

edges = sa.Table(
    "edges",
    metadata,
    sa.Column("edge", sa.Text, primary_key=True),
    sa.Column("site", sa.Text, sa.ForeignKey("sites.code"), nullable=False),
    sa.Column("machine", sa.Text, nullable=False),
    sa.Column("enrolled_ms", Whole, nullable=False),
    sa.Column("revoked_ms", Whole),
    sa.Column("revoked_why", sa.Text, nullable=False, server_default=""),
    # The machine that came in its place; empty when a person revoked it, and then only an invitation brings it back.
    sa.Column("successor", sa.Text),
    sqlite_strict=True,
)

invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("site", sa.Text, sa.ForeignKey("sites.code"), nullable=False),
    sa.Column("secret_hash", sa.LargeBinary, nullable=False),
    sa.Column("created_ms", Whole, nullable=False),
    sa.Column("expires_ms", Whole, nullable=False),
    sa.Column("edge", sa.Text, sa.ForeignKey("edges.edge")),
    # The machine in whose place another one may come; a hub that was restored may not know it, so this is no foreign key.
    sa.Column("replaces", sa.Text),
    sqlite_strict=True,
)

# By its request, so that an answer that was lost can be given again.
enrolments = sa.Table(
    "enrolments",
    metadata,
    sa.Column("csr_hash", sa.LargeBinary, primary_key=True),
    sa.Column("invitation", sa.Text, sa.ForeignKey("invitations.id"), nullable=False),
    sa.Column("edge", sa.Text, sa.ForeignKey("edges.edge"), nullable=False),
    sa.Column("record_key_id", sa.LargeBinary, nullable=False, unique=True),
    sqlite_strict=True,
)

# Every certificate that a machine ever got: 0 at enrolment, one more at each renewal. `asked_from` is the peer who asked;
# `first_used_ms` when a stream first came with it, and from then on no older one is taken.
machine_certificates = sa.Table(
    "machine_certificates",
    metadata,
    sa.Column("edge", sa.Text, sa.ForeignKey("edges.edge"), primary_key=True),
    sa.Column("generation", Whole, primary_key=True, autoincrement=False),
    sa.Column("csr_hash", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("fingerprint", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("certificate", sa.LargeBinary, nullable=False),
    sa.Column("not_after_ms", Whole, nullable=False, index=True),
    sa.Column("issued_ms", Whole, nullable=False),
    sa.Column("asked_from", sa.Text, nullable=False),
    sa.Column("first_used_ms", Whole),
    sqlite_strict=True,
)

# The journals that a machine brought when it enrolled. They enter the ledger in a second commit; this one claims them.
declarations = sa.Table(
    "declarations",
    metadata,
    sa.Column("journal", sa.Text, primary_key=True),
    sa.Column("edge", sa.Text, sa.ForeignKey("edges.edge"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sqlite_strict=True,
)
