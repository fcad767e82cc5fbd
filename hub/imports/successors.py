"""Journals that a machine began while it had no line: the hub takes their records once a person has let their key in."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
import structlog

from hub.attention.approvals import Approval, Approvals
from hub.enrolment.desk import EnrolmentRefused, declare, declared
from hub.enrolment.revocation import end_followed
from hub.enrolment.sites import is_known
from hub.enrolment.tables import edges, sites
from hub.imports.check import MachineFile
from hub.imports.order import Order
from hub.ledger.own_journal import OwnJournal
from hub.ledger.store import JournalHead, Ledger, UnknownJournal
from hub.names import name_fault
from security.bundle.entries import Journal
from security.clock import Clock
from security.suites import fingerprint, sha256

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

    def settle(self, journal: Journal, file: MachineFile, order: Order) -> Approval:
        """What was decided of its key; once approved, the journal is registered and the one before it ends. Raises NotBound."""
        try:
            before = self._bound(journal, file)
        except NotBound:
            if journal.journal not in file.lineage or (is_known(self._engine, journal.edge) and not self._claimed(journal)):
                raise
            return self._remember(journal, file, order)
        owner = self._owner(before.edge)
        approval = self._approvals.ask(KIND, f"edge {before.edge}", journal.genesis.digest(), {
            "edge": str(before.edge), "machine": owner.machine, "site": owner.site, "journal": str(before.journal),
            "new_edge": str(journal.edge), "new_journal": str(journal.journal), "public_key": journal.public_key.hex(),
            "key_id": fingerprint(journal.suite, journal.public_key).hex(), "file_sha256": file.sha256.hex(), "by": order.by,
            "reason": order.reason, "what": "approving closes the old journal, revokes the old identity and takes the records of "
            "the new key from files; the machine gets no certificate by it and still rejoins when it has a line"})
        if approval.state == "approved":
            self._register(journal, before, owner, approval)
        return approval

    def _remember(self, journal: Journal, file: MachineFile, order: Order) -> Approval:
        """Of a machine that is younger than the backup which this hub came back from: a certificate of our CA speaks for it, and
        a person says where it stands.
        """
        with self._engine.connect() as connection:
            if connection.execute(sa.select(sites.c.code).where(sites.c.code == order.site)).first() is None:
                raise NotBound(f"machine {journal.edge} is not known here; find out at which site it stands, and give this "
                               "command again with --site SITE")
        key = sha256(journal.genesis.digest() + order.site.encode())
        approval = self._approvals.ask(KIND, f"edge {journal.edge}", key, {
            "edge": str(journal.edge), "site": order.site, "new_journal": str(journal.journal),
            "public_key": journal.public_key.hex(), "key_id": fingerprint(journal.suite, journal.public_key).hex(),
            "file_signed_by": str(file.edge), "file_sha256": file.sha256.hex(), "by": order.by, "reason": order.reason,
            "what": "this hub forgot the machine when it was restored; approving takes its records as those of this site, and "
            "lets it work on with the certificate that it has"})
        if approval.state == "approved":
            self._enrol(journal, _Owner(order.site, ""))
            self._own.register_machine([(journal.name, journal.genesis)], order.site)
            log.warning("a forgotten machine is known again", edge=str(journal.edge), approval=approval.id)
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
        """As the rejoin desk does. A crash between the commits is mended by the next import."""
        self._enrol(journal, owner)
        said: dict[str, object] = {"approval": approval.id, "by": approval.decided_by, "reason": approval.reason}
        self._own.succeed(journal.name, journal.genesis, owner.site, said)
        end_followed(self._engine, [before.edge], journal.edge, self._clock.unix_ms())
        log.warning("key of a file registered", edge=str(journal.edge), journal=str(journal.journal), approval=approval.id)

    def _enrol(self, journal: Journal, owner: _Owner) -> None:
        if fault := name_fault(journal.name):
            raise NotBound(f"its name {fault}; the machine has to rejoin first: suozhan-edge rejoin")
        if not self._claimed(journal):
            with self._engine.begin() as connection:
                self._claim(connection, journal, owner, self._clock.unix_ms())

    def _claimed(self, journal: Journal) -> bool:
        """By an import that died before it could register the journal."""
        with self._engine.connect() as connection:
            return (journal.journal, journal.name) in declared(connection, str(journal.edge))

    @staticmethod
    def _claim(connection: sa.Connection, journal: Journal, owner: _Owner, now_ms: int) -> None:
        try:
            connection.execute(edges.insert().values(edge=str(journal.edge), site=owner.site, machine=owner.machine,
                                                     enrolled_ms=now_ms))
            declare(connection, journal.edge, [(journal.journal, journal.name)])
        except (sa.exc.IntegrityError, EnrolmentRefused) as error:
            raise NotBound(f"machine {journal.edge} or journal {journal.journal} is another one's here already; keep the file "
                           "and call the city's IT desk") from error
