"""Questions to what machines have told of their devices."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hub.enrolment.tables import edges
from hub.fleet.diagnosis import Ailing
from hub.fleet.tables import device_events
from hub.ledger.earlier_machines import earlier_machines

OF_DEVICES = device_events.c.device != ""  # and not how many were lost


def devices_of(engine: sa.Engine, edge: UUID) -> list[dict[str, Any]]:
    """The newest event of each device of a machine, by name. What it told under an earlier identity it does not tell again."""
    table = device_events
    with engine.connect() as connection:
        told_by = [str(edge), *map(str, earlier_machines(connection, edge))]
        newest = sa.select(sa.func.max(table.c.cursor)).where(table.c.edge.in_(told_by), OF_DEVICES).group_by(table.c.device)
        statement = sa.select(table).where(table.c.cursor.in_(newest)).order_by(table.c.device)
        return [dict(row) for row in connection.execute(statement).mappings()]


def events_behind(engine: sa.Engine, edge: UUID | None, after: int, limit: int) -> list[dict[str, Any]]:
    """Events of one machine, or of all, in the ledger's order."""
    table = device_events
    wanted = [table.c.cursor > after] + ([table.c.edge == str(edge)] if edge else [])
    statement = sa.select(table).where(*wanted).order_by(table.c.cursor).limit(limit)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def ailing_devices(engine: sa.Engine) -> dict[str, list[Ailing]]:
    """Those with which somebody has to do something, by machine and name; a machine that was followed has none of its own."""
    table = device_events
    newest = sa.select(sa.func.max(table.c.cursor)).where(OF_DEVICES).group_by(table.c.edge, table.c.device)
    statement = sa.select(table.c.edge, table.c.device, table.c.mender, table.c.diagnosis).where(table.c.cursor.in_(newest))
    followed = sa.select(edges.c.edge, edges.c.successor).where(edges.c.successor.is_not(None))
    with engine.connect() as connection:
        after = {row.edge: row.successor for row in connection.execute(followed)}
        last = {(_last(row.edge, after), row.device): row for row in connection.execute(statement.order_by(table.c.cursor))}
    found: dict[str, list[Ailing]] = {}
    for (edge, device), row in sorted(last.items()):
        if row.mender:
            found.setdefault(edge, []).append(Ailing(device, row.mender, row.diagnosis))
    return found


def _last(edge: str, after: dict[str, str]) -> str:
    seen = {edge}
    while (following := after.get(edge, edge)) not in seen:
        seen.add(following)
        edge = following
    return edge
