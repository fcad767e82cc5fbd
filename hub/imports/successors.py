"""Journals that a machine began while it had no line: the hub takes their records once a person has let their key in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
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
from hub.ledger.journal_head import JournalHead, UnknownJournal
from hub.ledger.own_journal import OwnJournal
from hub.ledger.reader import LedgerReader
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

    def __init__(self, engine: sa.Engine, ledger: LedgerReader, approvals: Approvals, own: OwnJournal, clock: Clock) -> None:
        self._engine = engine
        self._ledger = ledger
        self._approvals = approvals
        self._own = own
        self._clock = clock

    def settle(self, journal: Journal, file: MachineFile, order: Order) -> str:
        """What has to be decided of its key, or was against it; "" once it is registered, with the others of its machine in this
        file, and those before them have ended. Raises NotBound.
        """
        try:
            before = self._followed(journal, file)
        except NotBound:
            if (told := self._unbound(journal, file, order)) is None:
                raise
            return told
        owner = self._owner(before.edge)
        journals = [one for one in file.beside(journal) if self._comes_along(one, before)]
        if self._is_let_in(journal):
            self._register([journal], before, owner, {"by": order.by, "reason": order.reason})
            return ""
        approval = self._approvals.ask(KIND, f"edge {before.edge}", _key(journals), {
            "edge": str(before.edge), "machine": owner.machine, "site": owner.site, "journal": str(before.journal),
            "new_edge": str(journal.edge), "new_journals": [str(one.journal) for one in journals],
            "public_key": journal.public_key.hex(), "key_id": fingerprint(journal.suite, journal.public_key).hex(),
            "file_sha256": file.sha256.hex(), "by": order.by, "reason": order.reason,
            "what": "approving closes the old journals, revokes the old identity and takes the records of "
            "the new key from files; the machine gets no certificate by it and still rejoins when it has a line"})
        if approval.state == "approved":
            said: dict[str, object] = {"approval": approval.id, "by": approval.decided_by, "reason": approval.reason}
            self._register(journals, before, owner, said)
        return _told(approval)

    def _followed(self, journal: Journal, file: MachineFile) -> JournalHead:
        """A journal of the identity before, which any of this one's may name. Raises NotBound."""
        for one in file.beside(journal):
            with suppress(NotBound):
                before = self._bound(one, file)
                if self._comes_along(journal, before):
                    return before
        return self._bound(journal, file)

    def _comes_along(self, journal: Journal, before: JournalHead) -> bool:
        """Whether it follows the same identity; or it is the first of its name."""
        if journal.predecessor is None:
            return True
        try:
            return self._ledger.journal(journal.predecessor).edge == before.edge
        except UnknownJournal:
            return False

    def _unbound(self, journal: Journal, file: MachineFile, order: Order) -> str | None:
        """Of one that follows from nothing known here; None when the machine that signed did not begin it. Raises NotBound."""
        if journal.journal not in file.lineage:
            return None
        if not is_known(self._engine, journal.edge) or self._is_claimed(journal):
            return self._remember(journal, file, order)
        if not self._is_let_in(journal):
            return None
        owner = self._owner(journal.edge)
        self._enrol([journal], owner)
        self._own.register_machine([(journal.name, journal.genesis)], owner.site)
        return ""

    def _is_let_in(self, journal: Journal) -> bool:
        """Whether this very machine and record key work here, with another journal."""
        return any((head.edge, head.suite, head.public_key) == (journal.edge, journal.suite, journal.public_key)
                   and not head.closed for head in self._ledger.journals())

    def _remember(self, journal: Journal, file: MachineFile, order: Order) -> str:
        """Of a machine that is younger than the backup which this hub came back from: a certificate of our CA speaks for it, and
        a person says where it stands.
        """
        with self._engine.connect() as connection:
            if connection.execute(sa.select(sites.c.code).where(sites.c.code == order.site)).first() is None:
                raise NotBound(f"machine {journal.edge} is not known here; find out at which site it stands, and give this "
                               "command again with --site SITE")
        journals = [one for one in file.beside(journal) if one.journal in file.lineage]
        approval = self._approvals.ask(KIND, f"edge {journal.edge}", sha256(_key(journals) + order.site.encode()), {
            "edge": str(journal.edge), "site": order.site, "new_journals": [str(one.journal) for one in journals],
            "public_key": journal.public_key.hex(), "key_id": fingerprint(journal.suite, journal.public_key).hex(),
            "file_signed_by": str(file.edge), "file_sha256": file.sha256.hex(), "by": order.by, "reason": order.reason,
            "what": "this hub forgot the machine when it was restored; approving takes its records as those of this site, and "
            "lets it work on with the certificate that it has"})
        if approval.state == "approved":
            self._enrol(journals, _Owner(order.site, ""))
            self._own.register_machine([(one.name, one.genesis) for one in journals], order.site)
            log.warning("a forgotten machine is known again", edge=str(journal.edge), approval=approval.id)
        return _told(approval)

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

    def _register(self, journals: Sequence[Journal], before: JournalHead, owner: _Owner, said: dict[str, object]) -> None:
        """As the rejoin desk does. A crash between the commits is mended by the next import."""
        self._enrol(journals, owner)
        self._own.succeed([(one.name, one.genesis) for one in journals], owner.site, said)
        end_followed(self._engine, [before.edge], journals[0].edge, self._clock.unix_ms())
        log.warning("key of a file registered", edge=str(journals[0].edge), **said,
                    journals=[str(one.journal) for one in journals])

    def _enrol(self, journals: Sequence[Journal], owner: _Owner) -> None:
        for one in journals:
            if fault := name_fault(one.name):
                raise NotBound(f"its name {fault}; the machine has to rejoin first: suozhan-edge rejoin")
        with self._engine.begin() as connection:
            self._claim(connection, journals, owner, self._clock.unix_ms())

    def _is_claimed(self, journal: Journal) -> bool:
        """By an import that died before it could register the journal."""
        with self._engine.connect() as connection:
            return (journal.journal, journal.name) in declared(connection, str(journal.edge))

    def _claim(self, connection: sa.Connection, journals: Sequence[Journal], owner: _Owner, now_ms: int) -> None:
        edge = journals[0].edge
        wanted, claimed = {(one.journal, one.name) for one in journals}, declared(connection, str(edge))
        fresh = sorted(wanted - claimed)
        try:
            if not (claimed and claimed <= wanted) and not self._is_let_in(journals[0]):
                connection.execute(edges.insert().values(edge=str(edge), site=owner.site, machine=owner.machine,
                                                         enrolled_ms=now_ms))
            if fresh:
                declare(connection, edge, fresh)
        except (sa.exc.IntegrityError, EnrolmentRefused) as error:
            raise NotBound(f"machine {edge} or a journal of it is another one's here already; keep the file "
                           "and call the city's IT desk") from error


def _key(journals: Sequence[Journal]) -> bytes:
    """All that a person approves: another key or journal is another request."""
    return sha256(b"".join(one.genesis.digest() for one in journals))


def _told(approval: Approval) -> str:
    match approval.state:
        case "waiting":
            return (f"its key is not registered: request {approval.id} waits for a decision (suozhan-hub approvals); give this "
                    "command again then")
        case "refused":
            return (f"{approval.decided_by} refused request {approval.id} ({approval.reason}); the machine has to rejoin first: "
                    "suozhan-edge rejoin")
    return ""
