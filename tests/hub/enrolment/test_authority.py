"""The CA's files on the hub's disk: what a crash or a bad sector makes of them."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509

from deploy.demo.city import Hub
from deploy.demo.processes import DemoFailed
from hub.enrolment.authority import (
    SERVER_RENEWAL,
    HubAuthority,
    create_authority,
    ensure_server_certificate,
    export_root_key,
    load_authority,
    renew_intermediate,
)
from security.certificates import (
    INTERMEDIATE_LIFE,
    SERVER_LIFE,
    edge_certificate,
    key_pem,
    load_key,
    new_csr,
    new_key,
    new_root,
    pem,
)
from security.private_files import write_private
from security.signer import BadKey
from tests.hub.commands import command_here

NOW = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)
HOSTS = ["hub.example", "10.0.0.1"]


@pytest.fixture
def authority(tmp_path: Path) -> HubAuthority:
    create_authority(tmp_path, uuid4(), NOW)
    return load_authority(tmp_path)


def _ensure(folder: Path, authority: HubAuthority, now: dt.datetime = NOW, hosts: list[str] = HOSTS) -> tuple[bytes, bytes]:
    """Key and certificate as they lie there, which belong together."""
    server = ensure_server_certificate(folder, authority, hosts, now)
    key, certificate = server.key.read_bytes(), server.certificate.read_bytes()
    assert load_key(key).public_key() == x509.load_pem_x509_certificate(certificate).public_key()
    return key, certificate


def test_the_ca_that_works_online_is_renewed_with_the_root_key_and_what_it_issued_stands(tmp_path: Path) -> None:
    """Invariant 10: a hub outlives its CA's first certificate."""
    hub, root_key, later = uuid4(), tmp_path / "root.key", NOW + dt.timedelta(days=4 * 365)
    export_root_key(root_key, create_authority(tmp_path, hub, NOW), hub, "open")
    before = load_authority(tmp_path)
    machine = edge_certificate(before.intermediate, new_csr(new_key(), "pc"), hub, uuid4(), later)
    renew_intermediate(tmp_path, hub, root_key, "open", later)
    after = load_authority(tmp_path)
    after.intermediate.certificate.verify_directly_issued_by(after.root)
    machine.verify_directly_issued_by(after.intermediate.certificate)
    assert after.intermediate.certificate.not_valid_after_utc == later + INTERMEDIATE_LIFE
    assert _ensure(tmp_path, after, later)[1].endswith(pem(after.intermediate.certificate))


def test_only_its_own_root_key_renews_the_ca(tmp_path: Path) -> None:
    hub, root_key = uuid4(), tmp_path / "root.key"
    export_root_key(root_key, create_authority(tmp_path, hub, NOW), hub, "open")
    held = (tmp_path / "intermediate.pem").read_bytes()
    with pytest.raises(BadKey, match="passphrase"):
        renew_intermediate(tmp_path, hub, root_key, "another", NOW)
    with pytest.raises(FileNotFoundError, match="give the root key"):
        renew_intermediate(tmp_path, hub, tmp_path / "nowhere", "open", NOW)
    export_root_key(root_key, new_root(uuid4(), NOW), hub, "open")
    with pytest.raises(BadKey, match="another hub"):
        renew_intermediate(tmp_path, hub, root_key, "open", NOW)
    assert (tmp_path / "intermediate.pem").read_bytes() == held


def test_a_server_certificate_is_kept_until_it_ends_or_the_hosts_change(tmp_path: Path, authority: HubAuthority) -> None:
    first = _ensure(tmp_path, authority)
    assert _ensure(tmp_path, authority, NOW + SERVER_LIFE - SERVER_RENEWAL) == first
    second = _ensure(tmp_path, authority, NOW + SERVER_LIFE - SERVER_RENEWAL + dt.timedelta(minutes=1))
    assert second != first
    third = _ensure(tmp_path, authority, hosts=HOSTS[:1])
    assert third[0] != second[0]
    assert _ensure(tmp_path, authority, hosts=HOSTS[:1]) == third


def test_a_certificate_that_was_made_with_a_wrong_clock_is_replaced(tmp_path: Path, authority: HubAuthority) -> None:
    """Invariant 10: by what the clock says now, it is of the future, or holds for longer than any."""
    ahead = _ensure(tmp_path, authority, NOW + dt.timedelta(days=900))
    assert _ensure(tmp_path, authority) != ahead
    (tmp_path / "server.key").unlink()
    slightly = _ensure(tmp_path, authority, NOW + dt.timedelta(minutes=30))
    assert _ensure(tmp_path, authority) == slightly  # a clock that is set by minutes renews nothing


def test_a_new_certificate_can_be_asked_for(tmp_path: Path, authority: HubAuthority) -> None:
    first = _ensure(tmp_path, authority)
    ensure_server_certificate(tmp_path, authority, HOSTS, NOW, anew=True)
    second = _ensure(tmp_path, authority)
    assert first[0] != second[0]


def test_a_crash_between_the_two_writes_of_a_renewal_is_mended(tmp_path: Path, authority: HubAuthority) -> None:
    """Invariant 11: the new key lies there, the certificate is still that of the old one."""
    _ensure(tmp_path, authority)
    write_private(tmp_path / "server.key", key_pem(new_key()))
    _ensure(tmp_path, authority)


def test_a_server_certificate_or_key_that_is_lost_or_damaged_is_made_anew(tmp_path: Path, authority: HubAuthority) -> None:
    for name in ("server.key", "server.pem"):
        _ensure(tmp_path, authority)
        (tmp_path / name).unlink()
        _ensure(tmp_path, authority)
        write_private(tmp_path / name, b"rubbish")
        _ensure(tmp_path, authority)
    whole = (tmp_path / "server.pem").read_bytes()
    alone = whole[:whole.index(b"-----END") + len(b"-----END CERTIFICATE-----\n")]
    write_private(tmp_path / "server.pem", alone)  # without the intermediate no machine can check it
    assert _ensure(tmp_path, authority)[1].count(b"BEGIN CERTIFICATE") == 2


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    hub = Hub(tmp_path_factory.mktemp("founded"))
    hub.init()
    return hub


@pytest.mark.parametrize("name", ["keys/record.key", "keys/time.key", "keys/sealing-1.key", "ca/intermediate.key",
                                  "ca/intermediate.pem", "ca/root.pem"])
def test_a_damaged_file_of_the_hub_is_one_line_that_names_it(tmp_path: Path, founded: Hub, name: str) -> None:
    state = tmp_path / "hub"
    shutil.copytree(founded.state, state)
    path = state / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DemoFailed) as caught:
        command_here(state, "run")
    assert f"suozhan-hub: {path} " in str(caught.value)
    assert "damaged" in str(caught.value)
    assert "Traceback" not in str(caught.value)
