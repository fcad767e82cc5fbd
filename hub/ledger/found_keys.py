"""Data keys that were lost in a hole and came back into the hub's own journal, with the hole or by a file."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from hub.ledger.carried import CarriedRefused, Unpacked, unpacked
from hub.ledger.own_journal import CARRIED
from hub.ledger.reader import LedgerReader
from security.record import CarriedRecord, MalformedRecord, Record, WrappedKey, parse_record

KIND_WITHIN_BYTES = 128  # of a payload: behind ids and position


class FoundKeys:
    """Looked up in the ledger itself, so that a restart forgets none; each record of the own journal is looked at once."""

    def __init__(self) -> None:
        self._looked_at = 0
        self._found: dict[bytes, Record] = {}  # by digest, which stands for journal and position, too

    def key(self, ledger: LedgerReader, journal: UUID, position: int) -> Record | None:
        """The record that was given up there; None where none was, or it did not come back. Raises Damaged, sqlite3.Error."""
        digest = ledger.lost_digest(ledger.journal(journal), position)
        if digest is None:
            return None
        if digest not in self._found:
            self._catch_up(ledger)
        return self._found.get(digest)

    def _catch_up(self, ledger: LedgerReader) -> None:
        own = ledger.journal(ledger.own_journal())
        for entry in ledger.entries(own, self._looked_at):
            if CARRIED.encode() in entry.payload[:KIND_WITHIN_BYTES]:  # what it mostly is not: parsing takes longer
                with suppress(MalformedRecord, CarriedRefused):
                    content = parse_record(entry.payload).content
                    self._learn(unpacked(ledger, own.journal, content) if isinstance(content, CarriedRecord) else None)
            self._looked_at = entry.position

    def _learn(self, inner: Unpacked | None) -> None:
        if inner is not None and isinstance(inner.record.content, WrappedKey):
            self._found[inner.carried.digest] = inner.record
