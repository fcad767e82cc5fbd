"""The enrolment desk: an invitation, two proofs of possession, one certificate.

The same request again gets the same certificate: an answer that was lost costs nothing.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import sqlalchemy as sa
import structlog

from hub.enrolment.authority import HubAuthority
from hub.enrolment.tables import certificates, edges, invitations, sites
from hub.ledger.own_journal import OwnJournal
from security.certificates import BadCertificate, der, edge_certificate
from security.chain import Genesis
from security.clock import Clock
from security.invitations import enrolment_proof
from security.suites import Suite, UnsoundKey, Verifier, sha256

JOURNALS_MAX = 4

log = structlog.get_logger()


class EnrolmentRefused(Exception):
    """The text goes to the technician at the machine and says what to do."""


@dataclass(frozen=True)
class Application:
    """What a machine sends: invitation and secret, its CSR, its record key with proof, its journals (id, name)."""

    invitation: str
    secret: bytes
    csr_der: bytes
    suite: int
    record_public_key: bytes
    record_proof: bytes
    journals: Sequence[tuple[UUID, str]]
    machine: str


@dataclass(frozen=True)
class Admission:
    """The machine's id, its site, and its certificate (DER)."""

    edge: UUID
    site: str
    site_name: str
    site_kind: str
    certificate_der: bytes


class EnrolmentDesk:
    """Synchronous; call it in a thread."""

    def __init__(self, engine: sa.Engine, authority: HubAuthority, hub: UUID, own_journal: OwnJournal,
                 clock: Clock) -> None:
        self._engine = engine
        self._authority = authority
        self._hub = hub
        self._own_journal = own_journal
        self._clock = clock

    def admit(self, application: Application) -> Admission:
        """Raises EnrolmentRefused; then nothing has changed."""
        with self._engine.begin() as connection:
            # Takes the write lock first: two machines with one token cannot both find it unused.
            connection.execute(sa.update(invitations).where(invitations.c.id == application.invitation)
                               .values(id=invitations.c.id))
            invitation = self._invitation(connection, application)
            verifier = _check_proofs(application)
            admission = self._earlier(connection, application, invitation, verifier)
            if admission is None:
                admission = self._new(connection, application, invitation, verifier)
                log.info("machine enrolled", edge=str(admission.edge), site=admission.site)
        # Also after a repeat: a crash between the two commits is mended here.
        self._own_journal.register_machine(
            [(name, Genesis(admission.edge, journal, verifier.suite, verifier.public_key))
             for journal, name in application.journals], admission.site,
        )
        return admission

    def _invitation(self, connection: sa.Connection, application: Application) -> sa.Row[tuple[object, ...]]:
        query = sa.select(invitations, sites.c.name, sites.c.kind).join(sites).where(
            invitations.c.id == application.invitation
        )
        row = connection.execute(query).one_or_none()
        if row is None or not hmac.compare_digest(row.secret_hash, sha256(application.secret)):
            raise EnrolmentRefused("this invitation is not known here; ask for a new one: suozhan-hub invite SITE")
        return row

    def _earlier(self, connection: sa.Connection, application: Application, invitation: sa.Row[tuple[object, ...]],
                 verifier: Verifier) -> Admission | None:
        query = sa.select(certificates).where(certificates.c.csr_hash == sha256(application.csr_der))
        row = connection.execute(query).one_or_none()
        if row is None or row.invitation != application.invitation:
            return None
        if row.record_key_id != verifier.key_id:
            raise EnrolmentRefused("this request came before with another record key; restore the machine's keys folder")
        return Admission(UUID(row.edge), invitation.site, invitation.name, invitation.kind, row.certificate)

    def _new(self, connection: sa.Connection, application: Application, invitation: sa.Row[tuple[object, ...]],
             verifier: Verifier) -> Admission:
        now_ms = self._clock.unix_ms()
        if invitation.edge is not None:
            raise EnrolmentRefused("this invitation was used by another machine; ask for a new one, and find out who did")
        if invitation.expires_ms <= now_ms:
            raise EnrolmentRefused("this invitation has expired after 24 hours; ask for a new one: suozhan-hub invite SITE")
        edge = uuid4()
        now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
        try:
            certificate = edge_certificate(self._authority.intermediate, application.csr_der, self._hub, edge, now)
        except BadCertificate as error:
            raise EnrolmentRefused(str(error)) from error
        connection.execute(edges.insert().values(
            edge=str(edge), site=invitation.site, machine=application.machine[:128], enrolled_ms=now_ms
        ))
        connection.execute(invitations.update().where(invitations.c.id == application.invitation).values(edge=str(edge)))
        try:
            connection.execute(certificates.insert().values(
                csr_hash=sha256(application.csr_der), invitation=application.invitation, edge=str(edge),
                certificate=der(certificate), record_key_id=verifier.key_id,
                not_after_ms=int(certificate.not_valid_after_utc.timestamp() * 1000),
            ))
        except sa.exc.IntegrityError as error:
            raise EnrolmentRefused("this key or request belongs to another machine already; was the disk copied? "
                                   "remove the keys folder of this machine and enrol again") from error
        return Admission(edge, invitation.site, invitation.name, invitation.kind, der(certificate))


def _check_proofs(application: Application) -> Verifier:
    if not 1 <= len(application.journals) <= JOURNALS_MAX:
        raise EnrolmentRefused(f"a machine declares 1 to {JOURNALS_MAX} journals; update its program")
    try:
        verifier = Verifier(Suite(application.suite), application.record_public_key)
    except (UnsoundKey, ValueError) as error:
        raise EnrolmentRefused(f"the record key cannot be registered: {error}") from error
    proof = enrolment_proof(application.invitation, application.csr_der)
    if not verifier.valid(application.record_proof, proof):
        raise EnrolmentRefused("the machine did not prove that it holds its record key; enrol again")
    return verifier
