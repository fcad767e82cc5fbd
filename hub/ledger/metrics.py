"""What Prometheus may know of ingest."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class IngestMetrics:
    """Counters of one hub process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter("suozhan_hub_ingest_records_total", "Records appended to the ledger.", registry=registry)
        self.repeats = Counter(
            "suozhan_hub_ingest_repeated_records_total", "Records received again and already held.", registry=registry
        )
        self.batches = Counter("suozhan_hub_ingest_batches_total", "Batches received.", registry=registry)
        self.refusals = Counter(
            "suozhan_hub_ingest_refusals_total", "Streams ended by the hub.", ["reason"], registry=registry
        )
        self.streams = Gauge("suozhan_hub_replicate_streams", "Open Replicate streams.", registry=registry)
        self.commit_seconds = Histogram(
            "suozhan_hub_commit_seconds", "From a checked batch to its commit.", registry=registry
        )
