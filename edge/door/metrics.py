"""What Prometheus may know of this machine: figures, never a resident's data."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from edge.advice import LineHealth
from edge.alarms import Alarms
from edge.attachments.attachments import Attachments
from edge.door.counter_journal import BesideJournal, CounterJournal
from edge.line import Line, LineStatus


class DoorMetrics:
    """Gauges read journals and line at each scrape."""

    def __init__(self, journal: CounterJournal, line: Line, alarms: Alarms, health: LineHealth,
                 events: Callable[[], BesideJournal | None], attachments: Attachments) -> None:
        self._registry = CollectorRegistry()
        self.submissions = Counter("suozhan_edge_submissions_total", "Transactions said at the counter's door.",
                                   ["outcome"], registry=self._registry)
        self.submit_seconds = Histogram("suozhan_edge_submit_seconds", "From the door to the disk.",
                                        buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
                                        registry=self._registry)
        self._gauge("suozhan_edge_journal_head_position", "Last position of the journal.",
                    lambda: journal.head.position)
        self._gauge("suozhan_edge_journal_acknowledged_position", "Last position that the hub holds.",
                    lambda: journal.standing.position)
        self._gauge("suozhan_edge_journal_queued_records", "Records that the hub does not hold.",
                    lambda: journal.queued)
        self._gauge("suozhan_edge_events_queued_records", "Records of the journal of events that the hub does not hold.",
                    lambda: one.queued if (one := events()) else 0)
        self._gauge("suozhan_edge_attachments", "Scans that the hub does not have safe.", lambda: len(attachments.waiting()))
        self._gauge("suozhan_edge_attachments_bytes", "Their bytes on this disk.", lambda: attachments.waiting_bytes)
        self._gauge("suozhan_edge_line_connected", "1 while the line to the hub works.",
                    lambda: line.state.state is LineStatus.CONNECTED)
        self._gauge("suozhan_edge_certificate_expires_timestamp_seconds", "End of this machine's certificate.",
                    lambda: health.certificate_ends_ms / 1000)
        self._gauge("suozhan_edge_alarms", "Alarms that no technician has cleared.", lambda: len(alarms.open_alarms()))

    def _gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        Gauge(name, text, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
