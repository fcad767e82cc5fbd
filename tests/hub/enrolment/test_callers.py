"""Who may work: mutual TLS lets in every certificate of our CA, the hub's table does not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509

from hub.enrolment.callers import CallerRefused, Refusal
from hub.enrolment.tables import machine_certificates
from security.certificates import edge_certificate, edge_uri, new_csr, new_key, pem
from tests.renewing import DAY_MS, Holder, RenewingHub


@pytest.fixture
def hub(tmp_path: Path) -> RenewingHub:
    return RenewingHub(tmp_path)


@pytest.fixture
def machine(hub: RenewingHub) -> Holder:
    return Holder(hub)


def _refusal(hub: RenewingHub, certificate: x509.Certificate, machine: Holder) -> Refusal:
    with pytest.raises(CallerRefused) as caught:
        hub.admit(certificate, machine.edge)
    return caught.value.refusal


def test_the_old_certificate_works_until_the_new_one_is_first_used(hub: RenewingHub, machine: Holder) -> None:
    old = machine.certificate
    hub.admit(old, machine.edge)
    machine.renew()
    assert hub.admit(old, machine.edge).generation == 0
    assert hub.admit(machine.certificate, machine.edge).generation == 1
    assert _refusal(hub, old, machine) is Refusal.SUPERSEDED
    assert "generation 0" in hub.alarm_texts()["certificate-superseded"]
    assert hub.admit(machine.certificate, machine.edge).generation == 1


def test_a_certificate_that_was_issued_and_never_used_may_still_come(hub: RenewingHub, machine: Holder) -> None:
    """Invariant 11: the machine died between the answer and its first stream, and renewed again later."""
    machine.renew()
    unused = machine.certificate
    machine.renew()
    assert hub.admit(unused, machine.edge).generation == 1
    assert hub.admit(machine.certificate, machine.edge).generation == 2
    assert _refusal(hub, unused, machine) is Refusal.SUPERSEDED


def test_a_certificate_of_our_ca_that_we_did_not_issue_is_refused(hub: RenewingHub, machine: Holder) -> None:
    hub.admit(machine.certificate, machine.edge)
    now = dt.datetime.fromtimestamp(hub.clock.unix_ms() / 1000, dt.UTC)
    forged = edge_certificate(hub.authority.intermediate, new_csr(new_key(), "m"), hub.hub, machine.edge, now)
    assert _refusal(hub, forged, machine) is Refusal.UNKNOWN
    assert _refusal(hub, Holder(hub).certificate, machine) is Refusal.UNKNOWN  # another machine's
    with pytest.raises(CallerRefused, match="names no machine of this hub"):
        hub.callers.admit("spiffe://another/edge/x", pem(machine.certificate))
    with pytest.raises(CallerRefused):
        hub.callers.admit(edge_uri(hub.hub, machine.edge), b"")


def test_an_expired_certificate_is_refused_even_where_tls_let_it_in(hub: RenewingHub, machine: Holder) -> None:
    """TLS checks at the handshake only, and a resumed session not even then."""
    hub.clock.now_ms += 30 * DAY_MS
    assert _refusal(hub, machine.certificate, machine) is Refusal.EXPIRED


def test_a_restored_hub_takes_a_newer_certificate_of_its_own_and_says_so(hub: RenewingHub, machine: Holder) -> None:
    old = machine.certificate
    machine.renew()
    with hub.engine.begin() as connection:
        connection.execute(machine_certificates.delete().where(machine_certificates.c.generation == 1))
    assert hub.admit(machine.certificate, machine.edge).generation == 1
    assert "restored from an older backup" in hub.alarm_texts()["certificate-adopted"]
    assert _refusal(hub, old, machine) is Refusal.SUPERSEDED
    machine.renew()
    assert hub.admit(machine.certificate, machine.edge).generation == 2


def test_a_generation_that_a_restored_hub_has_passed_over_is_not_taken_up_later(hub: RenewingHub, machine: Holder) -> None:
    for _ in range(3):
        machine.renew()
    with hub.engine.begin() as connection:
        connection.execute(machine_certificates.delete().where(machine_certificates.c.generation > 0))
    newest = machine.certificate
    assert hub.adoption.adopt(machine.edge, newest)
    now = dt.datetime.fromtimestamp(hub.clock.unix_ms() / 1000, dt.UTC)
    between = edge_certificate(hub.authority.intermediate, new_csr(new_key(), "m"), hub.hub, machine.edge, now, generation=2)
    assert _refusal(hub, between, machine) is Refusal.UNKNOWN
    assert hub.admit(newest, machine.edge).generation == 3
