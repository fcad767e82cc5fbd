"""What neither this hub nor an edge holds any more: it asks a person, and goes on behind it once that is approved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from hub.attention.approvals import Approval, Approvals
from hub.ledger.append_rule import Head
from hub.ledger.hole import Hole
from hub.ledger.journal_head import JournalHead
from hub.ledger.own_journal import OwnJournal
from hub.ledger.shown_receipt import ReceiptRefused, ShownReceipt, check_receipt
from hub.ledger.signed_roots import LogKey
from hub.ledger.stated_epochs import stated
from hub.ledger.tree_store import TreeStore
from hub.ledger.wire import MISSING_MAX_RECORDS, MalformedMessage, MissingPart
from security.record import CarriedRecord, MalformedRecord, WrappedKey, parse_record, signature_holds
from security.suites import Verifier, sha256

KIND = "hole"
REJOIN = "what it still has goes into a new journal: run on the machine: suozhan-edge rejoin"

log = structlog.get_logger()


class HoleRefused(ValueError):
    """Nobody is asked about it; the text says what to do."""


class MissingRecords:
    """What one stream says is missing, until it makes a hole: all of it, or as much as one hole may have."""

    def __init__(self) -> None:
        self._parts: list[MissingPart] = []

    def has_room_for(self, part: MissingPart) -> bool:
        return sum(one.count for one in self._parts) + part.count <= MISSING_MAX_RECORDS

    def add(self, part: MissingPart) -> None:
        self._parts.append(part)

    def take(self, head: Head, edge_head: int) -> tuple[Hole, ShownReceipt | None, tuple[bytes, bytes] | None]:
        """The hole behind the journal's head, and what the machine shows for it: a receipt, and the data key of what comes behind
        (payload and signature). Raises MalformedMessage.
        """
        parts, self._parts = self._parts, []
        keys = [one.data_key for one in parts if one.data_key is not None]
        return joined(head, parts, edge_head), parts[-1].receipt, keys[-1] if keys else None


def joined(head: Head, parts: Sequence[MissingPart], edge_head: int) -> Hole:
    """The hole that they make behind the head. Raises MalformedMessage when they make none."""
    expected = head.position + 1
    for part in parts:
        if part.first != expected:
            raise MalformedMessage(f"what is missing begins at {head.position + 1} and has no gap; connect again")
        expected += part.count
    if expected - 1 > edge_head:
        raise MalformedMessage("nothing can be missing behind the machine's own head; connect again")
    return Hole(head.position + 1, head.digest, [digest for part in parts for digest in part.digests()],
                [one for part in parts for one in part.ids()])


class HoleDesk:
    """Synchronous; call it in a thread."""

    def __init__(self, approvals: Approvals, own_journal: OwnJournal, database: Path, log_key: LogKey) -> None:
        self._approvals = approvals
        self._own_journal = own_journal
        self._database = database
        self._log_key = log_key

    def settle(self, journal: JournalHead, hole: Hole, receipt: ShownReceipt | None,
               data_key: tuple[bytes, bytes] | None = None) -> Approval:
        """What was decided of it; once approved, the journal goes on behind it, and the data key that was lost in it (payload and
        signature) is carried. Raises HoleRefused, sqlite3.Error, sa.exc.DBAPIError.
        """
        self._require_restored()
        held_to = _held_to(journal, hole, receipt, self._log_key)
        approval = self._approvals.ask(KIND, f"journal {journal.journal}", _key(journal, hole), {
            "edge": str(journal.edge), "journal": str(journal.journal), "first": hole.first, "last": hole.last,
            "records": len(hole.digests), "held_to": held_to,
            "what": f"this hub has signed that it held the journal up to position {held_to}, and lacks these records since a "
                    "restore; the machine says that it has pruned them"})
        if approval.state == "approved":
            said = {"id": approval.id, "by": approval.decided_by, "reason": approval.reason}
            found = _found(journal, hole, *data_key) if data_key else None
            self._own_journal.accept_hole(journal.journal, replace(hole, approval=approval.id), said, [found] if found else [])
            log.error("a hole was accepted", journal=str(journal.journal), first=hole.first, last=hole.last,
                      approval=approval.id)
        return approval

    def _require_restored(self) -> None:
        with TreeStore(self._database) as store:
            epochs = list(stated(store, self._log_key.hub, self._log_key.key).values())
        if not epochs or epochs[-1].number == 1:
            raise HoleRefused("this hub never came back from a backup, so that it cannot have lost anything. If its database was "
                              f"put back by hand, stop it and run: suozhan-hub reopen. If not, look at this machine; {REJOIN}")


def _held_to(journal: JournalHead, hole: Hole, receipt: ShownReceipt | None, log_key: LogKey) -> int:
    """The position up to which the hub had the journal, by its own word. Raises HoleRefused."""
    if receipt is None or receipt.position < hole.last:
        raise HoleRefused("the machine shows no receipt of this hub for what it says is lost here and pruned there; look at this "
                          f"machine; {REJOIN}")
    try:
        check_receipt(receipt, journal, log_key)
    except ReceiptRefused as error:
        raise HoleRefused(f"{error}; look at this machine; {REJOIN}") from error
    if receipt.position == hole.last and receipt.digest != hole.digests[-1]:
        raise HoleRefused(f"the machine names another record at position {hole.last} than its receipt; look at it; {REJOIN}")
    return receipt.position


def _found(journal: JournalHead, hole: Hole, payload: bytes, signature: bytes) -> tuple[CarriedRecord, bool] | None:
    """A data-key record of the hole, and whether it is simulated; None for what is not that."""
    verifier = Verifier(journal.suite, journal.public_key)
    try:
        record = parse_record(payload)
    except MalformedRecord:
        return None
    at = record.position - hole.first
    if not (0 <= at < len(hole.digests) and isinstance(record.content, WrappedKey)):
        return None
    carried = CarriedRecord(hole.digests[at - 1] if at else hole.previous, verifier.key_id, payload, signature)
    if carried.digest != hole.digests[at] or not signature_holds(verifier, signature, carried.digest):
        return None
    return carried, record.simulated


def _key(journal: JournalHead, hole: Hole) -> bytes:
    """All that a person approves: other records or ids are another request."""
    ids = b"".join(one.bytes for one in hole.ids)
    return sha256(journal.journal.bytes + hole.first.to_bytes(8, "big") + hole.previous + b"".join(hole.digests) + ids)
