"""The fast path's check of a batch: chain and last signature authenticate the whole (docs/decisions/0003)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.ledger.store import NewEntry
from security.chain import leaf_hash, next_digest
from security.record import PlaceCheck, signature_holds
from security.suites import Verifier


@dataclass(frozen=True, slots=True)
class ReceivedBatch:
    """Envelopes of one journal in columns, as they came over the wire; payloads and signatures are equally many."""

    first: int
    previous: bytes
    payloads: Sequence[bytes]
    signatures: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Broken:
    """The first record of a batch that is not what it claims."""

    position: int
    malformed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """The good beginning of a batch, and what ended it (None: all of it is good)."""

    entries: list[NewEntry]
    broken: Broken | None


def check_batch(batch: ReceivedBatch, verifier: Verifier, edge: UUID, journal: UUID, arrived_ms: int) -> Checked:
    """One signature is verified when all is well; when the batch fails, it is checked one by one."""
    entries: list[NewEntry] = []
    broken: Broken | None = None
    digest, position = batch.previous, batch.first
    place = PlaceCheck(edge, journal)
    journal_id, key_id = journal.bytes, verifier.key_id
    for payload, signature in zip(batch.payloads, batch.signatures, strict=True):
        if not place.holds(payload, position):
            broken = Broken(position, malformed=True, reason="not a record of this machine, journal and position")
            break
        digest = next_digest(digest, payload)
        leaf = leaf_hash(key_id, journal_id, position, digest, signature, arrived_ms)
        entries.append(NewEntry(payload, signature, digest, leaf))
        position += 1
    if entries and not signature_holds(verifier, entries[-1].signature, entries[-1].digest):
        return _one_by_one(batch.first, entries, verifier)
    return Checked(entries, broken)


def _one_by_one(first: int, entries: list[NewEntry], verifier: Verifier) -> Checked:
    for number, entry in enumerate(entries):
        if not signature_holds(verifier, entry.signature, entry.digest):
            reason = "the signature does not hold under the journal's registered key"
            return Checked(entries[:number], Broken(first + number, malformed=False, reason=reason))
    raise AssertionError("the last signature failed before and holds now")
