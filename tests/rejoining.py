"""Machines that begin anew at a real rejoin desk; stand-ins only for the wire and the clocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.enrolment.desk import Application, EnrolmentDesk
from hub.enrolment.generations import History, history
from hub.enrolment.nonces import Nonces
from hub.enrolment.old_identity import OldIdentities
from hub.enrolment.rejoin import RejoinDesk
from hub.enrolment.rejoin_request import Following, Forerunner, Rejoined, RejoinRequest
from hub.enrolment.renewals import ApprovalWaits
from hub.enrolment.sites import add_site, invite
from hub.ledger.journal_head import JournalHead
from hub.ledger.store import Ledger
from security.certificates import new_csr, new_key
from security.chain import Genesis
from security.invitations import Invitation, enrolment_proof
from security.record import parse_record
from security.renewal import rejoin_proof_name, rejoin_statement, sign_renewal
from security.signer import Ed25519Signer
from tests.renewing import PEER, RenewingHub


class RejoiningHub(RenewingHub):
    """With the sites A01 and B07."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        add_site(self.engine, "B07", "别的站", "station", "")

    def restart(self) -> None:
        super().restart()
        self.desk = EnrolmentDesk(self.engine, self.issuer, self.own, self.clock)
        self.nonces = Nonces(self.clock)
        old = OldIdentities(self.engine, self.folder / "hub.db", self.issuer, self.nonces)
        self.rejoins = RejoinDesk(self.engine, self.folder / "hub.db", self.issuer, old, self.approvals, self.desk, self.own,
                                  self.clock)

    def invitation(self, site: str = "A01", replaces: UUID | None = None) -> Invitation:
        return invite(self.engine, site, "hub.example:1", bytes(32), self.clock.unix_ms(), replaces)

    def journal(self, journal: UUID) -> JournalHead:
        with Ledger(self.folder / "hub.db") as ledger:
            return ledger.journal(journal)

    def known(self, edge: UUID) -> History | None:
        with self.engine.connect() as connection:
            return history(connection, edge)

    def kinds(self) -> list[str]:
        with Ledger(self.folder / "hub.db") as ledger:
            return [parse_record(entry.payload).kind for entry in ledger.feed(0, 1000)]


class Identity:
    """One identity of a machine: `enrol` it, or let it follow another one by `request`. `events`: with a second journal."""

    def __init__(self, hub: RejoiningHub, old: Identity | None = None, *, events: bool = False) -> None:
        self.events = uuid4() if events else None
        self.hub = hub
        self.old = old
        self.edge, self.journal = uuid4(), uuid4()
        self.key, self.signer = new_key(), Ed25519Signer(Ed25519PrivateKey.generate())
        self.csr = new_csr(self.key, "窗口1")
        self.certificate = b""

    @property
    def genesis(self) -> Genesis:
        return self._genesis(self.journal, self.old.journal if self.old else None)

    @property
    def events_genesis(self) -> Genesis | None:
        return self._genesis(self.events, self.old.events if self.old else None) if self.events else None

    def _genesis(self, journal: UUID, predecessor: UUID | None) -> Genesis:
        return Genesis(self.edge, journal, self.signer.suite, self.signer.public_key, predecessor)

    @property
    def following(self) -> list[Following]:
        journals = [Following(self.journal, "business", self.old.journal if self.old else None)]
        return [*journals, Following(self.events, "events", self.old.events if self.old else None)] if self.events else journals

    def application(self, proof_name: str, invitation: Invitation | None) -> Application:
        given = (invitation.id, invitation.secret) if invitation else ("", b"")
        journals = [(one.journal, one.name) for one in self.following]
        return Application(*given, self.csr, int(self.signer.suite), self.signer.public_key,
                           self.signer.sign(enrolment_proof(proof_name, self.csr)), journals, "窗口1", PEER)

    def enrol(self, site: str = "A01") -> Identity:
        invitation = self.hub.invitation(site)
        admission = self.hub.desk.admit(self.application(invitation.id, invitation))
        self.edge, self.certificate = admission.edge, admission.certificate_der
        return self

    def request(self, invitation: Invitation | None = None, known: Sequence[tuple[int, bytes]] = (),
                **changes: object) -> RejoinRequest:
        """`changes` come after the signatures."""
        assert self.old is not None
        old, nonce, signature = self.old, b"", b""
        if invitation is None:
            nonce = self.hub.nonces.new(old.edge)
            journals = [one.journal for one in self.following]
            statement = rejoin_statement(self.hub.hub, old.edge, nonce, self.csr, self.edge, journals)
            signature = sign_renewal(old.key, statement)
        following = [replace(one, known=known) for one in self.following]
        made = RejoinRequest(self.edge, self.application(rejoin_proof_name(old.edge), invitation), old.edge, following,
                             "the disk", nonce, signature, old.certificate, self.forerunners())
        return replace(made, **changes)  # type: ignore[arg-type]

    def forerunners(self) -> list[Forerunner]:
        assert self.old is not None
        proof, at, found = enrolment_proof(rejoin_proof_name(self.old.edge), self.csr), self.old, []
        while at is not None:
            found += [Forerunner(one, at.signer.sign(proof)) for one in (at.genesis, at.events_genesis) if one]
            at = at.old
        return found

    def rejoin(self, invitation: Invitation | None = None, **changes: object) -> Rejoined:
        """What has to be approved is approved."""
        try:
            rejoined = self.hub.rejoins.admit(self.request(invitation, **changes))
        except ApprovalWaits as waiting:
            self.hub.approvals.decide(waiting.approval, "李芳", "looked at it", approved=True)
            rejoined = self.hub.rejoins.admit(self.request(invitation, **changes))
        self.certificate = rejoined.admission.certificate_der
        return rejoined
