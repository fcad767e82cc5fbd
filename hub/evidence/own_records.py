"""What of the hub's own journal has to stand in a bundle, so that it speaks for itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hub.ledger.journal_head import JournalHead
from hub.ledger.reader import LedgerReader
from security.bundle.register import HOLE_ACCEPTED, KEY_REGISTERED
from security.record import ClearBody, parse_record

KIND_WITHIN_BYTES = 128  # of a payload: behind ids and position


@dataclass(frozen=True, slots=True)
class Registered:
    """A record of the hub's own journal that registers a journal."""

    position: int
    journal: UUID
    site: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record of the hub's own journal that accepts a hole, or a part of one that begins at `first`."""

    position: int
    journal: UUID
    first: int


def registrations(ledger: LedgerReader, own: JournalHead) -> Iterator[Registered]:
    """All of them, in order."""
    for position, body in _records(ledger, own, KEY_REGISTERED):
        yield Registered(position, UUID(body["journal"]), body["site"])


def acceptances(ledger: LedgerReader, own: JournalHead) -> Iterator[Accepted]:
    """All of them, in order."""
    for position, body in _records(ledger, own, HOLE_ACCEPTED):
        yield Accepted(position, UUID(body["journal"]), body["first"])


def _records(ledger: LedgerReader, own: JournalHead, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for entry in ledger.entries(own, 0):
        if kind.encode() in entry.payload[:KIND_WITHIN_BYTES]:  # what it mostly is not: parsing takes longer
            record = parse_record(entry.payload)
            if record.kind == kind and isinstance(record.content, ClearBody):
                yield entry.position, json.loads(record.content.data)
