"""The renewal desk over a real database: who gets the next certificate, and who does not. A refusal issues nothing."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from hub.enrolment.nonces import LIFE_MS
from hub.enrolment.renewals import (
    GRACE,
    ApprovalWaits,
    MachineCloned,
    MachineRevoked,
    RenewalDesk,
    RenewalRefused,
    RenewalRequest,
)
from hub.enrolment.revocation import RevocationRefused, revoke
from hub.enrolment.tables import machine_certificates
from hub.ledger.store import Ledger
from security.certificates import EDGE_LIFE, edge_certificate, edge_of, new_csr, new_key, validity_ms
from security.record import parse_record
from security.renewal import RENEW_CONTEXT, renewal_statement, sign_renewal
from tests.renewing import DAY_MS, PEER, Holder, RenewingHub

LIFE_DAYS = EDGE_LIFE.days


@pytest.fixture
def hub(tmp_path: Path) -> RenewingHub:
    return RenewingHub(tmp_path)


@pytest.fixture
def machine(hub: RenewingHub) -> Holder:
    return Holder(hub)


def _rows(hub: RenewingHub) -> int:
    with hub.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(machine_certificates)).scalar_one()


def _refuses(hub: RenewingHub, request: RenewalRequest, text: str, kind: type[Exception] = RenewalRefused) -> None:
    before = _rows(hub)
    with pytest.raises(kind, match=text):
        hub.renewals.renew(request)
    assert _rows(hub) == before


def test_the_present_key_gets_the_next_certificate_valid_or_expired(hub: RenewingHub, machine: Holder) -> None:
    """Invariant 9: there is one way, and half a year of sleep makes no difference."""
    for days in (15, LIFE_DAYS + 1, LIFE_DAYS + GRACE.days - 1):
        hub.clock.now_ms += days * DAY_MS
        machine.renew()
        assert edge_of(hub.hub, machine.certificate) == (machine.edge, machine.generation)
        assert validity_ms(machine.certificate)[1] == hub.clock.now_ms + LIFE_DAYS * DAY_MS
        assert hub.admit(machine.certificate, machine.edge).generation == machine.generation
    assert machine.generation == 3


def test_the_same_request_again_gets_the_same_certificate(hub: RenewingHub, machine: Holder) -> None:
    """Invariant 11: the answer was lost, or either side died; also after a restart of the hub."""
    csr = new_csr(new_key(), "m")
    first = hub.renewals.renew(machine.request(csr))
    assert hub.renewals.renew(machine.request(csr)) == first
    hub.restart()
    hub.clock.now_ms += 100 * DAY_MS
    assert hub.renewals.renew(machine.request(csr)) == first
    assert _rows(hub) == 2
    assert hub.alarm_texts() == {}


def test_another_request_for_a_spent_generation_is_a_clone(hub: RenewingHub, machine: Holder) -> None:
    """Invariant 5: two machines hold the keys; a crash would have repeated its request."""
    csr = new_csr(new_key(), "m")
    hub.renewals.renew(machine.request(csr))
    _refuses(hub, machine.request(peer="ipv4:10.9.9.9:1"), "copy of a disk.*suozhan-edge rejoin", MachineCloned)
    text = hub.alarm_texts()["clone"]
    assert PEER in text
    assert "ipv4:10.9.9.9:1" in text
    assert hub.renewals.renew(machine.request(csr))  # the right one is not locked out


def test_a_backup_of_several_generations_ago_is_a_clone_too(hub: RenewingHub, machine: Holder) -> None:
    old_key, old_certificate = machine.key, machine.certificate
    machine.renew()
    machine.renew()
    machine.key, machine.certificate, machine.generation = old_key, old_certificate, 0
    _refuses(hub, machine.request(), "copy of a disk", MachineCloned)


def test_of_two_requests_at_once_one_is_a_clone(hub: RenewingHub, machine: Holder) -> None:
    requests = [machine.request() for _ in range(4)]

    def ask(request: RenewalRequest) -> bool:
        try:
            return bool(hub.renewals.renew(request))
        except MachineCloned:
            return False

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(ask, requests)) == [False, False, False, True]
    assert _rows(hub) == 2


def test_a_nonce_serves_one_machine_and_for_a_minute(hub: RenewingHub, machine: Holder) -> None:
    request = machine.request()
    other = Holder(hub)
    stolen = hub.renewals.nonce(other.edge)
    assert hub.renewals.renew(request) == hub.renewals.renew(request)  # a repeat, whoever sends it
    later = bytes([request.nonce[0] ^ 1]) + request.nonce[1:]
    for strange in (stolen, bytes(32), b"", request.nonce[:8], request.nonce[:-1], later):
        _refuses(hub, replace(request, nonce=strange), "another machine's")
    late = machine.request()
    hub.clock.up_ms += LIFE_MS
    _refuses(hub, late, "too old")
    with pytest.raises(RenewalRefused, match=r"not known here.*--replaces"):
        hub.renewals.nonce(uuid4())


def test_whoever_asks_for_nonces_in_the_name_of_a_machine_takes_nothing_from_it(hub: RenewingHub, machine: Holder) -> None:
    first = machine.request()
    for _ in range(1000):
        hub.renewals.nonce(machine.edge)
    assert hub.renewals.renew(first)


def test_only_the_present_key_signs_and_only_for_this_hub_machine_and_request(hub: RenewingHub, machine: Holder) -> None:
    other = Holder(hub)
    _refuses(hub, machine.request(key=new_key()), "not signed by the machine's present key")
    _refuses(hub, machine.request(key=other.key), "not signed")
    _refuses(hub, machine.request(csr_der=new_csr(new_key(), "m")), "not signed")
    _refuses(hub, machine.request(signature=b""), "not signed")
    for hub_id, edge in ((uuid4(), machine.edge), (hub.hub, other.edge)):
        bad = machine.request()
        statement = renewal_statement(hub_id, edge, bad.nonce, bad.csr_der)
        _refuses(hub, machine.request(bad.csr_der, nonce=bad.nonce, signature=sign_renewal(machine.key, statement)), "not signed")
    bare = machine.request()
    words = renewal_statement(hub.hub, machine.edge, bare.nonce, bare.csr_der).removeprefix(RENEW_CONTEXT)
    _refuses(hub, machine.request(bare.csr_der, nonce=bare.nonce, signature=machine.key.sign(words, ec.ECDSA(hashes.SHA256()))),
             "not signed")


def test_a_request_that_is_none_or_of_another_machine_is_refused(hub: RenewingHub, machine: Holder) -> None:
    other, csr = Holder(hub), new_csr(new_key(), "m")
    hub.renewals.renew(other.request(csr))
    _refuses(hub, machine.request(csr), "belongs to another certificate")
    _refuses(hub, machine.request(b"rubbish"), "cannot be read")
    machine.generation = 4
    _refuses(hub, machine.request(), "no certificate of generation 4")


def test_the_grace_ends_after_180_days_and_then_a_person_decides(hub: RenewingHub, machine: Holder) -> None:
    csr = new_csr(new_key(), "m")
    hub.clock.now_ms = validity_ms(machine.certificate)[1] + 180 * DAY_MS + 1
    before = _rows(hub)
    with pytest.raises(ApprovalWaits) as first:
        hub.renewals.renew(machine.request(csr))
    with pytest.raises(ApprovalWaits) as again:
        hub.renewals.renew(machine.request(csr))
    assert (first.value.approval, _rows(hub)) == (again.value.approval, before)
    asked = hub.approvals.waiting()[0]
    assert (asked.id, asked.kind, asked.subject) == (first.value.approval, "renewal", str(machine.edge))
    hub.approvals.decide(asked.id, "李芳", "found in the store", approved=True)
    _refuses(hub, machine.request(), "approval", ApprovalWaits)  # another request is another decision
    issued = x509.load_der_x509_certificate(hub.renewals.renew(machine.request(csr)))
    assert edge_of(hub.hub, issued) == (machine.edge, 1)


def test_a_renewal_within_the_grace_needs_nobody(hub: RenewingHub, machine: Holder) -> None:
    hub.clock.now_ms = validity_ms(machine.certificate)[1] + 180 * DAY_MS
    machine.renew()
    assert hub.approvals.waiting() == []


def test_a_request_that_a_person_refused_stays_refused(hub: RenewingHub, machine: Holder) -> None:
    csr = new_csr(new_key(), "m")
    hub.clock.now_ms += 365 * DAY_MS
    with pytest.raises(ApprovalWaits) as waiting:
        hub.renewals.renew(machine.request(csr))
    hub.approvals.decide(waiting.value.approval, "李芳", "was stolen", approved=False)
    _refuses(hub, machine.request(csr), "李芳 refused request .*: was stolen")


def test_nothing_is_renewed_for_a_revoked_machine(hub: RenewingHub, machine: Holder) -> None:
    csr = new_csr(new_key(), "m")
    hub.renewals.renew(machine.request(csr))
    assert revoke(hub.engine, hub.own, str(machine.edge), "李芳", "stolen", hub.clock.unix_ms())
    assert not revoke(hub.engine, hub.own, str(machine.edge), "李芳", "stolen", hub.clock.unix_ms())
    _refuses(hub, machine.request(), "revoked", MachineRevoked)
    _refuses(hub, machine.request(csr), "revoked", MachineRevoked)
    with Ledger(hub.folder / "hub.db") as ledger:
        kinds = [parse_record(entry.payload).kind for entry in ledger.feed(0, 100)]
    assert kinds.count("machine.revoked") == 1


def test_a_revocation_has_a_name_a_reason_and_a_machine(hub: RenewingHub, machine: Holder) -> None:
    for edge, by, reason, text in ((str(machine.edge), "", "r", "--by"), (str(machine.edge), "n", " ", "--reason"),
                                   ("machine", "n", "r", "no machine's id"), (str(uuid4()), "n", "r", "no machine")):
        with pytest.raises(RevocationRefused, match=text):
            revoke(hub.engine, hub.own, edge, by, reason, 1)
    assert hub.admit(machine.certificate, machine.edge)


def _forget(hub: RenewingHub, generation: int) -> None:
    """As a hub that was restored from a backup made before this certificate."""
    with hub.engine.begin() as connection:
        connection.execute(machine_certificates.delete().where(machine_certificates.c.generation >= generation))


def test_a_hub_restored_from_a_backup_renews_for_machines_that_renewed_since(hub: RenewingHub, machine: Holder) -> None:
    """Invariant 9: their present certificates are not in its table, but are of its own CA."""
    for _ in range(3):
        machine.renew()
    _forget(hub, 2)
    machine.renew()
    assert machine.generation == 4
    assert hub.admit(machine.certificate, machine.edge).generation == 4
    assert "generation 3" in hub.alarm_texts()["certificate-adopted"]


def test_a_restored_hub_believes_no_certificate_of_another_ca_or_machine(hub: RenewingHub, machine: Holder,
                                                                         tmp_path: Path) -> None:
    machine.renew()
    other = Holder(hub)
    other.renew()
    _forget(hub, 1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    foreign = RenewingHub(elsewhere)
    now = dt.datetime.fromtimestamp(hub.clock.unix_ms() / 1000, dt.UTC)
    forged = edge_certificate(foreign.authority.intermediate, new_csr(machine.key, "m"), hub.hub, machine.edge, now, generation=1)
    for certificate in (forged, other.certificate):
        machine.certificate = certificate
        _refuses(hub, machine.request(), "no certificate of generation 1")
    assert hub.alarm_texts() == {}


def test_a_desk_that_lost_its_memory_asks_for_a_new_nonce(hub: RenewingHub, machine: Holder) -> None:
    request = machine.request()
    hub.restart()
    _refuses(hub, request, "too old or another machine's")
    assert isinstance(hub.renewals, RenewalDesk)
    machine.renew()
