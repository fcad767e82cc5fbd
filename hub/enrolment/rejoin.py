"""The rejoin desk: a new identity for a machine whose journal cannot go on, once a person has approved it.

The old journal is closed and the old identity revoked with it, whichever of two copies of a disk comes first: the other one then
rejoins, too. Every step may be the last before a crash; the same request again goes on, and gets the same answer.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import sqlalchemy as sa
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from hub.attention.approvals import Approval, Approvals
from hub.enrolment.desk import (
    Admission,
    Application,
    EnrolmentDesk,
    EnrolmentRefused,
    check_names,
    check_proofs,
    declare,
)
from hub.enrolment.issuing import Issuer
from hub.enrolment.nonces import Nonces
from hub.enrolment.renewals import ApprovalWaits
from hub.enrolment.tables import edges, enrolments, invitations, machine_certificates, sites
from hub.ledger.own_journal import OwnJournal
from hub.ledger.store import Ledger, UnknownJournal
from hub.names import name_fault
from security.certificates import BadCertificate, edge_of
from security.chain import Genesis
from security.clock import Clock
from security.renewal import rejoin_proof_name, rejoin_statement, renewal_holds
from security.suites import Verifier, sha256

KIND = "rejoin"
DIGESTS_MAX = 100_000

log = structlog.get_logger()


@dataclass(frozen=True)
class RejoinRequest:
    """The new identity (`edge`, and what an application holds), the old one, and the old TLS key's word for it (or b"")."""

    edge: UUID
    application: Application
    old_edge: UUID
    old_journal: UUID
    old_position: int
    old_held: int
    reason: str
    nonce: bytes
    signature: bytes
    certificate_der: bytes

    @property
    def journal(self) -> tuple[UUID, str]:
        return self.application.journals[0]


@dataclass(frozen=True)
class Rejoined:
    """The new identity, where the old journal ended, and its digests behind what the machine knew to be held."""

    admission: Admission
    held_position: int
    digests: list[bytes]


@dataclass(frozen=True)
class _Site:
    code: str
    name: str
    kind: str


