"""A machine's file into the ledger: checked whole first, then journal by journal; beside a running hub or on a stopped one.

Each step may be the last before a crash: the same file again goes on, and takes nothing twice (invariants 2 and 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
import structlog

from hub.attention.approvals import Approvals
from hub.enrolment.tables import sites
from hub.imports.check import ImportRefused, MachineFile, check_file
from hub.imports.copies import CarriedCopies
from hub.imports.deliveries import deliveries
from hub.imports.journal_import import Imported, JournalImport
from hub.imports.order import Order
from hub.imports.successors import NotBound, SuccessorDesk
from hub.ledger.journal_head import UnknownJournal
from hub.ledger.own_journal import OwnJournal
from hub.ledger.store import Ledger
from security.bundle.entries import Journal
from security.bundle.missing import Missing
from security.bundle.reader import BundleReader
from security.bundle.report import BundleRefused
from security.clock import Clock
from security.run import Run

KIND = "records.imported"
JOURNALS_LISTED_MAX = 20  # in one record
PLACES_LISTED_MAX = 50

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Hub:
    """What an import works on; `pin` is that of the hub's root."""

    id: UUID
    pin: bytes
    database: Path
    engine: sa.Engine
    own: OwnJournal
    clock: Clock


def import_file(hub: Hub, order: Order) -> tuple[MachineFile, Sequence[Imported]]:
    """What became of each journal. Raises ImportRefused, OSError, sqlite3.Error, Damaged."""
    with Ledger(hub.database) as ledger:
        file = check_file(order.path, hub.pin, ledger, hub.engine, hub.clock.unix_ms())
        _check_site(hub.engine, order)
        imported = _Import(hub, order, ledger, file).run()
        for start in range(0, len(imported), JOURNALS_LISTED_MAX):
            hub.own.note(KIND, {
                "file_sha256": file.sha256.hex(), "edge": str(file.edge), "exported_ms": file.header.exported_ms, "by": order.by,
                "reason": order.reason, "journals": [_noted(one) for one in imported[start:start + JOURNALS_LISTED_MAX]]})
    log.warning("records imported", edge=str(file.edge), file_sha256=file.sha256.hex(), by=order.by, journals=len(imported))
    return file, imported


def _check_site(engine: sa.Engine, order: Order) -> None:
    """Where it is given, also of a machine that is known: what was mistyped is said. Raises ImportRefused."""
    with engine.connect() as connection:
        if order.site and connection.execute(sa.select(sites.c.code).where(sites.c.code == order.site)).first() is None:
            raise ImportRefused(f"{order.path}: nothing was taken: there is no site {order.site!r}; look for it in: suozhan-hub "
                                "site list")


class _Import:
    """Of one file that was checked."""

    def __init__(self, hub: Hub, order: Order, ledger: Ledger, file: MachineFile) -> None:
        self._hub = hub
        self._order = order
        self._ledger = ledger
        self._file = file
        approvals = Approvals(hub.engine, hub.own, hub.clock)
        self._successors = SuccessorDesk(hub.engine, ledger, approvals, hub.own, hub.clock)
        self._copies = CarriedCopies(hub.id, file.journals)
        self._imported: list[Imported] = []
        self._journal: JournalImport | None = None

    def run(self) -> list[Imported]:
        with BundleReader(self._file.path, self._file.trust) as reader:
            try:
                for part in deliveries(reader.parts()):
                    self._take(part)
            except BundleRefused as error:
                raise ImportRefused(f"the file was changed while it was read ({error}); give the command again") from error
        return self._imported

    def _take(self, part: Journal | Run | Missing) -> None:
        match part:
            case Journal():
                self._begin(part)
            case Run() if self._journal is not None:
                self._journal.take(part)
            case Run():
                self._imported[-1].saw(part)
            case Missing() if self._journal is not None:
                self._journal.miss(part)

    def _begin(self, part: Journal) -> None:
        waits = self._unregistered(part)
        if waits:
            self._journal = None
            self._imported.append(Imported(part.journal, part.edge, waits=waits))
            return
        self._journal = JournalImport(self._ledger, self._hub.own, self._ledger.journal(part.journal), self._copies,
                                      self._hub.clock)
        self._imported.append(self._journal.imported)

    def _unregistered(self, part: Journal) -> str:
        """What has to happen before its records can be taken; "" when they can."""
        try:
            self._ledger.journal(part.journal)
        except UnknownJournal:
            try:
                return self._successors.settle(part, self._file, self._order)
            except NotBound as error:
                return str(error)
        return ""


def _noted(one: Imported) -> dict[str, Any]:
    said = {name: value[:PLACES_LISTED_MAX] if isinstance(value, list) else value for name, value in asdict(one).items()}
    return {**said, "journal": str(one.journal), "edge": str(one.edge), "held": one.held}
