"""The enrolment desk: an invitation, two proofs of possession, one certificate.

The same request again gets the same certificate, by its invitation or a new one: an answer that was lost costs nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

import sqlalchemy as sa
import structlog

from hub.enrolment.issuing import Issuer
from hub.enrolment.tables import declarations, edges, enrolments, invitations, machine_certificates, sites
from hub.ledger.own_journal import OwnJournal
from hub.names import name_fault
from security.certificates import BadCertificate
from security.chain import Genesis
from security.clock import Clock
from security.invitations import enrolment_proof
from security.suites import Suite, UnsoundKey, Verifier, sha256

JOURNALS_MAX = 4
# Not "remove": an old journal may hold records that no hub has.
ANEW = "move the keys and journals folders of this machine away and enrol again"

# The ledger's own table (hub/ledger/schema_sqlite.sql), read within this transaction.
_registered = sa.table("journals", sa.column("journal"))

log = structlog.get_logger()


class EnrolmentRefused(Exception):
    """The text goes to the technician at the machine and says what to do."""


@dataclass(frozen=True)
class Application:
    """What a machine sends: invitation and secret, its CSR, its record key with proof, its journals (id, name). `peer`: from
    where."""

    invitation: str
    secret: bytes
    csr_der: bytes
    suite: int
    record_public_key: bytes
    record_proof: bytes
    journals: Sequence[tuple[UUID, str]]
    machine: str
    peer: str = ""


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

    def __init__(self, engine: sa.Engine, issuer: Issuer, own_journal: OwnJournal, clock: Clock) -> None:
        self._engine = engine
        self._issuer = issuer
        self._own_journal = own_journal
        self._clock = clock

    def admit(self, application: Application) -> Admission:
        """Raises EnrolmentRefused; then nothing has changed."""
        with self._engine.begin() as connection:
            # Takes the write lock first: two machines with one token cannot both find it unused.
            connection.execute(sa.update(invitations).where(invitations.c.id == application.invitation)
                               .values(id=invitations.c.id))
            invitation = self.invitation(connection, application.invitation, application.secret)
            if invitation.replaces is not None:
                raise EnrolmentRefused(f"this invitation is to replace machine {invitation.replaces}: where its folder is, run "
                                       "suozhan-edge rejoin TOKEN; for a new machine ask for: suozhan-hub invite SITE")
            check_names(application)
            check_journals(application.journals)
            verifier = check_proofs(application, application.invitation)
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

    def invitation(self, connection: sa.Connection, invitation: str, secret: bytes) -> sa.Row[tuple[object, ...]]:
        """With its site's name and kind. Raises EnrolmentRefused when the secret is not its own."""
        query = sa.select(invitations, sites.c.name, sites.c.kind).join(sites).where(invitations.c.id == invitation)
        row = connection.execute(query).one_or_none()
        if row is None or not hmac.compare_digest(row.secret_hash, sha256(secret)):
            raise EnrolmentRefused("this invitation is not known here; ask for a new one: suozhan-hub invite SITE")
        return row

    def _earlier(self, connection: sa.Connection, application: Application, invitation: sa.Row[tuple[object, ...]],
                 verifier: Verifier) -> Admission | None:
        """What this very request got before. An answer may be lost for good, so a new invitation serves as well."""
        csr_hash = sha256(application.csr_der)
        query = sa.select(enrolments, edges.c.site, edges.c.revoked_ms, machine_certificates).select_from(
            enrolments.join(edges).join(machine_certificates, machine_certificates.c.csr_hash == csr_hash)
        ).where(enrolments.c.csr_hash == csr_hash)
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.record_key_id != verifier.key_id:
            raise EnrolmentRefused(f"this request came before with another record key; {ANEW} with a new invitation")
        if declared(connection, row.edge) != set(application.journals):
            raise EnrolmentRefused(f"this machine enrolled with other journals before; {ANEW} with a new invitation")
        if row.revoked_ms is not None or row.not_after_ms <= self._clock.unix_ms():
            raise EnrolmentRefused(f"this machine was revoked or its certificate has expired; {ANEW} with a new invitation")
        if invitation.edge != row.edge:
            self.require_unused(invitation)
            if invitation.site != row.site:
                raise EnrolmentRefused(f"this machine enrolled at site {row.site} before; get an invitation to it, or {ANEW}")
            _use(connection, application.invitation, row.edge)
        return Admission(UUID(row.edge), invitation.site, invitation.name, invitation.kind, row.certificate)

    def require_unused(self, invitation: sa.Row[tuple[object, ...]]) -> None:
        """Raises EnrolmentRefused."""
        if invitation.edge is not None:
            raise EnrolmentRefused("this invitation was used by another machine; ask for a new one, and find out who did")
        if invitation.expires_ms <= self._clock.unix_ms():
            raise EnrolmentRefused("this invitation has expired after 24 hours; ask for a new one: suozhan-hub invite SITE")

    def _new(self, connection: sa.Connection, application: Application, invitation: sa.Row[tuple[object, ...]],
             verifier: Verifier) -> Admission:
        self.require_unused(invitation)
        edge = uuid4()
        connection.execute(edges.insert().values(
            edge=str(edge), site=invitation.site, machine=application.machine, enrolled_ms=self._clock.unix_ms()
        ))
        _use(connection, application.invitation, str(edge))
        try:
            certificate_der = self._issuer.issue(connection, edge, 0, application.csr_der, application.peer)
            connection.execute(enrolments.insert().values(
                csr_hash=sha256(application.csr_der), invitation=application.invitation, edge=str(edge),
                record_key_id=verifier.key_id,
            ))
        except BadCertificate as error:
            raise EnrolmentRefused(str(error)) from error
        except sa.exc.IntegrityError as error:
            raise EnrolmentRefused(f"this key belongs to another machine already; was the disk copied? {ANEW}") from error
        declare(connection, edge, application.journals)
        return Admission(edge, invitation.site, invitation.name, invitation.kind, certificate_der)


