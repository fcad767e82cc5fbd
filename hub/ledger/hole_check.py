"""Holes against the hub's own journal: only what a signed record there lists, position by position, was ever given up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hub.ledger.findings import Finding
from hub.ledger.hole import Hole
from hub.ledger.journal_head import JournalHead
from hub.ledger.lineage import follows
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Damaged
from security.bundle.register import HOLE_ACCEPTED
from security.record import ClearBody, MalformedRecord, parse_record

KIND_WITHIN_BYTES = 128  # of a payload: behind ids and position


@dataclass(frozen=True, slots=True)
class Part:
    """What one record lists: some positions of one journal, and the number of the request that was approved."""

    journal: UUID
    first: int
    digests: tuple[bytes, ...]
    ids: tuple[UUID, ...]
    approval: int

    @property
    def last(self) -> int:
        return self.first + len(self.digests) - 1


def hole_findings(ledger: LedgerReader, heads: Sequence[JournalHead], holes: Mapping[UUID, Sequence[Hole]]) -> list[Finding]:
    """Both ways: a hole that no record lists, and a list of which the ledger has something else."""
    try:
        own = ledger.own_journal()
        parts = {part for head in heads if follows(ledger, head.journal, own) for part in _parts(ledger, head)}
    except Damaged:
        return []  # named where it is; and whether a hole was accepted cannot be said before that is mended
    found, used = list[Finding](), set[Part]()
    for head in heads:
        for hole in holes[head.journal]:
            listed, silent = _listed(head.journal, hole, parts)
            used |= listed
            if silent <= hole.last:
                found.append(Finding(f"journal {head.journal}, position {silent}", "lost, and no record of the hub's own journal "
                                     "lists it as accepted: a hole that nobody approved", position=silent))
    return found + [finding for head in heads for part in sorted(parts - used, key=lambda one: one.first)
                    if part.journal == head.journal and (finding := _contradicted(ledger, head, part))]


def _listed(journal: UUID, hole: Hole, parts: set[Part]) -> tuple[set[Part], int]:
    """The parts that list it from its beginning, and the first position that none does."""
    listed, at = set[Part](), hole.first
    by_first = {part.first: part for part in parts if part.journal == journal and _within(part, hole)}
    while (part := by_first.get(at)) is not None:
        listed.add(part)
        at = part.last + 1
    return listed, at


def _within(part: Part, hole: Hole) -> bool:
    """Whether it lists a piece of this hole, and nothing else."""
    piece = slice(part.first - hole.first, part.last + 1 - hole.first)
    return (part.first >= hole.first and part.approval == hole.approval and part.digests == tuple(hole.digests[piece])
            and part.ids == tuple(hole.ids[piece]))


def _contradicted(ledger: LedgerReader, head: JournalHead, part: Part) -> Finding | None:
    """None where the journal is not there yet, as after a restore or a crash in the moment of accepting; or has the very records,
    which came back in a newer backup.
    """
    held = list(part.digests[:max(head.position - part.first + 1, 0)])
    with suppress(Damaged):
        if ledger.digests(head, part.first - 1, len(held)) == held:
            return None
    return Finding(f"journal {head.journal}, position {part.first}", f"what was accepted as lost up to position {part.last} is "
                   "not what the ledger has there", damage=False, position=part.first)


def _parts(ledger: LedgerReader, own: JournalHead) -> Iterator[Part]:
    for entry in ledger.entries(own, 0):
        if HOLE_ACCEPTED.encode() in entry.payload[:KIND_WITHIN_BYTES]:  # what it mostly is not: parsing takes longer
            with suppress(MalformedRecord, ValueError, KeyError, TypeError):  # of a payload that is no longer what was signed
                record = parse_record(entry.payload)
                if record.kind == HOLE_ACCEPTED and isinstance(record.content, ClearBody):
                    yield _part(json.loads(record.content.data))


def _part(said: dict[str, Any]) -> Part:
    return Part(UUID(said["journal"]), int(said["first"]), tuple(bytes.fromhex(one["digest"]) for one in said["records"]),
                tuple(UUID(one["id"]) for one in said["records"]), int(said["approval"].get("id", 0)))
