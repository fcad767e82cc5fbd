"""What Prometheus may know of the ledger and of every journal's lag; read at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge

from hub.enrolment.newest import NewestCertificate
from hub.ledger.journal_head import JournalHead
from security.masking import mask_text


class HubMetrics:
    """Ingest has counters of its own (hub/ledger/metrics.py)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._size = Gauge("suozhan_hub_ledger_entries", "Entries in the ledger.", registry=registry)
        self._projection = Gauge("suozhan_hub_projection_lag_entries", "Entries that are not projected yet.",
                                 registry=registry)
        self._lag = Gauge("suozhan_hub_edge_lag_records", "Records that an edge said it has and the hub does not hold.",
                          ["edge", "journal"], registry=registry)
        self._arrived = Gauge("suozhan_hub_edge_last_arrival_timestamp_seconds", "Arrival of the last record.",
                              ["edge", "journal"], registry=registry)
        self._expires = Gauge("suozhan_hub_edge_certificate_expires_timestamp_seconds", "End of the newest certificate of a "
                              "machine that is not revoked.", ["edge"], registry=registry)
        self._alarms = Gauge("suozhan_hub_alarms", "Alarms that nobody has cleared.", ["kind"], registry=registry)

    def refresh_certificates(self, newest: Sequence[NewestCertificate]) -> None:
        self._expires.clear()
        for one in newest:
            if not one.revoked:
                self._expires.labels(one.edge).set(one.not_after_ms / 1000)

    def refresh(self, size: int, projected: int, journals: Sequence[JournalHead], alarms: Sequence[str]) -> None:
        self._size.set(size)
        self._projection.set(size - projected)
        self._alarms.clear()
        for kind, count in Counter(alarms).items():
            self._alarms.labels(kind).set(count)
        for head in journals:
            labels = (str(head.edge), mask_text(head.name))
            self._lag.labels(*labels).set(max(head.edge_head - head.position, 0))
            self._arrived.labels(*labels).set(head.arrived_ms / 1000)
