"""A hub's enrolment and a machine's TLS files for tests of renewal: all real, stand-ins only for the wire and the clocks."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.diagnosis import Renewing
from edge.enrol import _csr
from edge.identity import Identity
from edge.renewal import Renewal
from edge.renewal_wire import Answer, RenewalUnavailable
from edge.state import StateFolder
from edge.tls_pair import TlsFiles
from hub.attention.alarms import Alarms
from hub.attention.approvals import Approvals
from hub.database import open_engine
from hub.enrolment.adoption import Adoption
from hub.enrolment.authority import create_authority, load_authority
from hub.enrolment.callers import Caller, Callers
from hub.enrolment.desk import Application, EnrolmentDesk
from hub.enrolment.issuing import Issuer
from hub.enrolment.nonces import Nonces
from hub.enrolment.renewals import (
    ApprovalWaits,
    MachineCloned,
    MachineRevoked,
    RenewalDesk,
    RenewalRefused,
    RenewalRequest,
)
from hub.enrolment.sites import add_site, invite
from hub.ledger.own_journal import OwnJournal
from hub.migrate import create
from security.certificates import der, edge_uri, new_csr, new_key, pem
from security.invitations import enrolment_proof
from security.renewal import renewal_statement, sign_renewal
from security.signer import Ed25519Signer
from tests.spine import HandClock

DAY_MS = 24 * 3600 * 1000
PEER = "ipv4:10.1.2.3:4567"


class RenewingHub:
    """`restart` is a new process on the same folder."""

    def __init__(self, folder: Path, clock: HandClock | None = None) -> None:
        self.folder = folder
        self.clock = clock or HandClock()
        self.hub = uuid4()
        self.record_signer = Ed25519Signer(Ed25519PrivateKey.generate())
        create(folder / "hub.db")
        create_authority(folder, self.hub, dt.datetime.fromtimestamp(self.clock.unix_ms() / 1000, dt.UTC))
        self.restart()
        self.own.create()
        add_site(self.engine, "A01", "古魏镇服务所", "office", "")

    def restart(self) -> None:
        self.engine = open_engine(self.folder / "hub.db")
        self.authority = load_authority(self.folder)
        self.own = OwnJournal(self.folder / "hub.db", self.hub, self.record_signer, self.clock)
        self.alarms = Alarms(self.engine, self.own, self.clock)
        self.approvals = Approvals(self.engine, self.own, self.clock)
        self.issuer = Issuer(self.authority, self.hub, self.clock)
        self.adoption = Adoption(self.engine, self.issuer, self.alarms, self.clock)
        self.renewals = RenewalDesk(self.engine, self.issuer, self.adoption, Nonces(self.clock), self.alarms, self.approvals,
                                    self.clock)
        self.callers = Callers(self.engine, self.hub, self.adoption, self.alarms, self.clock)

    def admit(self, certificate: x509.Certificate, edge: UUID) -> Caller:
        """As the work port does it. Raises CallerRefused."""
        return self.callers.admit(edge_uri(self.hub, edge), pem(certificate))

    def alarm_texts(self) -> dict[str, str]:
        return {alarm.kind: alarm.text for alarm in self.alarms.open_alarms()}


class Holder:
    """A machine as the hub sees it: present key and certificate, kept in memory."""

    def __init__(self, hub: RenewingHub) -> None:
        self.hub = hub
        self.key = new_key()
        signer = Ed25519Signer(Ed25519PrivateKey.generate())
        csr, invitation = new_csr(self.key, "窗口1"), invite(hub.engine, "A01", "127.0.0.1:1", bytes(32), hub.clock.unix_ms())
        desk = EnrolmentDesk(hub.engine, hub.issuer, hub.own, hub.clock)
        admission = desk.admit(Application(
            invitation.id, invitation.secret, csr, int(signer.suite), signer.public_key,
            signer.sign(enrolment_proof(invitation.id, csr)), [(uuid4(), "business")], "窗口1", PEER))
        self.edge = admission.edge
        self.certificate = x509.load_der_x509_certificate(admission.certificate_der)
        self.generation = 0

    def request(self, csr: bytes | None = None, *, key: ec.EllipticCurvePrivateKey | None = None,
                **changes: object) -> RenewalRequest:
        """The next one, signed over what it says; `changes` come after the signature."""
        nonce = self.hub.renewals.nonce(self.edge)
        request = csr or new_csr(new_key(), "m")
        signature = sign_renewal(key or self.key, renewal_statement(self.hub.hub, self.edge, nonce, request))
        made = RenewalRequest(self.edge, request, self.generation + 1, nonce, signature, der(self.certificate), PEER)
        return replace(made, **changes)  # type: ignore[arg-type]

    def renew(self) -> None:
        """And take what was issued as the present one."""
        key = new_key()
        issued = self.hub.renewals.renew(self.request(new_csr(key, "m")))
        self.key, self.certificate, self.generation = key, x509.load_der_x509_certificate(issued), self.generation + 1


class DeskOffice:
    """The wire to the renewal desk. `lose` names the calls that are lost: "nonce", "renew-before", "renew-after"."""

    def __init__(self, hub: RenewingHub, edge: UUID) -> None:
        self._hub = hub
        self._edge = edge
        self.lose: list[str] = []
        self.asked: list[str] = []

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[DeskOffice]:
        yield self

    def _lost(self, what: str) -> None:
        if what in self.lose:
            self.lose.remove(what)
            raise RenewalUnavailable(f"the test lost {what}")

    async def nonce(self) -> tuple[bytes, int]:
        self.asked.append("nonce")
        self._lost("nonce")
        return self._hub.renewals.nonce(self._edge), self._hub.clock.unix_ms()

    async def renew(self, csr_der: bytes, generation: int, nonce: bytes, signature: bytes, certificate_der: bytes) -> Answer:
        self.asked.append("renew")
        self._lost("renew-before")
        request = RenewalRequest(self._edge, csr_der, generation, nonce, signature, certificate_der, PEER)
        try:
            issued = await asyncio.to_thread(self._hub.renewals.renew, request)
        except ApprovalWaits as waiting:
            return Answer(state=Renewing.WAITING, approval=waiting.approval, text=str(waiting))
        except MachineRevoked as error:
            return Answer(state=Renewing.REVOKED, text=str(error))
        except MachineCloned as error:
            return Answer(state=Renewing.CLONED, text=str(error))
        except RenewalRefused as error:
            return Answer(state=Renewing.REFUSED, text=str(error))
        self._lost("renew-after")
        return Answer((issued, der(self._hub.authority.intermediate.certificate)))


class RenewingMachine:
    """The TLS half of an enrolled machine's folder; `start` is a (re)start of its agent."""

    def __init__(self, folder: Path, hub: RenewingHub) -> None:
        self.hub = hub
        self.clock = HandClock(hub.clock.now_ms)
        self.state = StateFolder(folder)
        self.state.make()
        signer = Ed25519Signer(Ed25519PrivateKey.generate())
        csr = _csr(self.state, "窗口1")
        invitation = invite(hub.engine, "A01", "127.0.0.1:1", bytes(32), hub.clock.unix_ms())
        desk = EnrolmentDesk(hub.engine, hub.issuer, hub.own, hub.clock)
        admission = desk.admit(Application(
            invitation.id, invitation.secret, csr, int(signer.suite), signer.public_key,
            signer.sign(enrolment_proof(invitation.id, csr)), [(uuid4(), "business")], "窗口1", PEER))
        chain = pem(x509.load_der_x509_certificate(admission.certificate_der), hub.authority.intermediate.certificate)
        key = signer.public_key.hex()
        self.identity = Identity(
            edge=str(admission.edge), hub=str(hub.hub), site="A01", site_name="", site_kind="office", work_address="127.0.0.1:1",
            enrol_address="127.0.0.1:1", api_address="127.0.0.1:1", root=pem(hub.authority.root).decode(), chain=chain.decode(),
            journal=str(uuid4()), hub_resource_key=key, hub_time_key=key,
            hub_sealing_key=key, hub_record_key=key, hub_log_key=key)
        self.identity.save(self.state.identity)
        self.start()

    def start(self) -> None:
        self.files = TlsFiles(self.state, self.identity)
        self.office = DeskOffice(self.hub, self.identity.edge_id)
        self.renewed = 0
        self.renewal = Renewal(self.identity, self.files, self.office, self._count, self.clock, Random(1))

    async def _count(self) -> None:
        self.renewed += 1

    def sleep(self, days: float) -> None:
        """Both clocks."""
        for clock in (self.clock, self.hub.clock):
            clock.now_ms += int(days * DAY_MS)
            clock.up_ms += int(days * DAY_MS)

    def step(self) -> float:
        return asyncio.run(self.renewal.step())

    def works(self) -> Caller:
        """The work port takes what lies on the disk, after a restart."""
        self.start()
        return self.hub.admit(self.files.pair.leaf, self.identity.edge_id)
