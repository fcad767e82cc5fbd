"""What the routes ask of ledger and tables; synchronous, for a thread."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hub.api.messages import (
    AlarmAnswer,
    AttentionAnswer,
    ClearPart,
    DeviceEvent,
    DeviceEventPage,
    EdgeAnswer,
    EntryAnswer,
    FeedPage,
    JournalAnswer,
    LedgerPage,
    LedgerRow,
    LedgerTotal,
    RecordAnswer,
    RequestAnswer,
    ResourceAnswer,
    SiteAnswer,
)
from hub.attention.alarms import Alarms
from hub.attention.approvals import Approvals
from hub.enrolment.newest import NewestCertificate, newest_certificates
from hub.enrolment.open_streams import Presence
from hub.enrolment.sites import list_sites
from hub.enrolment.tables import edges
from hub.fleet.devices import devices_of, events_behind
from hub.fleet.diagnosis import diagnose
from hub.fleet.machines import Fleet, fleet
from hub.ledger.journal_head import JournalHead
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Entry
from hub.resources.store import newest_reports
from hub.resources.versions import Report
from hub.transactions.site_ledger import LedgerQuery, page, totals
from security.masking import mask_text
from security.record import MalformedRecord, SealedBody, parse_record


class Questions:
    """Each method opens what it reads and lets go of it."""

    def __init__(self, engine: sa.Engine, database: Path, alarms: Alarms, approvals: Approvals) -> None:
        self._engine = engine
        self._database = database
        self._alarms = alarms
        self._approvals = approvals

    def attention(self) -> AttentionAnswer:
        alarms = [AlarmAnswer(**{name: getattr(one, name) for name in AlarmAnswer.model_fields})
                  for one in self._alarms.open_alarms()]
        requests = [RequestAnswer(**{name: getattr(one, name) for name in RequestAnswer.model_fields})
                    for one in self._approvals.waiting()]
        return AttentionAnswer(alarms=alarms, requests=requests)

    def feed(self, after: int, limit: int) -> FeedPage:
        with LedgerReader(self._database) as ledger:
            entries = ledger.feed(after, limit)
            size = ledger.size()
        return FeedPage(entries=[_entry(one) for one in entries], next=entries[-1].cursor if entries else after,
                        size=size)

    def record(self, journal: UUID, position: int) -> RecordAnswer | None:
        with LedgerReader(self._database) as ledger:
            entry = ledger.entry(journal, position)
        if entry is None:
            return None
        return RecordAnswer(entry=_entry(entry), clear=_clear(entry))

    def sites(self) -> list[SiteAnswer]:
        return [SiteAnswer(**site) for site in list_sites(self._engine)]

    def site_ledger(self, query: LedgerQuery, after: int, limit: int) -> LedgerPage:
        rows = page(self._engine, query, after, limit)
        return LedgerPage(rows=[_row(row) for row in rows], next=rows[-1]["cursor"] if rows else after,
                          totals=[LedgerTotal(**total) for total in totals(self._engine, query)])

    def edges(self, now_ms: int, presence: Presence) -> list[EdgeAnswer]:
        heads: dict[str, list[JournalHead]] = {}
        with LedgerReader(self._database) as ledger:
            for head in ledger.journals():
                heads.setdefault(str(head.edge), []).append(head)
        with self._engine.connect() as connection:
            rows = list(connection.execute(sa.select(edges).order_by(edges.c.site, edges.c.enrolled_ms)))
        certificates = {one.edge: one for one in newest_certificates(self._engine)}
        known = fleet(self._engine, now_ms, presence, self._approvals.waiting(), self._alarms.open_alarms())
        return [self._edge(row, known, certificates.get(row.edge), heads.get(row.edge, [])) for row in rows]

    def _edge(self, row: sa.Row[tuple[Any, ...]], known: Fleet, certificate: NewestCertificate | None,
              heads: list[JournalHead]) -> EdgeAnswer:
        reports = newest_reports(self._engine, UUID(row.edge))
        ends_ms = certificate.not_after_ms if certificate else None
        facts = known.facts(row, ends_ms, heads, reports)
        told = diagnose(facts)
        return EdgeAnswer(
            edge=row.edge, site=row.site, machine=mask_text(row.machine), enrolled_ms=row.enrolled_ms,
            revoked=row.revoked_ms is not None, successor=row.successor, connected=facts.connected,
            last_heard_ms=facts.heard_ms, requests=list(facts.requests), devices_ailing=len(facts.ailing),
            condition=told.condition, mender=told.mender, diagnosis=told.chinese,
            certificate_generation=certificate.generation if certificate else None, certificate_expires_ms=ends_ms,
            journals=[_journal(one, known.now_ms) for one in heads], resources=[_resource(one) for one in reports])

    def is_enrolled(self, edge: UUID) -> bool:
        """Also one that was revoked, or has a successor."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(edges.c.edge).where(edges.c.edge == str(edge))).first() is not None

    def devices(self, edge: UUID) -> list[DeviceEvent]:
        return [_event(row) for row in devices_of(self._engine, edge)]

    def device_events(self, edge: UUID | None, after: int, limit: int) -> DeviceEventPage:
        rows = events_behind(self._engine, edge, after, limit)
        return DeviceEventPage(events=[_event(row) for row in rows], next=rows[-1]["cursor"] if rows else after)


def _resource(report: Report) -> ResourceAnswer:
    return ResourceAnswer(name=report.subject.name, version=str(report.subject.version), applied=report.applied,
                          reason=mask_text(report.reason))


def _entry(entry: Entry) -> EntryAnswer:
    def text(data: bytes) -> str:
        return b64encode(data).decode()

    return EntryAnswer(
        cursor=entry.cursor, edge=str(entry.edge), journal=str(entry.journal), position=entry.position,
        arrived_ms=entry.arrived_ms, key_id=text(entry.key_id), payload=text(entry.payload),
        signature=text(entry.signature), digest=text(entry.digest), leaf=text(entry.leaf),
    )


def _clear(entry: Entry) -> ClearPart | None:
    """None for a record that was well signed and says nothing that can be read: the projections report it."""
    try:
        record = parse_record(entry.payload)
    except MalformedRecord:
        return None
    return ClearPart(id=str(record.id), kind=record.kind, claimed_ms=record.times.claimed_ms,
                     hub_signed_ms=record.times.hub_signed_ms, simulated=record.simulated,
                     sealed=isinstance(record.content, SealedBody))


def _row(row: dict[str, Any]) -> LedgerRow:
    return LedgerRow(**{name: row[name] for name in LedgerRow.model_fields})


def _event(row: dict[str, Any]) -> DeviceEvent:
    values = {name: row[name] for name in DeviceEvent.model_fields}
    return DeviceEvent(**values | {"reasons": row["reasons"].split()})


def _journal(head: JournalHead, now_ms: int) -> JournalAnswer:
    return JournalAnswer(
        journal=str(head.journal), name=mask_text(head.name), position=head.position, edge_head=head.edge_head,
        lag_records=max(head.edge_head - head.position, 0), backed_up=head.backed_up, last_arrival_ms=head.arrived_ms,
        silent_s=max(now_ms - head.arrived_ms, 0) / 1000, skew_ms=head.skew_ms, refusal=mask_text(head.refusal),
    )
