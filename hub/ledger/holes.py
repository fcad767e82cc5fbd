"""What neither this hub nor an edge holds any more: it asks a person, and goes on behind it once that is approved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import structlog

from hub.attention.approvals import Approval, Approvals
from hub.ledger.own_journal import OwnJournal
from hub.ledger.store import Hole, JournalHead
from hub.ledger.wire import MalformedMessage, MissingPart
from security.suites import sha256

KIND = "hole"
RECORDS_MAX = 1_000_000

log = structlog.get_logger()


def joined(journal: JournalHead, parts: Sequence[MissingPart], edge_head: int) -> Hole:
    """The hole behind a journal's head. Raises MalformedMessage for parts that make none."""
    digests = [digest for part in parts for digest in part.digests]
    ids = [one for part in parts for one in part.ids]
    expected = journal.position + 1
    for part in parts:
        if part.first != expected:
            raise MalformedMessage(f"what is missing begins at {journal.position + 1} and has no gap; connect again")
        expected += len(part.digests)
    if expected - 1 > edge_head:
        raise MalformedMessage("nothing can be missing behind the machine's own head; connect again")
    return Hole(journal.position + 1, journal.digest, digests, ids)


class HoleDesk:
    """Synchronous; call it in a thread."""

    def __init__(self, approvals: Approvals, own_journal: OwnJournal) -> None:
        self._approvals = approvals
        self._own_journal = own_journal

    def settle(self, journal: JournalHead, hole: Hole) -> Approval:
        """What was decided of it; once approved, the journal goes on behind it."""
        key = sha256(journal.journal.bytes + hole.previous + b"".join(hole.digests))
        approval = self._approvals.ask(KIND, f"journal {journal.journal}", key, {
            "edge": str(journal.edge), "journal": str(journal.journal), "first": hole.first, "last": hole.last,
            "records": len(hole.digests), "what": "lost at the hub by a restore, and pruned at the machine before"})
        if approval.state == "approved":
            said = {"id": approval.id, "by": approval.decided_by, "reason": approval.reason}
            self._own_journal.accept_hole(journal.journal, replace(hole, approval=approval.id), said)
            log.error("a hole was accepted", journal=str(journal.journal), first=hole.first, last=hole.last,
                      approval=approval.id)
        return approval
