"""`suozhan-hub findings`: what the audit found, and which records the site ledger does not show."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
import typer

from hub.attention.command import utc
from hub.audit.tables import findings as audited
from hub.database import open_engine
from hub.projection.tables import findings as unshown
from hub.state import HubState

Last = Annotated[int, typer.Option(min=1, help="How many of each kind, the newest.")]


def findings(context: typer.Context, last: Last = 100) -> None:
    """Records that do not hold what was signed or sealed, and records that make no sense; each with its place."""
    state: HubState = context.obj
    state.config()
    engine = open_engine(state.database)
    with engine.connect() as connection:
        audit = connection.execute(sa.select(audited).order_by(audited.c.id.desc()).limit(last)).all()
        projection = connection.execute(sa.select(unshown).order_by(unshown.c.cursor.desc()).limit(last)).all()
    engine.dispose()
    for row in reversed(audit):
        typer.echo(f"audit\t{utc(row.found_ms)}\t{_place(row)}\t{row.reason}")
    for row in reversed(projection):
        typer.echo(f"not shown\t-\t{_place(row)}\t{row.reason}")
    typer.echo(f"{len(audit)} findings of the audit, {len(projection)} records that are not shown." if audit or projection
               else "No findings.")


def _place(row: sa.Row[tuple[object, ...]]) -> str:
    return f"cursor {row.cursor}\tjournal {row.journal or '?'}\tposition {row.position or '?'}"
