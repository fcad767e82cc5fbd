"""A machine that begins anew, with a real hub's enrolment service; only the wire between the two is a stand-in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Never
from uuid import UUID

import grpc
import pytest
import sqlalchemy as sa
from cryptography import x509

import edge.enrol
import edge.rejoin
import edge.rejoin_command
import edge.rejoin_wire
from edge.enrol import EnrolmentRefused, EnrolmentUnavailable, enrol
from edge.examination import read_diagnosis
from edge.identity import Identity, load_identity
from edge.journal import Journal, JournalLimits
from edge.rejoin import Rejoin
from edge.rejoin_command import rejoin_machine
from edge.rejoin_wire import OldKey, RejoinAnswer, RejoinCall, _answer, _request
from edge.settlement import Held
from edge.state import IdentityFolder, StateFolder
from edge.succession import begin
from hub.enrolment.service import Addresses, EnrolmentService
from hub.enrolment.tables import invitations
from hub.keys import create_keys, load_keys
from hub.ledger.batch_check import check_batch
from hub.ledger.runs import Arrival
from hub.ledger.store import Ledger
from proto import enrolment_pb2
from security.certificates import der, edge_certificate, new_csr, new_key
from security.chain import leaf_hashes
from security.clock import SystemClock
from security.invitations import Invitation
from security.renewal import rejoin_statement
from security.signer import Ed25519Signer
from security.suites import Verifier
from tests.edge.machine import NOBODY, enrolled
from tests.rejoining import PEER, RejoiningHub
from tests.spine import CEILING_S, draft

Changed = Callable[[enrolment_pb2.EnrolReply], None]


class _Refused(Exception):
    pass


class _Context:
    def peer(self) -> str:
        return PEER

    async def abort(self, code: grpc.StatusCode, text: str) -> Never:
        raise _Refused(text)


class Office:
    """The hub's enrolment port; `change` is what a hub that answers nonsense makes of its answers."""

    def __init__(self, hub: RejoiningHub) -> None:
        self.hub = hub
        (hub.folder / "keys").mkdir(mode=0o700)
        create_keys(hub.folder / "keys")
        keys, addresses = load_keys(hub.folder / "keys"), Addresses("h:1", "h:2", "h:3")
        self.service = EnrolmentService(hub.desk, hub.renewals, hub.rejoins, hub.authority, keys, hub.hub, addresses, hub.clock)
        self.change: Changed = lambda reply: None
        self.calls: list[enrolment_pb2.RejoinRequest] = []

    def rejoin(self, call: RejoinCall, address: str, word: OldKey | Invitation) -> RejoinAnswer:
        request = _request(call)
        if isinstance(word, Invitation):
            request.invitation, request.secret = word.id, word.secret
        else:
            request.nonce = self.hub.nonces.new(call.old_edge)
            request.certificate_der = word.certificate_der
            request.signature = word.sign(rejoin_statement(self.hub.hub, call.old_edge, request.nonce, call.csr_der,
                                                           call.identity.edge_id, list(call.identity.journals.values())))
        self.calls.append(request)
        try:
            reply = asyncio.run(self.service.Rejoin(request, _Context()))  # type: ignore[arg-type]
        except _Refused as error:
            raise EnrolmentRefused(str(error)) from error
        self.change(reply.admitted)
        return _answer(call, reply)

    def came_of(self, invitation: Invitation, identity: Identity, address: str) -> bool:
        request = enrolment_pb2.MayReplaceRequest(edge=identity.edge_id.bytes, invitation=invitation.id, secret=invitation.secret)
        try:
            return asyncio.run(self.service.MayReplace(request, _Context())).came_of_it  # type: ignore[arg-type]
        except _Refused as error:
            raise EnrolmentRefused(str(error)) from error

    def enrol(self, invitation: Invitation, root: x509.Certificate, request: enrolment_pb2.EnrolRequest) -> object:
        reply = asyncio.run(self.service.Enrol(request, _Context()))  # type: ignore[arg-type]
        self.change(reply)
        return reply


