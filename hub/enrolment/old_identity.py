"""What a machine that begins anew shows of the identity it leaves, and what this hub knows of that."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from hub.enrolment.desk import EnrolmentRefused
from hub.enrolment.generations import history
from hub.enrolment.issuing import Issuer
from hub.enrolment.nonces import Nonces
from hub.enrolment.rejoin_request import RejoinRequest
from hub.enrolment.tables import edges
from hub.ledger.store import Ledger, UnknownJournal
from security.certificates import UNREADABLE, edge_of, validity_ms
from security.chain import Genesis
from security.renewal import rejoin_statement, renewal_holds


def by_invitation(edge: UUID) -> str:
    """The way in that needs no old key."""
    return (f"ask the city's IT desk for an invitation (suozhan-hub invite SITE --replaces {edge}) and give it: "
            "suozhan-edge rejoin TOKEN")


@dataclass(frozen=True, slots=True)
class Shown:
    """The certificate whose key spoke for the old identity, and what the table has of that."""

    generation: int
    newest: int
    ends_ms: int
    machine: str
    revoked: str

    def body(self) -> dict[str, object]:
        """For the one who decides: these are the hub's words, not the machine's."""
        newest = "none is known here since a restore" if self.newest < 0 else f"the newest is {self.newest}"
        return {"known_as": self.machine, "revoked": self.revoked,
                "certificate": f"generation {self.generation}, {newest}; it ends {_day(self.ends_ms)}"}


class OldIdentities:
    """Synchronous; call it in a thread."""

    def __init__(self, engine: sa.Engine, database: Path, issuer: Issuer, nonces: Nonces) -> None:
        self._engine = engine
        self._database = database
        self._issuer = issuer
        self._nonces = nonces

    def forgotten(self, request: RejoinRequest) -> list[Genesis]:
        """Journals that this hub does not know (it was restored), whose record keys spoke: the oldest first.

        Raises EnrolmentRefused: nobody ends another machine's journal, nor the hub's own.
        """
        found: list[Genesis] = []
        at: UUID | None = request.old_journal
        with Ledger(self._database) as ledger, suppress(UnknownJournal):
            owner = ledger.journal(request.old_journal).edge
            if owner != request.old_edge or owner == self._issuer.hub:
                raise EnrolmentRefused("a journal that is to end belongs to another machine; call the city's IT desk")
            return []
        for one in request.forerunners:
            if one.genesis.journal != at or self._registered(at) or not request.proved(one):
                break
            found.insert(0, one.genesis)
            at = one.genesis.predecessor
        if found and (found[-1].edge != request.old_edge or any(self._is_machine(one.edge) for one in found[:-1])):
            raise EnrolmentRefused("a journal that is to end belongs to another machine; call the city's IT desk")
        return found

    def _is_machine(self, edge: UUID) -> bool:
        """Whether it came here by itself or in a file; a row in the table alone may be what a crash left of this request."""
        with self._engine.connect() as connection, Ledger(self._database) as ledger:
            known = history(connection, edge)
            return (known is not None and known.newest >= 0) or any(head.edge == edge for head in ledger.journals())

    def _registered(self, journal: UUID) -> bool:
        with Ledger(self._database) as ledger:
            try:
                ledger.journal(journal)
            except UnknownJournal:
                return False
        return True

    def word(self, request: RejoinRequest) -> Shown:
        """The old TLS key's. Raises EnrolmentRefused, also for a machine that a person has revoked: nobody is asked for that."""
        if not self._nonces.holds(request.old_edge, request.nonce):
            raise EnrolmentRefused("this nonce is too old or another machine's; give the same command again")
        statement = rejoin_statement(self._issuer.hub, request.old_edge, request.nonce, request.application.csr_der, request.edge,
                                     request.journal[0])
        try:
            certificate = x509.load_der_x509_certificate(request.certificate_der)
            certificate.verify_directly_issued_by(self._issuer.authority.intermediate.certificate)
            named, generation = edge_of(self._issuer.hub, certificate)
        except (*UNREADABLE, InvalidSignature):
            named, generation = None, -1
        if named != request.old_edge or not renewal_holds(certificate, request.signature, statement):
            raise EnrolmentRefused(f"the machine did not prove that it holds its old key; {by_invitation(request.old_edge)}")
        return self._shown(request.old_edge, generation, validity_ms(certificate)[1])

    def _shown(self, edge: UUID, generation: int, ends_ms: int) -> Shown:
        with self._engine.connect() as connection:
            known = history(connection, edge)
            name = connection.execute(sa.select(edges.c.machine).where(edges.c.edge == str(edge))).scalar_one_or_none()
        if known is None or name is None:
            raise EnrolmentRefused(f"machine {edge} is not known here; {by_invitation(edge)}")
        if known.revoked_by_person:
            raise EnrolmentRefused(f"machine {edge} was revoked at the hub on {_day(known.revoked_ms)}, and its own key does not "
                                   f"bring it back; {by_invitation(edge)}")
        revoked = f"{_day(known.revoked_ms)}: {known.revoked_why}" if known.revoked_ms is not None else "no"
        return Shown(generation, known.newest, ends_ms, name, revoked)


def _day(unix_ms: int | None) -> str:
    return dt.datetime.fromtimestamp((unix_ms or 0) / 1000, dt.UTC).date().isoformat()