class RejoinDesk:
    """Synchronous; call it in a thread."""

    def __init__(self, engine: sa.Engine, database: Path, issuer: Issuer, nonces: Nonces, approvals: Approvals,
                 enrolment: EnrolmentDesk, own_journal: OwnJournal, clock: Clock) -> None:
        self._engine = engine
        self._database = database
        self._issuer = issuer
        self._nonces = nonces
        self._approvals = approvals
        self._enrolment = enrolment
        self._own_journal = own_journal
        self._clock = clock

    def admit(self, request: RejoinRequest) -> Rejoined:
        """Raises EnrolmentRefused, ApprovalWaits."""
        application = request.application
        check_names(application)
        if name_fault(request.reason):
            raise EnrolmentRefused("the reason has control characters or is too long; give another with --reason")
        self._check_old(request)
        verifier = check_proofs(application, rejoin_proof_name(request.old_edge))
        said = self._invited(request) if application.invitation else self._approved(request)
        site = self._site(request)
        admission = self._earlier(request, site) or self._new(request, site, verifier)
        name = request.journal[1]
        genesis = Genesis(request.edge, request.journal[0], verifier.suite, verifier.public_key, request.old_journal)
        self._own_journal.succeed(name, genesis, site.code, said)
        return self._answer(request, admission)

    # ---- whether it may ----

    def _invited(self, request: RejoinRequest) -> dict[str, object]:
        """An invitation is somebody's approval already. Raises EnrolmentRefused."""
        with self._engine.begin() as connection:
            connection.execute(sa.update(invitations).where(invitations.c.id == request.application.invitation)
                               .values(id=invitations.c.id))
            row = self._enrolment.invitation(connection, request.application)
            if row.edge != str(request.edge):
                self._enrolment.require_unused(row)
        return {"by": f"invitation {request.application.invitation}", "reason": request.reason}

    def _approved(self, request: RejoinRequest) -> dict[str, object]:
        """Raises EnrolmentRefused, ApprovalWaits."""
        self._check_word(request)
        approval = self._approvals.ask(KIND, f"edge {request.old_edge}", _what_is_asked(request), self._body(request))
        if approval.state == "waiting":
            raise ApprovalWaits(approval.id)
        if approval.state == "refused":
            raise EnrolmentRefused(f"{approval.decided_by} refused request {approval.id}: {approval.reason}; ask them, or the "
                                   "city's IT desk")
        return _said(approval)

    def _check_old(self, request: RejoinRequest) -> None:
        """Nobody ends another machine's journal, nor the hub's own. Raises EnrolmentRefused."""
        with Ledger(self._database) as ledger, suppress(UnknownJournal):
            owner = ledger.journal(request.old_journal).edge
            if owner != request.old_edge or owner == self._issuer.hub:
                raise EnrolmentRefused("the journal that is to end belongs to another machine; call the city's IT desk")

    def _check_word(self, request: RejoinRequest) -> None:
        if not self._nonces.holds(request.old_edge, request.nonce):
            raise EnrolmentRefused("this nonce is too old or another machine's; give the same command again")
        statement = rejoin_statement(self._issuer.hub, request.old_edge, request.nonce, request.application.csr_der, request.edge,
                                     request.journal[0])
        try:
            certificate = x509.load_der_x509_certificate(request.certificate_der)
            certificate.verify_directly_issued_by(self._issuer.authority.intermediate.certificate)
            ours = edge_of(self._issuer.hub, certificate)[0] == request.old_edge
        except (BadCertificate, InvalidSignature, ValueError, TypeError):
            ours = False
        if not ours or not renewal_holds(certificate, request.signature, statement):
            raise EnrolmentRefused("the machine did not prove that it holds its old key; ask for an invitation and give it: "
                                   "suozhan-edge rejoin TOKEN")

    def _body(self, request: RejoinRequest) -> dict[str, object]:
        """All that the one who decides has to know."""
        held = self._held(request)
        return {"edge": str(request.old_edge), "machine": request.application.machine, "site": self._site(request).code,
                "from": request.application.peer, "reason": request.reason, "journal": str(request.old_journal),
                "machine_ends_at": request.old_position, "hub_holds": held, "new_edge": str(request.edge),
                "what": "approving closes the old journal and revokes the old identity; a second machine with it has to rejoin"}

    def _held(self, request: RejoinRequest) -> int:
        with Ledger(self._database) as ledger:
            try:
                return ledger.journal(request.old_journal).position
            except UnknownJournal:
                return 0

    # ---- doing it ----

    def _site(self, request: RejoinRequest) -> _Site:
        if request.application.invitation:
            query = sa.select(sites).join(invitations).where(invitations.c.id == request.application.invitation)
        else:
            query = sa.select(sites).join(edges).where(edges.c.edge == str(request.old_edge))
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise EnrolmentRefused(f"machine {request.old_edge} is not known here; ask for an invitation and give it: "
                                   "suozhan-edge rejoin TOKEN")
        return _Site(row.code, row.name, row.kind)

    def _earlier(self, request: RejoinRequest, site: _Site) -> Admission | None:
        """What this very request got before."""
        query = sa.select(machine_certificates.c.edge, machine_certificates.c.certificate).where(
            machine_certificates.c.csr_hash == sha256(request.application.csr_der))
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.edge != str(request.edge):
            raise EnrolmentRefused("this request came before for another identity; call the city's IT desk")
        return Admission(request.edge, site.code, site.name, site.kind, row.certificate)

    def _new(self, request: RejoinRequest, site: _Site, verifier: Verifier) -> Admission:
        application, now_ms = request.application, self._clock.unix_ms()
        imported = self._imported(request, verifier)
        try:
            with self._engine.begin() as connection:
                if not imported:
                    connection.execute(edges.insert().values(edge=str(request.edge), site=site.code, machine=application.machine,
                                                             enrolled_ms=now_ms))
                certificate_der = self._issuer.issue(connection, request.edge, 0, application.csr_der, application.peer)
                invitation = application.invitation or self._own_invitation(connection, site, now_ms)
                connection.execute(invitations.update().where(invitations.c.id == invitation).values(edge=str(request.edge)))
                connection.execute(enrolments.insert().values(csr_hash=sha256(application.csr_der), invitation=invitation,
                                                              edge=str(request.edge), record_key_id=verifier.key_id))
                if not imported:
                    declare(connection, request.edge, application.journals)
                connection.execute(edges.update().where(edges.c.edge == str(request.old_edge), edges.c.revoked_ms.is_(None))
                                   .values(revoked_ms=now_ms))
        except BadCertificate as error:
            raise EnrolmentRefused(str(error)) from error
        except sa.exc.IntegrityError as error:
            raise EnrolmentRefused("this identity or key belongs to another machine already; remove the newest folder in "
                                   "successors and rejoin again") from error
        log.warning("machine rejoined", old=str(request.old_edge), edge=str(request.edge), site=site.code, reason=request.reason)
        return Admission(request.edge, site.code, site.name, site.kind, certificate_der)

    def _imported(self, request: RejoinRequest, verifier: Verifier) -> bool:
        """Whether this very key and journal came in a file before, and a person let it in (hub/imports/successors.py)."""
        genesis = Genesis(request.edge, request.journal[0], verifier.suite, verifier.public_key, request.old_journal)
        with Ledger(self._database) as ledger:
            try:
                return ledger.journal(request.journal[0]).genesis == genesis.digest()
            except UnknownJournal:
                return False

    @staticmethod
    def _own_invitation(connection: sa.Connection, site: _Site, now_ms: int) -> str:
        """An approval stands for the invitation: nobody knows its secret, and it is used at once."""
        invitation = str(uuid4())
        connection.execute(invitations.insert().values(id=invitation, site=site.code, secret_hash=bytes(32), created_ms=now_ms,
                                                       expires_ms=now_ms))
        return invitation

    def _answer(self, request: RejoinRequest, admission: Admission) -> Rejoined:
        with Ledger(self._database) as ledger:
            try:
                old = ledger.journal(request.old_journal)
            except UnknownJournal:
                return Rejoined(admission, 0, [])
            return Rejoined(admission, old.position, ledger.digests(old, min(request.old_held, old.position), DIGESTS_MAX))


def _what_is_asked(request: RejoinRequest) -> bytes:
    """All that a person approves: another identity, journal or key is another request."""
    return sha256(b"".join([request.old_edge.bytes, request.old_journal.bytes, request.edge.bytes, request.journal[0].bytes,
                            sha256(request.application.csr_der), sha256(request.application.record_public_key)]))


def _said(approval: Approval) -> dict[str, object]:
    return {"approval": approval.id, "by": approval.decided_by, "reason": approval.reason}