class Machine:
    def __init__(self, folder: Path, office: Office) -> None:
        self.office = office
        self.hub = office.hub
        self.state = StateFolder(folder)
        self.digests: list[bytes] = []

    def enrol(self) -> None:
        enrol(self.state, self.hub.invitation().token(), "窗口1")

    def write(self, *callers: str) -> None:
        """Into its first journal; `digests` are of all that it holds then, from position 1."""
        asyncio.run(self._write(callers))

    async def _write(self, callers: tuple[str, ...]) -> None:
        identity = load_identity(self.state.identity)
        journal = Journal(self.state.business.db, Ed25519Signer.load(self.state.record_key),
                          bytes.fromhex(identity.hub_sealing_key), self.hub.clock, JournalLimits(reserve_bytes=0))
        async with asyncio.timeout(CEILING_S), journal:
            for caller in callers:
                await journal.submit(draft(caller))
            self.run = await journal.after(0, 10_000, 10**8)
            self.digests = [digest for at in range(1, journal.head.position + 1) if (digest := await journal.digest_at(at))]

    def deliver(self, until: int) -> None:
        """As a hub that holds so many of the first journal's records."""
        if not until:
            return
        signer, identity = Ed25519Signer.load(self.state.record_key), load_identity(self.state.identity)
        run = replace(self.run, payloads=self.run.payloads[:until], signatures=self.run.signatures[:until])
        verifier = Verifier(signer.suite, signer.public_key)
        digests = check_batch(run, verifier, identity.edge_id, UUID(identity.journal)).digests
        leaves = leaf_hashes(verifier.key_id, UUID(identity.journal).bytes, 1, digests, run.signatures, 1)
        with Ledger(self.hub.folder / "hub.db") as ledger:
            ledger.append([Arrival(UUID(identity.journal), run, digests, leaves, 1)])

    def rejoin(self, invitation: Invitation | None = None) -> Held:
        """A successor that the hub admits."""
        rejoin = Rejoin(self.state, "h:2", SystemClock())
        if waiting_for := rejoin.ask(invitation):
            self.hub.approvals.decide(waiting_for, "李芳", "looked at it", approved=True)
            assert rejoin.ask(invitation) == 0
        return Held.load(self.state.current.business)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    (tmp_path / "hub").mkdir()
    office = Office(RejoiningHub(tmp_path / "hub"))
    monkeypatch.setattr(edge.rejoin, "rejoin_call", office.rejoin)
    monkeypatch.setattr(edge.rejoin_command, "came_of", office.came_of)
    monkeypatch.setattr(edge.enrol, "_call", office.enrol)
    monkeypatch.setattr(edge.enrol, "fetch_root", lambda invitation: office.hub.authority.root)
    return office


@pytest.fixture
def machine(tmp_path: Path, office: Office) -> Machine:
    machine = Machine(tmp_path / "machine", office)
    machine.enrol()
    return machine


def _snapshot(folder: IdentityFolder) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("held", [0, 3, 9, 12])
def test_what_both_have_is_found_whatever_the_hub_acknowledged_before(machine: Machine, held: int) -> None:
    """Invariant 3: a hub that was restored holds less than it said; what it lacks is not taken for delivered."""
    machine.write(*[f"a{number}" for number in range(11)])  # and a data key
    machine.deliver(held)
    begin(machine.state, "the disk")
    said = machine.rejoin()
    known = [0, *(one.position for one in machine.office.calls[-1].journals[0].known)]
    assert (said.position, said.known) == (held, max(at for at in known if at <= held))
    assert said.digests == machine.digests[said.known:held]


