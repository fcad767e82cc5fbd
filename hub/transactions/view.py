"""The site ledger: one row for each transaction, its resident masked."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hub.attachments.tables import attachment_names
from hub.enrolment.tables import edges
from hub.projection.view import PARTS, MeaninglessBody
from hub.transactions.body import parse_body
from hub.transactions.tables import transactions
from security.masking import mask_id_number, mask_name, mask_text
from security.record import Record

CHINA = dt.timezone(dt.timedelta(hours=8))  # one zone, no summer time
_LAST_MS = int(dt.datetime(9999, 1, 1, tzinfo=dt.UTC).timestamp() * 1000)


class TransactionView:
    """See `hub.projection.view.View`."""

    table = transactions
    parts = attachment_names
    kinds = ("transaction",)

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._sites: dict[UUID, str] = {}

    def row(self, record: Record, data: bytes) -> dict[str, Any]:
        body = parse_body(data)
        return {
            "site": self._site(record.edge), "day": _day(record), "claimed_ms": _claimed(record),
            # Free text, all three: whatever a counter program puts there, no whole number gets into the table.
            "item": mask_text(body.item), "channel": mask_text(body.channel), "operator": mask_text(body.operator.name),
            "operator_verified": int(body.operator.verified), "resident": mask_name(body.resident.name),
            "id_number": mask_id_number(body.resident.id_number),
            PARTS: [{"address": one.blob, "size": one.size, "media_type": mask_text(one.media_type)} for one in body.attachments],
        }

    def _site(self, edge: UUID) -> str:
        if edge not in self._sites:
            with self._engine.connect() as connection:
                row = connection.execute(sa.select(edges.c.site).where(edges.c.edge == str(edge))).one_or_none()
            if row is None:
                raise MeaninglessBody(f"machine {edge} belongs to no site")
            self._sites[edge] = row.site
        return self._sites[edge]


def _claimed(record: Record) -> int:
    return min(record.times.claimed_ms, _LAST_MS)  # a claim may be any number; a date may not


def _day(record: Record) -> str:
    return dt.datetime.fromtimestamp(_claimed(record) / 1000, CHINA).date().isoformat()
