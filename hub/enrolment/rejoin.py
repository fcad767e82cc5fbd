"""The rejoin desk: a new identity for a machine whose journal cannot go on, once a person has approved it.

The old journals are closed and the old identity is revoked with them, whichever of two copies of a disk comes first: the other
one then rejoins, too. Every step may be the last before a crash; the same request again goes on, and gets the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import sqlalchemy as sa
import structlog

from hub.attention.approvals import Approvals
from hub.enrolment.desk import (
    Admission,
    EnrolmentDesk,
    EnrolmentRefused,
    check_journals,
    check_names,
    check_proofs,
    declare,
    declared,
)
from hub.enrolment.issuing import Issuer
from hub.enrolment.old_identity import OldIdentities, by_invitation
from hub.enrolment.rejoin_request import Following, Held, Rejoined, RejoinRequest
from hub.enrolment.renewals import ApprovalWaits
from hub.enrolment.revocation import end_followed
from hub.enrolment.tables import edges, enrolments, invitations, machine_certificates, sites
from hub.ledger.journal_head import UnknownJournal
from hub.ledger.own_journal import OwnJournal
from hub.ledger.reader import LedgerReader
from hub.names import name_fault
from security.certificates import BadCertificate
from security.chain import Genesis
from security.clock import Clock
from security.renewal import rejoin_proof_name
from security.suites import Verifier, sha256

KIND = "rejoin"
DIGESTS_MAX = 2_000  # of all journals: 16 s of a line with 32 kbit/s

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
        check_journals(application.journals)
        if not request.old_journals or len(request.old_journals) < sum(one.old is not None for one in request.journals):
            raise EnrolmentRefused("a machine that begins anew names each journal that it leaves, once; update its program")
        if name_fault(request.reason):
            raise EnrolmentRefused("the reason has control characters or is too long; give another with --reason")
        forgotten = self._old.forgotten(request)
        verifier = check_proofs(application, rejoin_proof_name(request.old_edge))
        said = self._invited(request) if application.invitation else self._approved(request, forgotten)
        site = self._site(request)
        admission = self._earlier(request, site, verifier) or self._new(request, site, verifier)
        self._remember(request, site, forgotten)
        self._own_journal.succeed(request.geneses(verifier), site.code, said, forgotten)
        end_followed(self._engine, {request.old_edge, *(one.edge for _, one in forgotten)}, request.edge, self._clock.unix_ms())
        return self._answer(request, admission)

    # ---- whether it may ----

    def _invited(self, request: RejoinRequest) -> dict[str, object]:
        """An invitation to replace this very machine is somebody's approval already. Raises EnrolmentRefused."""
        with self._engine.connect() as connection:
            row = self._enrolment.invitation(connection, request.application.invitation, request.application.secret)
        _require_to_replace(row, request.old_edge)
        if row.edge != str(request.edge):
            self._enrolment.require_unused(row)
        return {"by": f"invitation {request.application.invitation}", "reason": request.reason}

    def came_of(self, invitation: str, secret: bytes, edge: UUID) -> bool:
        """Whether this identity was made by that invitation; if not, it may be replaced by it. Changes nothing.

        Raises EnrolmentRefused.
        """
        with self._engine.connect() as connection:
            row = self._enrolment.invitation(connection, invitation, secret)
        if row.replaces is not None and row.edge == str(edge):
            return True
        _require_to_replace(row, edge)
        self._enrolment.require_unused(row)
        return False

    def _approved(self, request: RejoinRequest, forgotten: Sequence[tuple[str, Genesis]]) -> dict[str, object]:
        """Raises EnrolmentRefused, ApprovalWaits."""
        shown = self._old.word(request)
        application = request.application
        approval = self._approvals.ask(KIND, f"edge {request.old_edge}", request.asked(forgotten), {
            "edge": str(request.old_edge), "machine": application.machine, "site": self._site(request).code,
            "from": application.peer, "reason": request.reason,
            "journals": [{"name": one.name, "journal": str(old), "machine_ends_at": one.old_position,
                          "machine_was_told": one.old_held, "hub_holds": self._held(old)}
                         for old, one in request.old_journals.items()],
            "new_edge": str(request.edge), "forgotten_journals": [str(one.journal) for _, one in forgotten], **shown.body(),
            "what": "approving closes the old journals and revokes the old identity; a second machine with it has to rejoin"})
        if approval.state == "waiting":
            raise ApprovalWaits(approval.id)
        if approval.state == "refused":
            raise EnrolmentRefused(f"{approval.decided_by} refused request {approval.id}: {approval.reason}; if it is to go on "
                                   f"after all, {by_invitation(request.old_edge)}")
        return {"approval": approval.id, "by": approval.decided_by, "reason": approval.reason}

    def _held(self, old: UUID) -> int:
        with LedgerReader(self._database) as ledger:
            try:
                return ledger.journal(old).position
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
                str(request.edge), verifier.key_id, set(request.application.journals))
        if not same or not self._fits(request, verifier):
            raise EnrolmentRefused("this request came before for another identity, key or journal; call the city's IT desk")
        if row.revoked_ms is not None:
            raise EnrolmentRefused(f"the identity that this request got was revoked since; {by_invitation(request.old_edge)}")
        if request.application.invitation:  # perhaps another than before
            with self._engine.begin() as connection:
                _use(connection, request, site, self._clock.unix_ms())
        return Admission(request.edge, site.code, site.name, site.kind, row.certificate)

    def _fits(self, request: RejoinRequest, verifier: Verifier) -> bool:
        """Whether each new journal is registered as it is said here, or not yet."""
        with LedgerReader(self._database) as ledger:
            held = {head.journal: head.genesis for head in ledger.journals()}
        return all(held.get(one.journal, one.digest()) == one.digest() for _, one in request.geneses(verifier))

    def _imported(self, request: RejoinRequest, verifier: Verifier) -> bool:
        """Whether this very key and these journals came in a file before, and a person let it in (hub/imports/successors.py)."""
        with self._engine.connect() as connection:
            claimed = declared(connection, str(request.edge)) == set(request.application.journals)
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

    def _remember(self, request: RejoinRequest, site: _Site, forgotten: Sequence[tuple[str, Genesis]]) -> None:
        """Whose records those are that will be carried out of journals that this hub does not know."""
        with self._engine.begin() as connection:
            for _, one in forgotten:
                known = connection.execute(sa.select(edges.c.edge).where(edges.c.edge == str(one.edge))).first()
                if known is None:
                    connection.execute(edges.insert().values(edge=str(one.edge), site=site.code,
                                                             machine=request.application.machine,
                                                             enrolled_ms=self._clock.unix_ms()))

    def _answer(self, request: RejoinRequest, admission: Admission) -> Rejoined:
        most = DIGESTS_MAX // len(request.old_journals)
        with LedgerReader(self._database) as ledger:
            return Rejoined(admission, [_held(ledger, old, one, most) for old, one in request.old_journals.items()])


def _require_to_replace(invitation: sa.Row[tuple[object, ...]], edge: UUID) -> None:
    """Raises EnrolmentRefused."""
    if invitation.replaces != str(edge):
        raise EnrolmentRefused(f"this invitation is not to replace machine {edge}; {by_invitation(edge)}")


def _held(ledger: LedgerReader, old: UUID, one: Following, most: int) -> Held:
    try:
        head = ledger.journal(old)
    except UnknownJournal:
        return Held(old)
    same = (at for at, digest in one.known if 0 < at <= head.position and ledger.digest_at(head, at) == digest)
    common = max(same, default=0)  # a digest covers all before it
    return Held(old, head.position, common, ledger.digests(head, common, most))


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
