"""Follows the feed, opens bodies, writes the site ledger. Its cursor moves in the commit of its rows: once, like all."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from hub.enrolment.tables import edges
from hub.ledger.carried import CarriedRefused, unpacked
from hub.ledger.data_keys import DataKeys
from hub.ledger.runs import DamagedRow, Entry
from hub.ledger.store import Ledger
from hub.outage import Outage
from hub.transactions.body import MeaninglessBody, parse_body
from hub.transactions.tables import cursors, findings, transactions
from security.masking import mask_id_number, mask_name, mask_text
from security.record import CarriedRecord, MalformedRecord, Record, SealedBody, WrappedKey, parse_record
from security.sealing import SealBroken, Unsealer

NAME = "transactions"
PAGE_ENTRIES = 200
POLL_S = 0.5
PATIENCE_S = 1.0  # between two pages, while ingest is busy
CHINA = dt.timezone(dt.timedelta(hours=8))  # one zone, no summer time

log = structlog.get_logger()


Quiet = Callable[[float], Awaitable[None]]


async def _at_once(_patience_s: float) -> None:
    """No ingest beside us."""


class Projector:
    """`await projector.run()`; safe to stop anywhere. `quiet` waits until ingest is idle, at most so many seconds."""

    def __init__(self, engine: sa.Engine, database: Path, unsealer: Unsealer, quiet: Quiet = _at_once) -> None:
        self._engine = engine
        self._database = database
        self._quiet = quiet
        self._outage = Outage("projection")
        self._keys = DataKeys(unsealer)
        self._sites: dict[UUID, str] = {}

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
        with Ledger(self._database) as ledger:
            try:
                page = ledger.feed(after, PAGE_ENTRIES)
            except DamagedRow as error:
                # What its entries were nobody knows any more; those behind it are sound.
                behind = max(ledger.behind(error), after + 1)
                self._commit(after, behind, [], [_finding(after + 1, str(error))])
                return behind - after
            rows: list[dict[str, Any]] = []
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

    def _try(self, ledger: Ledger, entry: Entry, keys: list[Record]) -> dict[str, Any] | str | None:
        """What an entry shows, or why it makes no sense; into `keys` comes a lost data key that it brings back."""
        try:
            return self._row(ledger, entry, keys)
        except (MalformedRecord, SealBroken, MeaninglessBody, CarriedRefused, DamagedRow) as error:
            return str(error)
        except (ValueError, ArithmeticError, LookupError) as error:
            # A bug of ours; still no machine's record may stop all others. Its text might quote the body.
            return f"it cannot be read ({type(error).__name__}); update this program"

    def _opened_by(self, ledger: Ledger, key: Record, wrong: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What came behind the hole that a data key was lost in, and was a finding for want of it."""
        same = sa.and_(findings.c.journal == str(key.journal), findings.c.position > key.position)
        with self._engine.connect() as connection:
            places = [row.position for row in connection.execute(sa.select(findings.c.position).where(same))]
        places += [one["position"] for one in wrong if one["journal"] == str(key.journal) and one["position"] > key.position]
        rows: list[dict[str, Any]] = []
        for position in places:
            with suppress(DamagedRow):  # a finding, and it stays one
                entry = ledger.entry(key.journal, position)
                row = self._try(ledger, entry, []) if entry else None
                rows += [row] if isinstance(row, dict) else []
        return rows

    def cursor(self) -> int:
        """How far the feed is projected."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(cursors.c.cursor).where(cursors.c.name == NAME)).one_or_none()
        return row.cursor if row else 0

    def _commit(self, after: int, cursor: int, rows: list[dict[str, Any]], wrong: list[dict[str, Any]]) -> None:
        with self._engine.begin() as connection:
            if after == 0:
                connection.execute(cursors.insert().values(name=NAME, cursor=cursor))
            else:
                connection.execute(cursors.update().where(cursors.c.name == NAME).values(cursor=cursor))
            shown = {row["cursor"] for row in rows}
            wrong = [one for one in wrong if one["cursor"] not in shown]
            if rows:
                connection.execute(transactions.insert(), rows)
                connection.execute(findings.delete().where(findings.c.cursor.in_(shown)))
            if wrong:
                connection.execute(findings.insert(), wrong)

    def _row(self, ledger: Ledger, entry: Entry, keys: list[Record]) -> dict[str, Any] | None:
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
        if record.kind != "transaction":
            return None
        if not isinstance(record.content, SealedBody):
            raise MeaninglessBody("a transaction's body has to be sealed")
        body = parse_body(self._keys.open(ledger, record, record.content, key))
        return {
            "cursor": entry.cursor, "site": self._site(record.edge), "day": _day(record),
            "claimed_ms": _claimed(record), "arrived_ms": entry.arrived_ms,
            # Free text, all three: whatever a counter program puts there, no whole number gets into the table.
            "item": mask_text(body.item), "channel": mask_text(body.channel), "operator": mask_text(body.operator.name),
            "operator_verified": int(body.operator.verified), "resident": mask_name(body.resident.name),
            "id_number": mask_id_number(body.resident.id_number), "edge": str(record.edge),
            "journal": str(record.journal), "position": record.position, "record": str(record.id),
            "simulated": int(record.simulated),
        }

    def _is_known(self, record: Record) -> bool:
        """Whether it was carried here before, by another machine or a file: this copy may lack the key that opened that one."""
        same = sa.and_(transactions.c.record == str(record.id), transactions.c.journal == str(record.journal))
        with self._engine.connect() as connection:
            return connection.execute(sa.select(transactions.c.cursor).where(same)).first() is not None

    def _once(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The first row of each transaction: what was carried, by a machine or a file, may come again in its own journal."""
        if not rows:
            return []
        same = transactions.c.record.in_({row["record"] for row in rows})
        with self._engine.connect() as connection:
            known = {(row.record, row.journal)
                     for row in connection.execute(sa.select(transactions.c.record, transactions.c.journal).where(same))}
        first = {(row["record"], row["journal"]): row for row in reversed(rows)}
        return [row for row in rows
                if (name := (row["record"], row["journal"])) not in known and first[name] is row]

    def _site(self, edge: UUID) -> str:
        if edge not in self._sites:
            with self._engine.connect() as connection:
                row = connection.execute(sa.select(edges.c.site).where(edges.c.edge == str(edge))).one_or_none()
            if row is None:
                raise MeaninglessBody(f"machine {edge} belongs to no site")
            self._sites[edge] = row.site
        return self._sites[edge]


def _finding(cursor: int, reason: str, entry: Entry | None = None) -> dict[str, Any]:
    log.warning("record makes no sense", cursor=cursor, reason=reason)
    return {"cursor": cursor, "edge": str(entry.edge) if entry else "", "journal": str(entry.journal) if entry else "",
            "position": entry.position if entry else 0, "reason": reason}


_LAST_MS = int(dt.datetime(9999, 1, 1, tzinfo=dt.UTC).timestamp() * 1000)


def _claimed(record: Record) -> int:
    return min(record.times.claimed_ms, _LAST_MS)  # a claim may be any number; a date may not


def _day(record: Record) -> str:
    return dt.datetime.fromtimestamp(_claimed(record) / 1000, CHINA).date().isoformat()
