"""The rejoin desk: a new identity for a machine whose journal cannot go on, once a person has approved it.

The old journal is closed and the old identity revoked with it, whichever of two copies of a disk comes first: the other one then
rejoins, too. Every step may be the last before a crash; the same request again goes on, and gets the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
import structlog

from hub.attention.approvals import Approvals
from hub.enrolment.desk import (
    Admission,
    EnrolmentDesk,
    EnrolmentRefused,
    check_names,
    check_proofs,
    declare,
    declared,
)
from hub.enrolment.issuing import Issuer
from hub.enrolment.old_identity import OldIdentities, by_invitation
from hub.enrolment.rejoin_request import Rejoined, RejoinRequest
from hub.enrolment.renewals import ApprovalWaits
from hub.enrolment.revocation import end_followed
from hub.enrolment.tables import edges, enrolments, invitations, machine_certificates, sites
from hub.ledger.own_journal import OwnJournal
from hub.ledger.store import Ledger, UnknownJournal
from hub.names import name_fault
from security.certificates import BadCertificate
from security.chain import Genesis
from security.clock import Clock
from security.renewal import rejoin_proof_name
from security.suites import Verifier, sha256

KIND = "rejoin"
DIGESTS_MAX = 2_000  # 16 s of a line with 32 kbit/s

log = structlog.get_logger()


@dataclass(frozen=True)
class _Site:
    code: str
    name: str
    kind: str


class RejoinDesk:
    """Synchronous; call it in a thread."""

    def __init__(self, engine: sa.Engine, database: Path, issuer: Issuer, old: OldIdentities, approvals: Approvals,
                 enrolment: EnrolmentDesk, own_journal: OwnJournal, clock: Clock) -> None:
        self._engine = engine
        self._database = database
        self._issuer = issuer
        self._old = old
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
        forgotten = self._old.forgotten(request)
        verifier = check_proofs(application, rejoin_proof_name(request.old_edge))
        said = self._invited(request) if application.invitation else self._approved(request, forgotten)
        site = self._site(request)
        admission = self._earlier(request, site, verifier) or self._new(request, site, verifier)
        self._remember(request, site, forgotten)
        self._own_journal.succeed(request.journal[1], request.genesis(verifier), site.code, said, forgotten)
        end_followed(self._engine, {request.old_edge, *(one.edge for one in forgotten)}, request.edge, self._clock.unix_ms())
        return self._answer(request, admission)

    # ---- whether it may ----

    def _invited(self, request: RejoinRequest) -> dict[str, object]:
        """An invitation to replace this very machine is somebody's approval already. Raises EnrolmentRefused."""
        with self._engine.connect() as connection:
            row = self._enrolment.invitation(connection, request.application)
        if row.replaces != str(request.old_edge):
            raise EnrolmentRefused(f"this invitation is not to replace machine {request.old_edge}; "
                                   f"{by_invitation(request.old_edge)}")
        if row.edge != str(request.edge):
            self._enrolment.require_unused(row)
        return {"by": f"invitation {request.application.invitation}", "reason": request.reason}

    def _approved(self, request: RejoinRequest, forgotten: Sequence[Genesis]) -> dict[str, object]:
        """Raises EnrolmentRefused, ApprovalWaits."""
        shown = self._old.word(request)
        application = request.application
        approval = self._approvals.ask(KIND, f"edge {request.old_edge}", request.asked(forgotten), {
            "edge": str(request.old_edge), "machine": application.machine, "site": self._site(request).code,
            "from": application.peer, "reason": request.reason, "journal": str(request.old_journal),
            "machine_ends_at": request.old_position, "machine_was_told": request.old_held, "hub_holds": self._held(request),
            "new_edge": str(request.edge), "forgotten_journals": [str(one.journal) for one in forgotten], **shown.body(),
            "what": "approving closes the old journal and revokes the old identity; a second machine with it has to rejoin"})
        if approval.state == "waiting":
            raise ApprovalWaits(approval.id)
        if approval.state == "refused":
            raise EnrolmentRefused(f"{approval.decided_by} refused request {approval.id}: {approval.reason}; if it is to go on "
                                   f"after all, {by_invitation(request.old_edge)}")
        return {"approval": approval.id, "by": approval.decided_by, "reason": approval.reason}

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
            row = connection.execute(query).one()
        return _Site(row.code, row.name, row.kind)

    def _earlier(self, request: RejoinRequest, site: _Site, verifier: Verifier) -> Admission | None:
        """What this very request got before."""
        csr_hash = sha256(request.application.csr_der)
        query = sa.select(enrolments.c.record_key_id, edges.c.revoked_ms, machine_certificates).select_from(
            machine_certificates.join(edges).outerjoin(enrolments, enrolments.c.csr_hash == csr_hash)
        ).where(machine_certificates.c.csr_hash == csr_hash)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            same = (row.edge, row.record_key_id, declared(connection, row.edge)) == (
                str(request.edge), verifier.key_id, {request.journal})
        if not same or not self._fits(request, verifier):
            raise EnrolmentRefused("this request came before for another identity, key or journal; call the city's IT desk")
        if row.revoked_ms is not None:
            raise EnrolmentRefused(f"the identity that this request got was revoked since; {by_invitation(request.old_edge)}")
        if request.application.invitation:  # perhaps another than before
            with self._engine.begin() as connection:
                _use(connection, request, site, self._clock.unix_ms())
        return Admission(request.edge, site.code, site.name, site.kind, row.certificate)

    def _fits(self, request: RejoinRequest, verifier: Verifier) -> bool:
        """Whether the new journal is registered as it is said here, or not yet."""
        with Ledger(self._database) as ledger:
            try:
                return ledger.journal(request.journal[0]).genesis == request.genesis(verifier).digest()
            except UnknownJournal:
                return True

    def _imported(self, request: RejoinRequest, verifier: Verifier) -> bool:
        """Whether this very key and journal came in a file before, and a person let it in (hub/imports/successors.py)."""
        with self._engine.connect() as connection:
            claimed = declared(connection, str(request.edge)) == {request.journal}
        return claimed and self._fits(request, verifier)

    def _new(self, request: RejoinRequest, site: _Site, verifier: Verifier) -> Admission:
        application, now_ms = request.application, self._clock.unix_ms()
        imported = self._imported(request, verifier)
        try:
            with self._engine.begin() as connection:
                if not imported:
                    connection.execute(edges.insert().values(edge=str(request.edge), site=site.code, machine=application.machine,
                                                             enrolled_ms=now_ms))
                certificate_der = self._issuer.issue(connection, request.edge, 0, application.csr_der, application.peer)
                invitation = _use(connection, request, site, now_ms)
                connection.execute(enrolments.insert().values(csr_hash=sha256(application.csr_der), invitation=invitation,
                                                              edge=str(request.edge), record_key_id=verifier.key_id))
                if not imported:
                    declare(connection, request.edge, application.journals)
        except BadCertificate as error:
            raise EnrolmentRefused(str(error)) from error
        except sa.exc.IntegrityError as error:
            raise EnrolmentRefused("this identity or key belongs to another machine already; remove the newest folder in "
                                   "successors and rejoin again") from error
        log.warning("machine rejoined", old=str(request.old_edge), edge=str(request.edge), site=site.code, reason=request.reason)
        return Admission(request.edge, site.code, site.name, site.kind, certificate_der)

    def _remember(self, request: RejoinRequest, site: _Site, forgotten: Sequence[Genesis]) -> None:
        """Whose records those are that will be carried out of journals that this hub does not know."""
        with self._engine.begin() as connection:
            for one in forgotten:
                known = connection.execute(sa.select(edges.c.edge).where(edges.c.edge == str(one.edge))).first()
                if known is None:
                    connection.execute(edges.insert().values(edge=str(one.edge), site=site.code,
                                                             machine=request.application.machine,
                                                             enrolled_ms=self._clock.unix_ms()))

    def _answer(self, request: RejoinRequest, admission: Admission) -> Rejoined:
        with Ledger(self._database) as ledger:
            try:
                old = ledger.journal(request.old_journal)
            except UnknownJournal:
                return Rejoined(admission, 0, 0, [])
            same = (at for at, digest in request.known if 0 < at <= old.position and ledger.digest_at(old, at) == digest)
            common = max(same, default=0)  # a digest covers all before it
            return Rejoined(admission, old.position, common, ledger.digests(old, common, DIGESTS_MAX))


def _use(connection: sa.Connection, request: RejoinRequest, site: _Site, now_ms: int) -> str:
    """The invitation, spent. An approval stands for one: nobody knows its secret. Raises EnrolmentRefused."""
    given = request.application.invitation
    if not given:
        made = str(uuid4())
        connection.execute(invitations.insert().values(
            id=made, site=site.code, secret_hash=bytes(32), created_ms=now_ms, expires_ms=now_ms, edge=str(request.edge),
            replaces=str(request.old_edge)))
        return made
    free = invitations.c.edge.is_(None) | (invitations.c.edge == str(request.edge))
    spent = connection.execute(invitations.update().where(invitations.c.id == given, free).values(edge=str(request.edge)))
    if not spent.rowcount:
        raise EnrolmentRefused("this invitation was used by another machine in this moment; ask for a new one")
    return given
