"""A report of a bundle for programs: the same as the text, complete."""

from __future__ import annotations

from typing import Any

from security.bundle.coverage import Covered, How
from security.bundle.journal_check import CoveredJournal
from security.bundle.report import Report


def json_of(report: Report) -> dict[str, Any]:
    """Hashes are hexadecimal, times Unix milliseconds."""
    header, exporter, checkpoint, refusal = report.header, report.exporter, report.checkpoint, report.refusal
    return {
        "proved": refusal is None,
        "refusal": refusal and {"line": refusal.line, "subject": refusal.subject, "reason": refusal.reason},
        "signed_by_exporter": report.signed,
        "entries": report.entries,
        "header": header and {
            "hub": str(header.hub), "edge": header.edge and str(header.edge), "by": header.by, "reason": header.reason,
            "scope": header.scope, "exported_ms": header.exported_ms, "log_key": str(header.log_key)},
        "root": exporter and {"pin": exporter.pin.hex(), "checked": report.trust.pin is not None},
        "certificate_ms": exporter and exporter.valid_ms,
        "log_key_checked": report.trust.log_key is not None,
        "epochs": [{"number": one.number, "opened_ms": one.opened_ms, "base_size": one.base_size, "last_size": one.last_size}
                   for one in report.epochs],
        "checkpoint": checkpoint and {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()},
        "journals": [_journal(one) for one in report.journals],
    }


def _journal(one: CoveredJournal) -> dict[str, Any]:
    journal, registration = one.journal, one.registration
    return {
        "journal": str(journal.journal), "edge": str(journal.edge), "name": journal.name, "key_id": one.key_id.hex(),
        "predecessor": journal.predecessor and str(journal.predecessor),
        "registered": registration and {"position": registration.position, "site": registration.site},
        "ranges": [[_covered(part) for part in covered] for covered in one.ranges]}


def _covered(one: Covered) -> dict[str, Any]:
    said: dict[str, Any] = {"first": one.first, "last": one.last, "by": one.how.value}
    if one.how in {How.OWN, How.RECEIPT}:
        said |= {"index": one.index, "arrived_ms": one.arrived_ms}
    if one.how is How.CHAIN:
        said["to"] = one.to
    if one.how is How.HOLE:
        said["accepted"] = one.to
    return said
