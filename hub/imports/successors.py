"""Journals that a machine began while it had no line: the hub takes their records once a person has let their key in."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
import structlog

from hub.attention.approvals import Approval, Approvals
from hub.enrolment.desk import EnrolmentRefused, declare
from hub.enrolment.tables import declarations, edges
from hub.imports.check import MachineFile
from hub.ledger.own_journal import OwnJournal
from hub.ledger.store import JournalHead, Ledger, UnknownJournal
from hub.names import name_fault
from security.bundle.entries import Journal
from security.clock import Clock
from security.suites import fingerprint

KIND = "import"
SUCCESSORS_MAX = 100

log = structlog.get_logger()


class NotBound(ValueError):
    """A journal that the machine that signed the file did not begin itself; the text says what to do."""


@dataclass(frozen=True, slots=True)
class _Owner:
    site: str
    machine: str


class SuccessorDesk:
    """Synchronous. The key comes without a certificate: the machine still has to rejoin when it has a line."""

    def __init__(self, engine: sa.Engine, ledger: Ledger, approvals: Approvals, own: OwnJournal, clock: Clock) -> None:
        self._engine = engine
        self._ledger = ledger
        self._approvals = approvals
        self._own = own
        self._clock = clock

    def settle(self, journal: Journal, file: MachineFile, by: str, reason: str) -> Approval:
        """What was decided of its key; once approved, the journal is registered and the one before it ends. Raises NotBound."""
        before = self._bound(journal, file)
        owner = self._owner(before.edge)
        approval = self._approvals.ask(KIND, f"edge {before.edge}", journal.genesis.digest(), {
            "edge": str(before.edge), "machine": owner.machine, "site": owner.site, "journal": str(before.journal),
            "new_edge": str(journal.edge), "new_journal": str(journal.journal), "public_key": journal.public_key.hex(),
            "key_id": fingerprint(journal.suite, journal.public_key).hex(), "file_sha256": file.sha256.hex(), "by": by,
            "reason": reason, "what": "approving closes the old journal, revokes the old identity and takes the records of the "
            "new key from files; the machine gets no certificate by it and still rejoins when it has a line"})
        if approval.state == "approved":
            self._register(journal, before, owner, approval)
        return approval

    def _bound(self, journal: Journal, file: MachineFile) -> JournalHead:
        """The journal before it, which has to follow from one of the machine that signed."""
        if journal.predecessor is None:
            raise NotBound("it follows no journal that is known here; the machine has to rejoin first: suozhan-edge rejoin")
        try:
            at = before = self._ledger.journal(journal.predecessor)
            for _ in range(SUCCESSORS_MAX):
                if at.edge == file.edge:
                    return before
                at = self._ledger.journal(at.predecessor or UUID(int=0))
        except UnknownJournal as error:
            raise NotBound(f"journal {journal.predecessor} before it has to be registered first, or the machine has to rejoin: "
                           "suozhan-edge rejoin") from error
        raise NotBound(f"machine {file.edge}, which signed the file, did not begin it; the machine has to rejoin first: "
                       "suozhan-edge rejoin")

    def _owner(self, edge: UUID) -> _Owner:
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(edges).where(edges.c.edge == str(edge))).one_or_none()
        if row is None:
            raise NotBound(f"machine {edge} belongs to no site here; it has to rejoin first, by an invitation: "
                           "suozhan-edge rejoin TOKEN")
        return _Owner(row.site, row.machine)

    def _register(self, journal: Journal, before: JournalHead, owner: _Owner, approval: Approval) -> None:
        """As the rejoin desk does. A crash between the two commits is mended by the next import."""
        if fault := name_fault(journal.name):
            raise NotBound(f"its name {fault}; the machine has to rejoin first: suozhan-edge rejoin")
        now_ms = self._clock.unix_ms()
        with self._engine.begin() as connection:
            claimed = sa.select(declarations).where(declarations.c.journal == str(journal.journal),
                                                    declarations.c.edge == str(journal.edge))
            if connection.execute(claimed).first() is None:
                self._claim(connection, journal, owner, now_ms)
            connection.execute(edges.update().where(edges.c.edge == str(before.edge), edges.c.revoked_ms.is_(None))
                               .values(revoked_ms=now_ms))
        said: dict[str, object] = {"approval": approval.id, "by": approval.decided_by, "reason": approval.reason}
        self._own.succeed(journal.name, journal.genesis, owner.site, said)
        log.warning("key of a file registered", edge=str(journal.edge), journal=str(journal.journal), approval=approval.id)

    @staticmethod
    def _claim(connection: sa.Connection, journal: Journal, owner: _Owner, now_ms: int) -> None:
        try:
            connection.execute(edges.insert().values(edge=str(journal.edge), site=owner.site, machine=owner.machine,
                                                     enrolled_ms=now_ms))
            declare(connection, journal.edge, [(journal.journal, journal.name)])
        except (sa.exc.IntegrityError, EnrolmentRefused) as error:
            raise NotBound(f"machine {journal.edge} or journal {journal.journal} is another one's here already; keep the file "
                           "and call the city's IT desk") from error
