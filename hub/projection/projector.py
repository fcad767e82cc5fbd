"""Follows the feed, opens bodies, writes the views. Its cursor moves in the commit of their rows: once, like all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from hub.ledger.carried import CarriedRefused, unpacked
from hub.ledger.data_keys import DataKeys
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import DamagedRow, Entry
from hub.outage import Outage
from hub.projection.tables import cursors, findings
from hub.projection.view import PARTS, MeaninglessBody, Row, View
from security.record import CarriedRecord, MalformedRecord, Record, SealedBody, WrappedKey, parse_record
from security.sealing import SealBroken, Unsealer

NAME = "views"
PAGE_ENTRIES = 200
POLL_S = 0.5
PATIENCE_S = 1.0  # between two pages, while ingest is busy

log = structlog.get_logger()


Quiet = Callable[[float], Awaitable[None]]


async def _at_once(_patience_s: float) -> None:
    """No ingest beside us."""


class Projector:
    """`await projector.run()`; safe to stop anywhere. `quiet` waits until ingest is idle, at most so many seconds."""

    def __init__(self, engine: sa.Engine, database: Path, unsealer: Unsealer, views: Sequence[View],
                 quiet: Quiet = _at_once) -> None:
        self._engine = engine
        self._views = {kind: view for view in views for kind in view.kinds}
        self._database = database
        self._quiet = quiet
        self._outage = Outage("projection")
        self._keys = DataKeys(unsealer)

    async def run(self) -> None:
        while True:
            await self._quiet(PATIENCE_S)  # records go before projections
            taken = 0
            with self._outage:
                taken = await asyncio.to_thread(self.step)
            if not taken:
                await asyncio.sleep(POLL_S)

    def step(self) -> int:
        """One page of the feed, in one commit. Returns the entries taken; 0 at the end of the feed."""
        after = self.cursor()
        with LedgerReader(self._database) as ledger:
            try:
                page = ledger.feed(after, PAGE_ENTRIES)
            except DamagedRow as error:
                # What its entries were nobody knows any more; those behind it are sound.
                behind = max(ledger.behind(error), after + 1)
                self._commit(after, behind, [], [_finding(after + 1, str(error))])
                return behind - after
            rows: list[Row] = []
            wrong: list[dict[str, Any]] = []
            keys: list[Record] = []
            for entry in page:
                row = self._try(ledger, entry, keys)
                if isinstance(row, str):
                    wrong.append(_finding(entry.cursor, row, entry))
                else:
                    rows += [row] if row else []
            for key in keys:
                rows += self._opened_by(ledger, key, wrong)
        if page:
            self._commit(after, page[-1].cursor, self._once(rows), wrong)
        return len(page)

    def _try(self, ledger: LedgerReader, entry: Entry, keys: list[Record]) -> Row | str | None:
        """What an entry shows, or why it makes no sense; into `keys` comes a lost data key that it brings back."""
        try:
            return self._row(ledger, entry, keys)
        except (MalformedRecord, SealBroken, MeaninglessBody, CarriedRefused, DamagedRow) as error:
            return str(error)
        except (ValueError, ArithmeticError, LookupError) as error:
            # A bug of ours; still no machine's record may stop all others. Its text might quote the body.
            return f"it cannot be read ({type(error).__name__}); update this program"

    def _opened_by(self, ledger: LedgerReader, key: Record, wrong: list[dict[str, Any]]) -> list[Row]:
        """What came behind the hole that a data key was lost in, and was a finding for want of it."""
        same = sa.and_(findings.c.journal == str(key.journal), findings.c.position > key.position)
        with self._engine.connect() as connection:
            places = [row.position for row in connection.execute(sa.select(findings.c.position).where(same))]
        places += [one["position"] for one in wrong if one["journal"] == str(key.journal) and one["position"] > key.position]
        rows: list[Row] = []
        for position in places:
            with suppress(DamagedRow):  # a finding, and it stays one
                entry = ledger.entry(key.journal, position)
                row = self._try(ledger, entry, []) if entry else None
                rows += [row] if isinstance(row, Row) else []
        return rows

    def cursor(self) -> int:
        """How far the feed is projected."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(cursors.c.cursor).where(cursors.c.name == NAME)).one_or_none()
        return row.cursor if row else 0

    def _commit(self, after: int, cursor: int, rows: list[Row], wrong: list[dict[str, Any]]) -> None:
        with self._engine.begin() as connection:
            if after == 0:
                connection.execute(cursors.insert().values(name=NAME, cursor=cursor))
            else:
                connection.execute(cursors.update().where(cursors.c.name == NAME).values(cursor=cursor))
            shown = {row.cursor for row in rows}
            wrong = [one for one in wrong if one["cursor"] not in shown]
            for view in {row.view for row in rows}:
                connection.execute(view.table.insert(), [row.values for row in rows if row.view is view])
                parts = [part for row in rows if row.view is view for part in row.parts]
                if view.parts is not None and parts:
                    connection.execute(view.parts.insert(), parts)
            if shown:
                connection.execute(findings.delete().where(findings.c.cursor.in_(shown)))
            if wrong:
                connection.execute(findings.insert(), wrong)

    def _row(self, ledger: LedgerReader, entry: Entry, keys: list[Record]) -> Row | None:
        record = parse_record(entry.payload)
        if (record.edge, record.journal, record.position) != (entry.edge, entry.journal, entry.position):
            raise MalformedRecord("the record says twice where it stands, and not the same")
        if isinstance(record.content, WrappedKey):
            self._keys.learn(record, record.content)
        key: WrappedKey | None = None
        if isinstance(record.content, CarriedRecord):
            inner = unpacked(ledger, record.journal, record.content)
            if inner is None or self._is_known(inner.record):
                return None
            record, key = inner.record, inner.carried.data_key
            if inner.in_hole and isinstance(record.content, WrappedKey):
                self._keys.learn(record, record.content)
                keys.append(record)
        view = self._views.get(record.kind)
        if view is None:
            return None
        if not isinstance(record.content, SealedBody):
            raise MeaninglessBody(f"the body of a {record.kind} has to be sealed")
        values = view.row(record, self._keys.open(ledger, record, record.content, key))
        parts = values.pop(PARTS, ())
        place = {"cursor": entry.cursor, "edge": str(record.edge), "journal": str(record.journal), "position": record.position,
                 "record": str(record.id)}
        return Row(view, entry.cursor, record,
                   values | place | {"arrived_ms": entry.arrived_ms, "simulated": int(record.simulated)},
                   [part | place | {"number": number} for number, part in enumerate(parts, 1)])

    def _is_known(self, record: Record) -> bool:
        """Whether it was carried here before, by another machine or a file: this copy may lack the key that opened that one."""
        view = self._views.get(record.kind)
        return view is not None and bool(self._known(view, [record]))

    def _once(self, rows: list[Row]) -> list[Row]:
        """The first row of each record: what was carried, by a machine or a file, may come again in its own journal."""
        known = {name for view in {row.view for row in rows}
                 for name in self._known(view, [row.record for row in rows if row.view is view])}
        first = {_name(row.record): row for row in reversed(rows)}
        return [row for row in rows if _name(row.record) not in known and first[_name(row.record)] is row]

    def _known(self, view: View, records: Sequence[Record]) -> set[tuple[str, str]]:
        """Of these records, by id and journal, those that the view shows."""
        table, wanted = view.table.c, {_name(record) for record in records}
        with self._engine.connect() as connection:
            shown = connection.execute(sa.select(table.record, table.journal).where(table.record.in_({one for one, _ in wanted})))
            return {(row.record, row.journal) for row in shown} & wanted


def _name(record: Record) -> tuple[str, str]:
    return str(record.id), str(record.journal)


def _finding(cursor: int, reason: str, entry: Entry | None = None) -> dict[str, Any]:
    log.warning("record makes no sense", cursor=cursor, reason=reason)
    return {"cursor": cursor, "edge": str(entry.edge) if entry else "", "journal": str(entry.journal) if entry else "",
            "position": entry.position if entry else 0, "reason": reason}