def _use(connection: sa.Connection, invitation: str, edge: str) -> None:
    connection.execute(invitations.update().where(invitations.c.id == invitation).values(edge=edge))


def declare(connection: sa.Connection, edge: UUID, journals: Sequence[tuple[UUID, str]]) -> None:
    """Claim the journals of a new machine; whoever comes later with one of them is not that machine."""
    taken = sa.select(_registered).where(_registered.c.journal.in_([journal.bytes for journal, _ in journals]))
    refused = EnrolmentRefused(f"a journal of this machine belongs to another one already; was the disk copied? {ANEW}")
    if connection.execute(taken).first() is not None:
        raise refused
    rows = [{"journal": str(journal), "edge": str(edge), "name": name} for journal, name in journals]
    try:
        connection.execute(declarations.insert(), rows)
    except sa.exc.IntegrityError as error:
        raise refused from error


def declared(connection: sa.Connection, edge: str) -> set[tuple[UUID, str]]:
    """The journals that a machine claims."""
    rows = connection.execute(sa.select(declarations).where(declarations.c.edge == edge))
    return {(UUID(row.journal), row.name) for row in rows}


def check_names(application: Application) -> None:
    if fault := name_fault(application.machine):
        raise EnrolmentRefused(f"the name of this machine {fault}; give another with --machine")
    if any(name_fault(name) or not name for _, name in application.journals):
        raise EnrolmentRefused("the name of a journal cannot be printed or is too long; update this machine's program")


def check_journals(journals: Sequence[tuple[UUID, str]]) -> None:
    if not 1 <= len(journals) <= JOURNALS_MAX:
        raise EnrolmentRefused(f"a machine declares 1 to {JOURNALS_MAX} journals; update its program")
    if len({journal for journal, _ in journals}) < len(journals) or len({name for _, name in journals}) < len(journals):
        raise EnrolmentRefused("a machine's journals have distinct ids and names; update its program")


def check_proofs(application: Application, proof_name: str) -> Verifier:
    """That the machine holds its record key, bound to the invitation or what stands for it. Raises EnrolmentRefused."""
    try:
        verifier = Verifier(Suite(application.suite), application.record_public_key)
    except (UnsoundKey, ValueError) as error:
        raise EnrolmentRefused(f"the record key cannot be registered: {error}") from error
    proof = enrolment_proof(proof_name, application.csr_der)
    if not verifier.valid(application.record_proof, proof):
        raise EnrolmentRefused("the machine did not prove that it holds its record key; enrol again")
    return verifier
