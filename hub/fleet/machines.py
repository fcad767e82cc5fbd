"""What is known of all machines, gathered for their diagnosis; synchronous, for a thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa

from hub.attention.alarms import Alarm
from hub.attention.approvals import Approval
from hub.enrolment.open_streams import Presence
from hub.fleet.devices import ailing_devices
from hub.fleet.diagnosis import Ailing, MachineFacts
from hub.ledger.journal_head import JournalHead
from hub.resources.versions import Report
from security.masking import mask_text

COPIED = {"clone", "certificate-superseded"}


@dataclass(frozen=True)
class Fleet:
    """Of all machines at one moment."""

    now_ms: int
    presence: Presence
    requests: Mapping[str, Sequence[int]]  # by machine, as those below
    copied: frozenset[str]
    ailing: Mapping[str, Sequence[Ailing]] = field(default_factory=dict)

    def facts(self, row: sa.Row[tuple[object, ...]], certificate_ends_ms: int | None, journals: Iterable[JournalHead],
              reports: Iterable[Report]) -> MachineFacts:
        """Of one machine, by its row."""
        edge, heads = row.edge, list(journals)
        connected = UUID(edge) in self.presence.connected
        ended = mask_text(row.revoked_why) or "原因未记录"
        return MachineFacts(
            now_ms=self.now_ms, connected=connected,
            heard_ms=self.now_ms if connected else _heard(heads, self.presence.last_ms.get(UUID(edge))),
            certificate_ends_ms=certificate_ends_ms, revoked_why="" if row.revoked_ms is None else ended,
            successor=row.successor or "", requests=self.requests.get(edge, ()), copied=edge in self.copied,
            refusal=next((mask_text(one.refusal) for one in heads if one.refusal and not one.closed), ""),
            unapplied=next((mask_text(f"{one.subject.name}: {one.reason}") for one in reports if not one.applied), ""),
            ailing=self.ailing.get(edge, ()))


def fleet(engine: sa.Engine, now_ms: int, presence: Presence, waiting: Iterable[Approval], alarms: Iterable[Alarm]) -> Fleet:
    requests: dict[str, list[int]] = {}
    for one in waiting:
        requests.setdefault(one.subject.removeprefix("edge "), []).append(one.id)
    copied = frozenset(one.subject for one in alarms if one.kind in COPIED)
    return Fleet(now_ms, presence, requests, copied, ailing_devices(engine))


def _heard(heads: Sequence[JournalHead], last_ms: int | None) -> int | None:
    """When a stream ended that this hub saw since its start, or its last record came. Registering a journal is no word of it."""
    arrived = [one.arrived_ms for one in heads if one.position]
    return max([*arrived, *([] if last_ms is None else [last_ms])], default=None)
