"""Published resources in the database: the next number, the newest for an edge, and the edges' reports. Synchronous."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

from hub.ledger.earlier_machines import earlier_machines
from hub.resources.payload import content_of, encode_payload
from hub.resources.tables import heads, reports, resources
from hub.resources.versions import RESOURCE_MAX_BYTES, NamedVersion, Report, SignedResource, Version, valid_name
from security.clock import Clock
from security.signer import Signer
from security.statements import sign_resource

ALL = "all"
FIRST_EPOCH = 1
NEVER = 0


class ResourceInvalid(ValueError):
    """A resource that must not be published."""


def publish(engine: sa.Engine, signer: Signer, clock: Clock, name: str, content: bytes, audience: str | UUID = ALL,
            expires_ms: int = NEVER) -> SignedResource:
    """Sign `content` under the next number of `name` and commit it: durable on return. Raises ResourceInvalid."""
    _check(name, content, expires_ms, clock.unix_ms())
    with engine.begin() as connection:
        return _add(connection, signer, clock, name, content, str(audience), expires_ms)


def renew_epoch(engine: sa.Engine, signer: Signer, clock: Clock, epoch: int) -> None:
    """Publish again, in a new epoch, the newest version for each audience: whatever edges hold of an older one gives way.

    A repeat changes nothing. All of it is one commit.
    """
    with engine.begin() as connection:
        old = {row.name for row in connection.execute(sa.select(heads)) if row.epoch < epoch}
        newest = sa.select(resources).order_by(resources.c.name, resources.c.epoch, resources.c.number)
        latest = {(row.name, row.audience): row for row in connection.execute(newest) if row.name in old}
        for name in old:
            connection.execute(heads.update().where(heads.c.name == name).values(epoch=epoch, number=0))
        for (name, audience), row in latest.items():
            _add(connection, signer, clock, name, content_of(row.payload), audience, row.expires_ms)


def _add(connection: sa.Connection, signer: Signer, clock: Clock, name: str, content: bytes, audience: str,
         expires_ms: int) -> SignedResource:
    subject = NamedVersion(name, _next_version(connection, name))
    payload = encode_payload(subject, audience, expires_ms, content)
    resource = SignedResource(subject, signer.key_id, payload, sign_resource(signer, payload))
    connection.execute(resources.insert().values(
        name=name, audience=audience, epoch=subject.version.epoch, number=subject.version.number,
        expires_ms=expires_ms, payload=payload, signature=resource.signature, key_id=resource.key_id,
        published_ms=clock.unix_ms(),
    ))
    return resource


def _check(name: str, content: bytes, expires_ms: int, now_ms: int) -> None:
    if not valid_name(name):
        raise ResourceInvalid(f"{name!r} is no name of a resource; use a-z, 0-9 and hyphens, at most 63")
    if len(content) > RESOURCE_MAX_BYTES:
        raise ResourceInvalid(f"{name} has {len(content)} bytes; shorten it to {RESOURCE_MAX_BYTES}")
    if expires_ms and expires_ms <= now_ms:
        raise ResourceInvalid(f"{name} would be expired already; choose a later end")


def _next_version(connection: sa.Connection, name: str) -> Version:
    # The update comes first and takes the lock: two publishers never see the same number.
    update = heads.update().where(heads.c.name == name).values(number=heads.c.number + 1)
    row = connection.execute(update.returning(heads.c.epoch, heads.c.number)).one_or_none()
    if row is None:
        connection.execute(heads.insert().values(name=name, epoch=FIRST_EPOCH, number=1))
        return Version(FIRST_EPOCH, 1)
    return Version(row.epoch, row.number)


def head_versions(engine: sa.Engine) -> dict[str, Version]:
    """The newest number of each name, whatever its audience: changes with every publication."""
    with engine.connect() as connection:
        return {row.name: Version(row.epoch, row.number) for row in connection.execute(sa.select(heads))}


def newest_for(engine: sa.Engine, edge: UUID, now_ms: int) -> dict[str, Version]:
    """The newest version of each name that is meant for `edge`, those that have expired left out.

    What was meant for an identity that this machine had before is meant for it: it stands where it stood, with its devices.
    """
    rank = sa.func.row_number().over(
        partition_by=resources.c.name, order_by=(resources.c.epoch.desc(), resources.c.number.desc())
    )
    columns = (resources.c.name, resources.c.epoch, resources.c.number, resources.c.expires_ms)
    with engine.connect() as connection:
        meant = (ALL, str(edge), *map(str, earlier_machines(connection, edge)))
        newest = sa.select(*columns, rank.label("rank")).where(resources.c.audience.in_(meant)).subquery()
        # Expiry is judged after the rank: an older version never comes back because the newest has ended.
        alive = sa.or_(newest.c.expires_ms == NEVER, newest.c.expires_ms > now_ms)
        rows = connection.execute(sa.select(newest).where(newest.c.rank == 1, alive))
        return {row.name: Version(row.epoch, row.number) for row in rows}


def fetch(engine: sa.Engine, subject: NamedVersion) -> SignedResource | None:
    """The signed bytes of one version; None when there is no such version."""
    query = sa.select(resources.c.key_id, resources.c.payload, resources.c.signature).where(
        resources.c.name == subject.name, resources.c.epoch == subject.version.epoch,
        resources.c.number == subject.version.number,
    )
    with engine.connect() as connection:
        row = connection.execute(query).one_or_none()
    return SignedResource(subject, row.key_id, row.payload, row.signature) if row else None


def store_report(engine: sa.Engine, edge: UUID, report: Report, now_ms: int) -> None:
    """Replaces what the edge said before about this name."""
    own = sa.and_(reports.c.edge == str(edge), reports.c.name == report.subject.name)
    values = {"epoch": report.subject.version.epoch, "number": report.subject.version.number,
              "applied": int(report.applied), "reason": report.reason, "reported_ms": now_ms}
    with engine.begin() as connection:
        if connection.execute(reports.update().where(own).values(values)).rowcount == 0:
            connection.execute(reports.insert().values(edge=str(edge), name=report.subject.name, **values))


def newest_reports(engine: sa.Engine, edge: UUID) -> list[Report]:
    """The edge's last word about each name, by name."""
    query = sa.select(reports).where(reports.c.edge == str(edge)).order_by(reports.c.name)
    with engine.connect() as connection:
        return [
            Report(NamedVersion(row.name, Version(row.epoch, row.number)), bool(row.applied), row.reason)
            for row in connection.execute(query)
        ]
