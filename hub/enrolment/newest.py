"""The newest certificate of every machine, for lists and metrics."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from hub.enrolment.tables import edges, machine_certificates


@dataclass(frozen=True, slots=True)
class NewestCertificate:
    """`used`: a stream has come with it."""

    edge: str
    site: str
    generation: int
    not_after_ms: int
    used: bool
    revoked: bool


def newest_certificates(engine: sa.Engine) -> list[NewestCertificate]:
    """By site and machine."""
    newest = sa.select(machine_certificates.c.edge, sa.func.max(machine_certificates.c.generation).label("generation")).group_by(
        machine_certificates.c.edge).subquery()
    query = sa.select(edges.c.edge, edges.c.site, edges.c.revoked_ms, machine_certificates).select_from(
        edges.join(newest, newest.c.edge == edges.c.edge).join(machine_certificates, sa.and_(
            machine_certificates.c.edge == newest.c.edge, machine_certificates.c.generation == newest.c.generation))
    ).order_by(edges.c.site, edges.c.enrolled_ms)
    with engine.connect() as connection:
        return [NewestCertificate(row.edge, row.site, row.generation, row.not_after_ms, row.first_used_ms is not None,
                                  row.revoked_ms is not None) for row in connection.execute(query)]
