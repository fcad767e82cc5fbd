"""Questions to the site ledger: by day, item and operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hub.transactions.tables import transactions


@dataclass(frozen=True)
class LedgerQuery:
    """Days are YYYY-MM-DD, both included; None = any."""

    site: str
    first_day: str | None = None
    last_day: str | None = None
    item: str | None = None
    operator: str | None = None

    def condition(self) -> sa.ColumnElement[bool]:
        table = transactions.c
        wanted = [table.site == self.site]
        wanted += [table.day >= self.first_day] if self.first_day else []
        wanted += [table.day <= self.last_day] if self.last_day else []
        wanted += [table.item == self.item] if self.item else []
        wanted += [table.operator == self.operator] if self.operator else []
        return sa.and_(*wanted)


def page(engine: sa.Engine, query: LedgerQuery, after: int, limit: int) -> list[dict[str, Any]]:
    """Rows behind a cursor, in the ledger's order."""
    statement = (sa.select(transactions).where(query.condition(), transactions.c.cursor > after)
                 .order_by(transactions.c.cursor).limit(limit))
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


def totals(engine: sa.Engine, query: LedgerQuery) -> list[dict[str, Any]]:
    """How many of each day, item and operator."""
    table = transactions.c
    keys = (table.day, table.item, table.operator)
    statement = (sa.select(*keys, sa.func.count().label("count")).where(query.condition())
                 .group_by(*keys).order_by(*keys))
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]
