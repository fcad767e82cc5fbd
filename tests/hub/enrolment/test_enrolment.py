"""Enrolment against a real hub process: what an impostor, a copy or a late guest gets, and what nobody may see."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import ssl
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.demo.city import Hub, Machine
from deploy.demo.line import Line
from deploy.demo.processes import DemoFailed, command
from edge.identity import load_identity
from edge.state import StateFolder
from hub.database import open_engine
from hub.enrolment.tables import edges, invitations
from hub.ledger.store import Ledger
from proto import enrolment_pb2, enrolment_pb2_grpc, sync_pb2, sync_pb2_grpc
from security.certificates import key_pem, new_key, new_root, pem, server_certificate
from security.invitations import Invitation, enrolment_proof
from security.record import parse_record
from security.signer import Ed25519Signer

CALL_S = 30.0
FAST_BYTES_A_SECOND = 10_000_000
SLOW_BYTES_A_SECOND = 4_000  # an answer takes half a second


def _refusal(state: Path, token: str) -> str:
    with pytest.raises(DemoFailed) as caught:
        command("edge", state, "enrol", token)
    return str(caught.value)


def test_an_invitation_works_once_and_the_same_request_gets_the_same_certificate(hub: Hub, tmp_path: Path) -> None:
    hub.service.start()
    token = hub.command("invite", "A01")
    first = tmp_path / "one"
    command("edge", first, "enrol", token)
    chain = load_identity(StateFolder(first).identity).chain
    for again in (token, hub.command("invite", "A01")):
        StateFolder(first).identity.unlink()  # the answer was lost: the machine asks again
        StateFolder(first).business.db.unlink()
        command("edge", first, "enrol", again)
        assert load_identity(StateFolder(first).identity).chain == chain
    assert "used by another machine" in _refusal(tmp_path / "two", token)
    assert not StateFolder(tmp_path / "two").identity.exists()


def test_a_hub_killed_before_its_answer_arrived_gives_the_same_certificate(hub: Hub, tmp_path: Path) -> None:
    """Invariant 11: the line is slow, so the hub dies between its commit and the end of its answer."""
    hub.service.start()
    line = Line(hub.enrol_port)
    line.slow_down(SLOW_BYTES_A_SECOND)
    invitation = Invitation.from_token(hub.command("invite", "A01"))
    token = Invitation(f"127.0.0.1:{line.port}", invitation.id, invitation.secret, invitation.pin).token()
    state = StateFolder(tmp_path / "edge")
    with ThreadPoolExecutor() as threads, closing(sqlite3.connect(hub.state / "hub.db")) as db:
        enrolling = threads.submit(_refusal, state.root, token)
        while (row := db.execute("SELECT certificate FROM machine_certificates").fetchone()) is None and not enrolling.done():
            time.sleep(0.001)
        hub.service.kill()
        assert "give the same command again" in enrolling.result(CALL_S * 2)
    assert not state.identity.exists()
    hub.service.start()
    line.slow_down(FAST_BYTES_A_SECOND)
    command("edge", state.root, "enrol", token)
    leaf = x509.load_pem_x509_certificate(load_identity(state.identity).chain.encode())
    assert leaf.public_bytes(Encoding.DER) == row[0]
    status, known = hub.reader().call("GET", "/v1/edges")
    assert (status, [len(edge["journals"]) for edge in known]) == (200, [2])


def test_a_copied_machine_enrols_by_the_advice_that_it_gets(hub: Hub, machine: Machine, tmp_path: Path) -> None:
    copy = StateFolder(tmp_path / "copy")
    shutil.copytree(machine.state, copy.root)
    copy.identity.unlink()
    shutil.rmtree(copy.root / "keys")
    token = hub.command("invite", "A01")
    assert "may hold records: keep this folder, and use another --state folder" in _refusal(copy.root, token)
    for files in copy.journals:
        files.db.unlink()  # without records, but with the journal's name
    assert "move the keys and journals folders of this machine away and enrol again" in _refusal(copy.root, token)
    for folder in ("keys", "journals"):
        (copy.root / folder).rename(copy.root / f"old-{folder}")
    command("edge", copy.root, "enrol", token)
    assert load_identity(copy.identity).edge != load_identity(StateFolder(machine.state).identity).edge
    status, known = hub.reader().call("GET", "/v1/edges")
    assert (status, [len(edge["journals"]) for edge in known]) == (200, [2, 2])


def test_keys_are_readable_by_their_owner_only_and_the_secret_is_hashed(machine: Machine, hub: Hub) -> None:
    for folder in (machine.state / "keys", hub.state / "keys"):
        for file in folder.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = Invitation.from_token(hub.command("invite", "A01"))
    for file in hub.state.glob("hub.db*"):
        assert token.secret not in file.read_bytes()


def test_a_registered_key_stands_in_the_ledger(machine: Machine, hub: Hub) -> None:
    """A hub that invents a machine shows."""
    with Ledger(hub.state / "hub.db") as ledger:
        record = parse_record(ledger.feed(0, 10)[0].payload)
    assert record.kind == "key.registered"


def test_an_expired_and_an_unknown_invitation_are_refused(hub: Hub, tmp_path: Path) -> None:
    hub.service.start()
    expired = hub.command("invite", "A01")
    engine = open_engine(hub.state / "hub.db")
    with engine.begin() as connection:
        connection.execute(sa.update(invitations).values(expires_ms=1))
    engine.dispose()
    assert "expired" in _refusal(tmp_path / "late", expired)
    good = Invitation.from_token(hub.command("invite", "A01"))
    forged = Invitation(good.address, good.id, os.urandom(32), good.pin)
    assert "not known" in _refusal(tmp_path / "forged", forged.token())
    unknown = Invitation(good.address, str(uuid4()), good.secret, good.pin)
    assert "not known" in _refusal(tmp_path / "unknown", unknown.token())
    assert "damaged" in _refusal(tmp_path / "typo", good.token()[:-9] + "%")


def test_a_hub_that_cannot_write_says_so_and_the_same_command_works_later(hub: Hub, tmp_path: Path) -> None:
    hub.service.start()
    token = hub.command("invite", "A01")
    with closing(sqlite3.connect(hub.state / "hub.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "not enrolled yet: the hub cannot write now; try again later" in _refusal(tmp_path / "edge", token)
    command("edge", tmp_path / "edge", "enrol", token)
    log = hub.log.read_text(encoding="utf-8")
    assert "enrolment not stored" in log
    assert "Traceback" not in log


def test_with_a_wrong_pin_nothing_is_sent(hub: Hub, tmp_path: Path) -> None:
    """Another hub answers at the address: it learns neither secret nor machine."""
    hub.service.start()
    invitation = Invitation.from_token(hub.command("invite", "A01"))
    wrong = Invitation(invitation.address, invitation.id, invitation.secret, os.urandom(32))
    assert "Nothing was sent" in _refusal(tmp_path / "edge", wrong.token())
    assert not (tmp_path / "edge").exists()
    engine = open_engine(hub.state / "hub.db")
    with engine.connect() as connection:
        assert connection.execute(sa.select(edges)).all() == []
    engine.dispose()


def test_both_keys_must_be_proved(hub: Hub, tmp_path: Path) -> None:
    hub.service.start()
    invitation = Invitation.from_token(hub.command("invite", "A01"))
    signer = Ed25519Signer.create(tmp_path / "record.key")
    from security.certificates import new_csr

    csr = new_csr(new_key(), "t")
    root = (hub.state / "ca" / "root.pem").read_bytes()
    good = {
        "invitation": invitation.id, "secret": invitation.secret, "csr_der": csr, "suite": 1,
        "record_public_key": signer.public_key, "record_proof": signer.sign(enrolment_proof(invitation.id, csr)),
        "journals": [enrolment_pb2.JournalDeclaration(journal=uuid4().bytes, name="business")],
    }
    changes: list[dict[str, object]] = [
        {"record_proof": b""}, {"record_proof": signer.sign(b"other")}, {"record_public_key": bytes(32)},
        {"record_public_key": (1).to_bytes(32, "little")}, {"suite": 9}, {"csr_der": csr[:-1]}, {"csr_der": b""},
        {"csr_der": csr[:-5] + bytes(5)}, {"journals": []},
        {"journals": [enrolment_pb2.JournalDeclaration(journal=b"short", name="business")]},
    ]
    with grpc.secure_channel(f"127.0.0.1:{hub.enrol_port}", grpc.ssl_channel_credentials(root)) as channel:
        stub = enrolment_pb2_grpc.EnrolmentStub(channel)
        for change in changes:
            with pytest.raises(grpc.RpcError) as caught:
                stub.Enrol(enrolment_pb2.EnrolRequest(**{**good, **change}), timeout=CALL_S)
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED, change
            assert caught.value.details()
        assert stub.Enrol(enrolment_pb2.EnrolRequest(**good), timeout=CALL_S).edge


def _work_channel(hub: Hub, credentials: grpc.ChannelCredentials) -> grpc.Channel:
    return grpc.secure_channel(f"127.0.0.1:{hub.work_port}", credentials)


def _watch(channel: grpc.Channel) -> grpc.StatusCode:
    holding = sync_pb2.WatchUp(holding=sync_pb2.Holding())
    call = sync_pb2_grpc.SyncStub(channel).Watch(iter([holding]), timeout=CALL_S)
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_the_work_server_refuses_missing_foreign_and_revoked_certificates(machine: Machine, hub: Hub) -> None:
    import datetime as dt

    identity = load_identity(StateFolder(machine.state).identity)
    root = identity.root.encode()
    key = StateFolder(machine.state).tls_key.read_bytes()
    with _work_channel(hub, grpc.ssl_channel_credentials(root)) as missing:
        assert _watch(missing) is grpc.StatusCode.UNAVAILABLE
    foreign_root = new_root(uuid4(), dt.datetime.now(dt.UTC))
    foreign_key = new_key()
    foreign = server_certificate(foreign_root, foreign_key, ["x"], dt.datetime.now(dt.UTC))
    with _work_channel(hub, grpc.ssl_channel_credentials(root, key_pem(foreign_key), pem(foreign))) as channel:
        assert _watch(channel) is grpc.StatusCode.UNAVAILABLE
    # The hub's own server certificate is of the right CA, but names no machine.
    server = (hub.state / "tls" / "server.key").read_bytes(), (hub.state / "tls" / "server.pem").read_bytes()
    with _work_channel(hub, grpc.ssl_channel_credentials(root, *server)) as channel:
        assert _watch(channel) in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE}
    good = grpc.ssl_channel_credentials(root, key, identity.chain.encode())
    with _work_channel(hub, good) as channel:
        assert _watch(channel) is grpc.StatusCode.OK
    engine = open_engine(hub.state / "hub.db")
    with engine.begin() as connection:
        connection.execute(sa.update(edges).values(revoked_ms=1))
    engine.dispose()
    with _work_channel(hub, good) as channel:
        assert _watch(channel) is grpc.StatusCode.UNAUTHENTICATED


def test_garbage_on_every_listener_harms_nobody(machine: Machine, hub: Hub) -> None:
    """Tampered, truncated and random bytes: refused, no crash."""

    @settings(max_examples=30, deadline=None)
    @given(data=st.binary(min_size=1, max_size=2_000))
    def throw(data: bytes) -> None:
        for port in (hub.work_port, hub.enrol_port, hub.api_port):
            with socket.create_connection(("127.0.0.1", port), timeout=CALL_S) as raw:
                raw.sendall(data)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        with (socket.create_connection(("127.0.0.1", hub.enrol_port), timeout=CALL_S) as raw,
              context.wrap_socket(raw) as wrapped):
            wrapped.sendall(data)

    throw()
    assert hub.service.running
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)


def _raw(channel: grpc.Channel, method: str, message: bytes) -> grpc.StatusCode:
    """How the server ends a call whose only message is these bytes, whatever they are."""
    try:
        if method == ENROL:
            answers = [channel.unary_unary(method, bytes, bytes)(message, timeout=CALL_S)]
        else:
            answers = list(channel.stream_stream(method, bytes, bytes)(iter([message]), timeout=CALL_S))
    except grpc.RpcError as error:
        return error.code() if error.details() else grpc.StatusCode.UNKNOWN
    return grpc.StatusCode.OK if answers else grpc.StatusCode.UNKNOWN  # OK: a refusal in the stream's own words


ENROL, REPLICATE, WATCH = "/suozhan.v1.Enrolment/Enrol", "/suozhan.v1.Sync/Replicate", "/suozhan.v1.Sync/Watch"
BROKEN = bytes([0x0A, 0x7F, 1])  # a field that is said to be longer than the message
REFUSED = {ENROL: grpc.StatusCode.PERMISSION_DENIED, REPLICATE: grpc.StatusCode.OK,
           WATCH: grpc.StatusCode.INVALID_ARGUMENT}
TOO_LARGE = {ENROL: 65 * 1024, REPLICATE: 8 * 1024 * 1024 + 1, WATCH: 8 * 1024 * 1024 + 1}


def test_oversized_truncated_and_tampered_messages_are_refused_by_each_listener(machine: Machine, hub: Hub) -> None:
    """Within TLS, by a machine with a good certificate."""
    identity = load_identity(StateFolder(machine.state).identity)
    root, key = identity.root.encode(), StateFolder(machine.state).tls_key.read_bytes()
    good = grpc.ssl_channel_credentials(root, key, identity.chain.encode())
    anybody = grpc.secure_channel(f"127.0.0.1:{hub.enrol_port}", grpc.ssl_channel_credentials(root))
    with _work_channel(hub, good) as work, anybody as enrolment:
        for method, size in TOO_LARGE.items():
            channel = enrolment if method == ENROL else work
            assert _raw(channel, method, bytes(size)) is grpc.StatusCode.RESOURCE_EXHAUSTED, method
            for broken in (BROKEN, os.urandom(100), b""):
                assert _raw(channel, method, broken) is REFUSED[method]
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    assert "Traceback" not in hub.log.read_text(encoding="utf-8")


def test_a_mistyped_folder_is_an_error_and_stays_absent(tmp_path: Path) -> None:
    for module, arguments in (("edge", ["status"]), ("edge", ["run"]), ("hub", ["run"]), ("hub", ["invite", "A01"]),
                              ("hub", ["verify"])):
        with pytest.raises(DemoFailed, match=r"run:|check the folder"):
            command(module, tmp_path / "nowhere", *arguments)
    assert not (tmp_path / "nowhere").exists()


def test_two_agents_in_one_folder_are_refused(machine: Machine) -> None:
    machine.service.start()
    with pytest.raises(DemoFailed, match="another suozhan-edge") as caught:
        command("edge", machine.state, "run")
    assert "Traceback" not in str(caught.value)


def test_a_taken_port_is_one_line_that_says_what_to_change(hub: Hub, machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", machine.door_port)), pytest.raises(DemoFailed, match="door_port") as edge:
        command("edge", machine.state, "run")
    for port in (hub.work_port, hub.api_port):
        hub.service.stop()
        with socket.create_server(("127.0.0.1", port)), pytest.raises(DemoFailed, match=r"hub\.toml") as caught:
            command("hub", hub.state, "run")
        assert "Traceback" not in str(caught.value) + str(edge.value)
