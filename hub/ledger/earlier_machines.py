"""Which identities a machine had before: those whose journals its own journals follow, and those that these followed."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa

_after = sa.table("journals", sa.column("edge"), sa.column("predecessor")).alias("later")
_before = sa.table("journals", sa.column("edge"), sa.column("journal")).alias("earlier")


def earlier_machines(connection: sa.Connection, edge: UUID) -> list[UUID]:
    """By the journals' geneses, which are in the ledger for good; in no order. A copied disk's machines have them in common."""
    chain = sa.select(sa.literal(edge.bytes, sa.LargeBinary).label("edge")).cte("chain", recursive=True)
    followed = sa.select(_before.c.edge).select_from(
        chain.join(_after, _after.c.edge == chain.c.edge).join(_before, _before.c.journal == _after.c.predecessor))
    chain = chain.union(followed)  # not all: journals of two kinds lead to the same machine
    found = connection.execute(sa.select(chain.c.edge).where(chain.c.edge != edge.bytes)).scalars()
    return [UUID(bytes=one) for one in found]
