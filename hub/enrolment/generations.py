"""The certificates that one machine got, as they stand in the table."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from hub.enrolment.tables import edges, machine_certificates


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate (DER), and who asked for it and when. `first_used_ms` is None until a stream came with it."""

    generation: int
    csr_hash: bytes
    certificate: bytes
    not_after_ms: int
    issued_ms: int
    asked_from: str
    first_used_ms: int | None


@dataclass(frozen=True, slots=True)
class History:
    """What there is of a machine: -1 for a generation that does not exist. `successor` came in its place."""

    revoked_ms: int | None
    newest: int
    newest_used: int
    revoked_why: str = ""
    successor: UUID | None = None

    @property
    def revoked_by_person(self) -> bool:
        return self.revoked_ms is not None and self.successor is None


_COLUMNS = [machine_certificates.c[name] for name in Issued.__dataclass_fields__]


def history(connection: sa.Connection, edge: UUID) -> History | None:
    """None for a machine that is not enrolled here."""
    row = connection.execute(sa.select(edges).where(edges.c.edge == str(edge))).one_or_none()
    if row is None:
        return None
    used = sa.case((machine_certificates.c.first_used_ms.is_not(None), machine_certificates.c.generation))
    newest, newest_used = connection.execute(sa.select(
        sa.func.coalesce(sa.func.max(machine_certificates.c.generation), -1), sa.func.coalesce(sa.func.max(used), -1),
    ).where(machine_certificates.c.edge == str(edge))).one()
    return History(row.revoked_ms, newest, newest_used, row.revoked_why, UUID(row.successor) if row.successor else None)


def issued(connection: sa.Connection, edge: UUID, generation: int) -> Issued | None:
    query = sa.select(*_COLUMNS).where(machine_certificates.c.edge == str(edge),
                                       machine_certificates.c.generation == generation)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else Issued(**row)


def issued_as(connection: sa.Connection, edge: UUID, fingerprint: bytes) -> Issued | None:
    """The certificate with this SHA-256 of its DER, if this machine got it here."""
    query = sa.select(*_COLUMNS).where(machine_certificates.c.edge == str(edge),
                                       machine_certificates.c.fingerprint == fingerprint)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else Issued(**row)
