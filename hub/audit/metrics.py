"""What Prometheus may know of the audit."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class AuditMetrics:
    """Of one hub process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.cursor = Gauge("suozhan_hub_audit_cursor", "Entries of the ledger that were audited.", registry=registry)
        self.lag = Gauge("suozhan_hub_audit_lag_entries", "Entries of the ledger that were not audited yet.", registry=registry)
        self.findings = Counter("suozhan_hub_audit_findings_total", "What the audit found since the hub's start.",
                                registry=registry)
