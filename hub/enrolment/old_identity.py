"""What a machine that begins anew shows of the identity it leaves, and what this hub knows of that."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
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
from hub.ledger.journal_head import JournalHead
from hub.ledger.reader import LedgerReader
from security.certificates import UNREADABLE, edge_of, validity_ms
from security.chain import Genesis
from security.renewal import rejoin_statement, renewal_holds

ANOTHERS = "a journal that is to end belongs to another machine; call the city's IT desk"


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

    def forgotten(self, request: RejoinRequest) -> list[tuple[str, Genesis]]:
        """Journals that this hub does not know (it was restored), whose record keys spoke, by name: of each the oldest first.

        Raises EnrolmentRefused: nobody ends another machine's journal, nor the hub's own.
        """
        with LedgerReader(self._database) as ledger:
            heads = {head.journal: head for head in ledger.journals()}
        return [(one.name, genesis) for old, one in request.old_journals.items() for genesis in self._before(request, old, heads)]

    def _before(self, request: RejoinRequest, old: UUID, heads: Mapping[UUID, JournalHead]) -> list[Genesis]:
        """That journal and those before it, as far as they are not known here."""
        if old in heads:
            if not heads[old].edge == request.old_edge != self._issuer.hub:
                raise EnrolmentRefused(ANOTHERS)
            return []
        stated = {one.genesis.journal: one for one in request.forerunners}
        found: list[Genesis] = []
        at: UUID | None = old
        while at in stated and at not in heads and request.proved(stated[at]):
            found.insert(0, stated.pop(at).genesis)
            at = found[0].predecessor
        if found and (found[-1].edge != request.old_edge
                      or any(self._is_another(one, heads, of_caller=one is found[-1]) for one in found)):
            raise EnrolmentRefused(ANOTHERS)
        return found

    def _is_another(self, one: Genesis, heads: Mapping[UUID, JournalHead], *, of_caller: bool) -> bool:
        """Whether its machine came here by itself or in a file, and not with this record key; a row in the table alone may be
        what a crash left of this request. The caller's identity may be known by its certificate.
        """
        keys = {(head.suite, head.public_key) for head in heads.values() if head.edge == one.edge}
        if keys:
            return keys != {(one.suite, one.public_key)}
        with self._engine.connect() as connection:
            known = history(connection, one.edge)
        return not of_caller and known is not None and known.newest >= 0

    def word(self, request: RejoinRequest) -> Shown:
        """The old TLS key's. Raises EnrolmentRefused, also for a machine that a person has revoked: nobody is asked for that."""
        if not self._nonces.holds(request.old_edge, request.nonce):
            raise EnrolmentRefused("this nonce is too old or another machine's; give the same command again")
        statement = rejoin_statement(self._issuer.hub, request.old_edge, request.nonce, request.application.csr_der, request.edge,
                                     [one.journal for one in request.journals])
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