def test_many_digests_come_page_by_page(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.enrolment.rejoin.DIGESTS_MAX", 2)
    machine.write(*[f"a{number}" for number in range(11)])
    machine.deliver(8)
    machine.state.business.db.write_bytes(os.urandom(8192))  # nothing is known of its digests any more
    begin(machine.state, "the disk")
    folder = machine.state.current
    succession = folder.succession.read_text(encoding="utf-8").replace('"position": 0', '"position": 12')
    folder.succession.write_text(succession, encoding="utf-8")
    said = machine.rejoin()
    assert (said.position, said.known, said.digests) == (8, 0, machine.digests[:8])


def test_a_damaged_journal_still_says_what_it_had(machine: Machine) -> None:
    machine.write("a", "b", "c")
    machine.deliver(3)
    data = bytearray(machine.state.business.db.read_bytes())
    data[:100] = bytes(100)  # SQLite reads nothing of it any more
    machine.state.business.db.write_bytes(data)
    begin(machine.state, "the disk")
    assert machine.rejoin() == Held(3, 3, [])


def test_a_damaged_earlier_identity_is_told_and_stops_no_agent(tmp_path: Path) -> None:
    state = enrolled(tmp_path / "edge")
    begin(state, "the disk")
    begin(state, "once more")
    state.identities()[1].identity.write_bytes(bytes(200))
    rejoin = Rejoin(state, NOBODY, SystemClock())

    async def ask() -> None:
        async with asyncio.timeout(CEILING_S):
            asking = asyncio.create_task(rejoin.run())
            while "identity.json is damaged" not in rejoin.diagnosis.english:
                assert not asking.done(), asking
                await asyncio.sleep(0.01)
            asking.cancel()
            await asyncio.wait([asking])

    asyncio.run(ask())


def test_a_hub_that_forgot_the_machine_gets_its_keys_back(machine: Machine, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "restored").mkdir()
    machine.write("a", "b")
    begin(machine.state, "the disk")
    machine.rejoin()
    identities = machine.state.identities()
    restored = RejoiningHub(tmp_path / "restored")
    restored.hub, restored.authority = machine.hub.hub, machine.hub.authority
    for name in ("root.pem", "intermediate.pem", "intermediate.key"):
        (restored.folder / name).write_bytes((machine.hub.folder / name).read_bytes())
    restored.restart()
    restored.own.create()
    monkeypatch.setattr(edge.rejoin, "rejoin_call", Office(restored).rejoin)
    begin(machine.state, "the hub was restored")
    replaced = load_identity(machine.state.identities()[-2].identity).edge_id
    assert Rejoin(machine.state, "h:2", SystemClock()).ask(restored.invitation("B07", replaced)) == 0
    for folder in identities:
        head = restored.journal(load_identity(folder.identity).journals["business"])
        assert head.closed
        assert head.public_key == Ed25519Signer.load(folder.record_key).public_key


def _other_key(office: Office) -> Changed:
    def change(reply: enrolment_pb2.EnrolReply) -> None:
        now = x509.load_der_x509_certificate(reply.chain_der[0]).not_valid_before_utc
        reply.chain_der[0] = der(edge_certificate(office.hub.authority.intermediate, new_csr(new_key(), "m"), office.hub.hub,
                                                  UUID(bytes=reply.edge), now))
    return change


def _no_chain(reply: enrolment_pb2.EnrolReply) -> None:
    del reply.chain_der[:]


def _bad_chain(reply: enrolment_pb2.EnrolReply) -> None:
    reply.chain_der[1] = b"rubbish"


def _bad_log_key(reply: enrolment_pb2.EnrolReply) -> None:
    reply.keys.log = b"zz"


def _bad_sealing_key(reply: enrolment_pb2.EnrolReply) -> None:
    reply.keys.sealing = bytes(31)


@pytest.mark.parametrize("nonsense", [_no_chain, _bad_chain, _bad_log_key, _bad_sealing_key, None])
def test_an_answer_that_could_not_be_worked_with_is_never_saved(machine: Machine, office: Office, tmp_path: Path,
                                                                nonsense: Changed | None) -> None:
    begin(machine.state, "the disk")
    waiting = Rejoin(machine.state, "h:2", SystemClock()).ask()
    machine.hub.approvals.decide(waiting, "李芳", "looked at it", approved=True)
    before = _snapshot(machine.state)
    office.change = nonsense or _other_key(office)
    with pytest.raises(EnrolmentRefused, match="nothing was changed"):
        Rejoin(machine.state, "h:2", SystemClock()).ask()
    assert _snapshot(machine.state) == before
    other = StateFolder(tmp_path / "other")
    with pytest.raises(EnrolmentRefused, match="nothing was changed"):
        enrol(other, machine.hub.invitation().token(), "窗口2")
    assert not other.identity.exists()


def test_an_agent_notices_that_a_command_was_quicker(machine: Machine) -> None:
    """Although the old TLS key, which it would ask with, is gone."""
    old = load_identity(machine.state.identity).edge_id
    machine.state.tls_key.unlink()
    begin(machine.state, "the key is gone")
    agent = Rejoin(machine.state, "h:2", SystemClock())
    with pytest.raises(OSError, match=r"tls\.key"):
        agent.ask()
    assert Rejoin(machine.state, "h:2", SystemClock()).ask(machine.hub.invitation(replaces=old)) == 0
    assert agent.ask() == 0


def test_who_looks_reads_why_the_new_identity_waits_and_not_what_the_old_one_was_refused_for(machine: Machine) -> None:
    machine.state.diagnosis.write_text('{"english": "the hub refuses this machine: FORKED", "since_ms": 1}', encoding="utf-8")
    begin(machine.state, "forked")
    assert read_diagnosis(machine.state.diagnosis) is None

    async def told() -> str:
        async with asyncio.timeout(CEILING_S):
            agent = asyncio.create_task(Rejoin(machine.state, "h:2", SystemClock()).run())
            while (said := read_diagnosis(machine.state.diagnosis)) is None:
                await asyncio.sleep(0.01)
            agent.cancel()
            return said[0]

    assert "request 1 waits at the hub" in asyncio.run(told())


def test_an_agent_that_was_refused_goes_on_as_soon_as_a_command_was_admitted(machine: Machine,
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own next question would come minutes later."""
    monkeypatch.setattr(edge.rejoin, "POLL_S", 0.05)
    old = load_identity(machine.state.identity).edge_id
    begin(machine.state, "forked")

    async def admitted() -> None:
        async with asyncio.timeout(CEILING_S):
            rejoin = Rejoin(machine.state, "h:2", SystemClock())
            waiting = await asyncio.to_thread(rejoin.ask)
            machine.hub.approvals.decide(waiting, "李芳", "ask first", approved=False)
            agent = asyncio.create_task(rejoin.run())
            while (said := read_diagnosis(machine.state.diagnosis)) is None:
                await asyncio.sleep(0.01)
            assert f"ask first; if it is to go on after all, ask the city's IT desk for an invitation (suozhan-hub invite SITE "\
                f"--replaces {old})" in said[0]
            command = Rejoin(machine.state, "h:2", SystemClock())
            assert await asyncio.to_thread(command.ask, machine.hub.invitation(replaces=old)) == 0
            await agent

    asyncio.run(admitted())


def test_an_invitation_is_reason_enough(machine: Machine) -> None:
    old = load_identity(machine.state.identity).edge_id
    given = machine.hub.invitation(replaces=old)
    assert rejoin_machine(machine.state, given.token(), "", SystemClock()).startswith("Admitted as ")
    assert machine.hub.known(old).successor == load_identity(machine.state.current.identity).edge_id  # type: ignore[union-attr]


def test_the_same_invitation_again_says_that_it_is_done_and_ends_nothing(machine: Machine) -> None:
    given = machine.hub.invitation(replaces=load_identity(machine.state.identity).edge_id)
    for reason in ("the disk was moved", "the disk was moved", ""):
        said = rejoin_machine(machine.state, given.token(), reason, SystemClock())
    assert "has rejoined already by this invitation" in said
    assert len(machine.state.identities()) == 2
    assert "Give --reason to do it once more" in rejoin_machine(machine.state, "", "", SystemClock())
    second = machine.hub.invitation(replaces=load_identity(machine.state.current.identity).edge_id)
    assert rejoin_machine(machine.state, second.token(), "", SystemClock()).startswith("Admitted as ")  # it is asked for anew


def test_an_invitation_that_does_not_replace_this_machine_ends_nothing_of_it(machine: Machine, tmp_path: Path) -> None:
    own = load_identity(machine.state.identity).edge_id
    other = Machine(tmp_path / "other", machine.office)
    other.enrol()
    others = load_identity(other.state.identity)
    spent = machine.hub.invitation(replaces=own)
    with machine.hub.engine.begin() as connection:
        connection.execute(sa.update(invitations).where(invitations.c.id == spent.id).values(edge=others.edge))
    strange = replace(machine.hub.invitation(replaces=own), secret=bytes(32))
    before = _snapshot(machine.state.current)
    for given, told in ((machine.hub.invitation(), f"not to replace machine {own}"),
                        (machine.hub.invitation(replaces=others.edge_id), "not to replace machine"),
                        (spent, "used by another machine"), (strange, "not known here")):
        with pytest.raises(EnrolmentRefused, match=told):
            rejoin_machine(machine.state, given.token(), "typed in at the wrong machine", SystemClock())
    assert _snapshot(machine.state.current) == before
    assert len(machine.state.identities()) == 1


def test_an_invitation_that_no_hub_could_be_asked_about_ends_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.rejoin_command, "came_of", edge.rejoin_wire.came_of)
    machine.state.config.write_text('hub_enrol_address = "127.0.0.1:1"\n')
    given = machine.hub.invitation(replaces=load_identity(machine.state.identity).edge_id)
    with pytest.raises(EnrolmentUnavailable, match="nothing was changed; give the same command again"):
        rejoin_machine(machine.state, given.token(), "the disk was moved", SystemClock())
    assert len(machine.state.identities()) == 1
