"""The check of a machine's file, from its first byte to its last, before anything of it is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from hub.enrolment.tables import edges
from hub.ledger.journal_head import JournalHead
from hub.ledger.reader import LedgerReader
from security.bundle.check import Trust
from security.bundle.entries import Journal
from security.bundle.header import Header
from security.bundle.journal_check import CoveredJournal
from security.bundle.reader import verify_bundle
from security.bundle.report import Report


class ImportRefused(ValueError):
    """Nothing of the file was taken; the text says what to do."""


@dataclass(frozen=True, slots=True)
class MachineFile:
    """A file that is, to its last byte, what a machine of this hub signed: `edge`, with records of `journals`, of which it began
    `lineage` itself (or it follows from them). `words` are what a person has to know of it.
    """

    path: Path
    trust: Trust
    sha256: bytes
    header: Header
    edge: UUID
    journals: Mapping[UUID, Journal]
    lineage: frozenset[UUID]
    words: tuple[str, ...]

    def beside(self, journal: Journal) -> list[Journal]:
        """It, and the others of the same identity and record key, in the file's order."""
        return [one for one in self.journals.values()
                if (one.edge, one.suite, one.public_key) == (journal.edge, journal.suite, journal.public_key)]


def check_file(path: Path, pin: bytes, ledger: LedgerReader, engine: sa.Engine, now_ms: int) -> MachineFile:
    """`pin` is that of this hub's root. Raises ImportRefused, OSError, sqlite3.Error."""
    trust = Trust(pin)
    if path.is_dir():
        raise ImportRefused(f"{path} is a folder; name the file in it that `suozhan-edge export` wrote")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    report = verify_bundle(path, trust)
    if report.refusal is not None or report.header is None:
        raise ImportRefused(f"{path}: nothing was taken: {report.refusal}")
    if report.header.edge is None:
        raise ImportRefused(f"{path} was exported by this hub, which holds all of it; import what a machine has exported")
    _check_keys(path, report.journals, {head.journal: head for head in ledger.journals()})
    journals = {one.journal.journal: one.journal for one in report.journals}
    return MachineFile(path, trust, digest, report.header, report.header.edge, journals,
                       _lineage(journals, report.header.edge), _words(report, engine, report.header.edge, now_ms))


def _lineage(journals: Mapping[UUID, Journal], edge: UUID) -> frozenset[UUID]:
    found = set[UUID]()
    for one in journals.values():
        at: UUID | None = one.journal if one.edge == edge else None
        while at is not None and at in journals and at not in found:
            found.add(at)
            at = journals[at].predecessor
    return frozenset(found)


def _check_keys(path: Path, covered: Sequence[CoveredJournal], held: Mapping[UUID, JournalHead]) -> None:
    for one in covered:
        head = held.get(one.journal.journal)
        if head is not None and head.genesis != one.journal.genesis.digest():
            raise ImportRefused(f"{path}: nothing was taken: journal {head.journal} was registered here with another machine, "
                                "key or predecessor than the file says; keep the file and call the city's IT desk")


def _words(report: Report, engine: sa.Engine, edge: UUID, now_ms: int) -> tuple[str, ...]:
    with engine.connect() as connection:
        row = connection.execute(sa.select(edges.c.revoked_ms).where(edges.c.edge == str(edge))).one_or_none()
    words = []
    if report.exporter is not None and report.exporter.valid_ms[1] < now_ms:
        words.append("The machine's certificate has expired; what its keys signed holds all the same.")
    if row is None:
        words.append(f"Machine {edge} is not known to this hub, whose CA gave it its certificate: the hub came back from a "
                     "backup that is older than the machine.")
    elif row.revoked_ms is not None:
        words.append("The machine is revoked: if its keys are in other hands, what it signed since may be theirs.")
    return tuple(words)
