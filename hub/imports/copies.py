"""Which records were carried over already: into the hub's own journal by a file, or by a machine into its next journal."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from hub.ledger.carried import DEPTH_MAX, may_carry
from hub.ledger.journal_head import JournalHead
from hub.ledger.own_journal import CARRIED
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Entry
from security.record import CarriedRecord, MalformedRecord, parse_record, signature_holds
from security.suites import Verifier

KIND_WITHIN_BYTES = 128  # of a payload: behind ids and position


class CarriedCopies:
    """Digests of whole copies of the records of some journals; a digest stands for journal, position and content.

    They are looked up in the ledger itself: whatever becomes of an import, the next one finds what this one carried.
    """

    def __init__(self, own: UUID, wanted: Collection[UUID]) -> None:
        self._own = own
        self._wanted = set(wanted)
        self._looked_at: dict[UUID, int] = {}
        self._digests: set[bytes] = set()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._digests

    def catch_up(self, ledger: LedgerReader) -> None:
        """Within a transaction nothing comes behind. Raises sqlite3.Error, Damaged."""
        heads = {head.journal: head for head in ledger.journals()}
        for head in heads.values():
            after = self._looked_at.get(head.journal, 0)
            if (head.journal == self._own or head.predecessor is not None) and head.position > after:
                for entry in ledger.entries(head, after):
                    self._look_at(ledger, entry, heads)
                self._looked_at[head.journal] = head.position

    def _look_at(self, ledger: LedgerReader, entry: Entry, heads: dict[UUID, JournalHead]) -> None:
        if CARRIED.encode() not in entry.payload[:KIND_WITHIN_BYTES]:  # what it mostly is not: parsing takes longer
            return
        payload = entry.payload
        for _ in range(DEPTH_MAX):
            try:
                record = parse_record(payload)
                content = record.content
                if not isinstance(content, CarriedRecord):
                    return
                inner = parse_record(content.payload)
            except MalformedRecord:
                return
            head = heads.get(inner.journal)
            if head is None or not (_whole(content, inner.edge, head) and may_carry(ledger, record.journal, head.journal)):
                return
            if inner.journal in self._wanted:
                self._digests.add(content.digest)
            payload = content.payload


def _whole(carried: CarriedRecord, edge: UUID, head: JournalHead) -> bool:
    """Nobody can pass off for a copy what its machine did not sign."""
    verifier = Verifier(head.suite, head.public_key)
    return (edge, carried.key_id) == (head.edge, verifier.key_id) and signature_holds(verifier, carried.signature, carried.digest)
