"""Certificates over their life, over real TLS: hub and agent in this process, so that the hub's clock is an argument."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from uuid import UUID, uuid4

import grpc
import grpc.aio
import pytest
import sqlalchemy as sa
from cryptography import x509

from deploy.demo.city import Hub, Machine
from deploy.demo.line import Line
from deploy.demo.processes import free_port
from edge import renewal
from edge.assembly import run_edge
from edge.enrol import enrol
from edge.identity import Identity, load_identity
from edge.renewal_wire import Answer, RenewalOffice, RenewalUnavailable
from edge.state import StateFolder
from edge.tls_pair import TlsFiles, load_pair
from edge.wire import encode_open
from hub.assembly import run_hub
from hub.attention.approvals import Approvals
from hub.database import open_engine
from hub.enrolment.authority import ensure_server_certificate, load_authority
from hub.enrolment.open_streams import LOOK_S
from hub.enrolment.revocation import revoke
from hub.enrolment.sites import add_site, invite
from hub.enrolment.tables import machine_certificates
from hub.founding import found_hub
from hub.keys import load_keys
from hub.ledger.own_journal import OwnJournal
from hub.state import HubConfig, HubState
from proto import sync_pb2, sync_pb2_grpc
from security.certificates import EDGE_LIFE, der, pin_of
from security.clock import SystemClock
from security.renewal import renewal_statement, sign_renewal

CEILING_S = 60.0
DAY_MS = 24 * 3600 * 1000
ENDS_WITHIN_S = 2.0
ENDED_MAX_S = 20.0  # on a machine that stands still, too; the look itself is bounded
HOLDING = sync_pb2.WatchUp(holding=sync_pb2.Holding())


class ShiftedClock(SystemClock):
    """This machine's clock, so many days away."""

    shift_ms = 0

    def unix_ms(self) -> int:
        return super().unix_ms() + self.shift_ms


class City:
    """A hub whose clock can be shifted, and one machine."""

    def __init__(self, folder: Path) -> None:
        self.clock = ShiftedClock()
        self.state = HubState(folder / "hub")
        self.config = HubConfig(hub=uuid4(), hosts=["127.0.0.1"], listen="127.0.0.1", work_port=free_port(),
                                enrol_port=free_port(), api_port=free_port())
        found_hub(self.state, self.config, folder / "root.key", "passphrase", lambda: None, self.clock)
        self.engine = open_engine(self.state.database)
        self.own = OwnJournal(self.state.database, self.config.hub, load_keys(self.state.keys).record, self.clock)
        add_site(self.engine, "A01", "古魏镇服务所", "office", "")
        self.edge = StateFolder(folder / "edge")

    def enrol(self) -> Identity:
        pin = pin_of(load_authority(self.state.ca).root)
        address = self.config.address(self.config.enrol_port)
        invitation = invite(self.engine, "A01", address, pin, self.clock.unix_ms())
        identity = enrol(self.edge, invitation.token(), "窗口1")
        readers = self.edge.root / "readers"
        readers.mkdir()
        self.edge.config.write_text(f'door_port = 0\ndisk_reserve_bytes = 0\n[readers]\nwire = "simulated"\n'
                                    f'simulated_folder = "{readers}"\n')
        return identity

    @asynccontextmanager
    async def hub(self) -> AsyncIterator[None]:
        async with _running(lambda ready: run_hub(self.state, self.clock, ready)):
            yield

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[None]:
        async with _running(lambda ready: run_edge(self.edge, SystemClock(), ready)):
            yield

    async def diagnosis(self, kind: str) -> str:
        """Wait for it; its English text."""
        while True:
            with suppress(FileNotFoundError):
                said = json.loads(self.edge.diagnosis.read_text(encoding="utf-8"))
                if said["kind"] == kind:
                    return str(said["english"])
            await asyncio.sleep(0.05)

    def generation(self) -> int:
        identity = load_identity(self.edge.identity)
        return load_pair(self.edge, identity).check(identity)


@asynccontextmanager
async def _running(service: Callable[[Callable[[], None]], Awaitable[None]]) -> AsyncIterator[None]:
    ready = asyncio.Event()
    task = asyncio.ensure_future(service(ready.set))
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if task.done():
            task.result()
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(CEILING_S):
            await scenario()

    asyncio.run(bounded())


@pytest.fixture
def city(tmp_path: Path) -> City:
    return City(tmp_path)


def test_a_machine_whose_certificate_ended_long_ago_renews_by_itself(city: City) -> None:
    """Invariant 9, over TLS that refuses it: the enrolment port asks for no certificate."""
    async def scenario() -> None:
        city.clock.shift_ms = -200 * DAY_MS
        async with city.hub():
            await asyncio.to_thread(city.enrol)
        city.clock.shift_ms = 0
        async with city.hub(), city.agent():
            await city.diagnosis("connected")
        assert city.generation() == 1
        with city.engine.connect() as connection:
            used = connection.execute(sa.select(machine_certificates.c.generation).where(
                machine_certificates.c.first_used_ms.is_not(None))).scalars().all()
        assert used == [1]

    _run(scenario)


def test_beyond_the_grace_a_person_approves_and_the_machine_comes_back(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "APPROVAL_POLL_S", 0.5)

    async def scenario() -> None:
        city.clock.shift_ms = -300 * DAY_MS
        async with city.hub():
            await asyncio.to_thread(city.enrol)
        city.clock.shift_ms = 0
        async with city.hub(), city.agent():
            text = await city.diagnosis("waiting-for-approval")
            approvals = Approvals(city.engine, city.own, city.clock)
            number = approvals.waiting()[0].id
            assert f"suozhan-hub approvals approve {number}" in text
            approvals.decide(number, "李芳", "found in the store", approved=True)
            await city.diagnosis("connected")
        assert city.generation() == 1

    _run(scenario)


def test_a_machine_at_half_of_its_life_renews_and_the_old_certificate_works_no_more(city: City) -> None:
    async def scenario() -> None:
        city.clock.shift_ms = -20 * DAY_MS
        async with city.hub():
            identity = await asyncio.to_thread(city.enrol)
        city.clock.shift_ms = 0
        async with city.hub():
            async with city.agent():
                await city.diagnosis("connected")
            assert city.generation() == 1
            old = _channel(city, city.edge.tls_key.read_bytes(), identity.chain.encode())
            code, word, _ = await _watch(old)
            assert (code, word) == (grpc.StatusCode.UNAUTHENTICATED, "superseded")
            # A copy of the disk from before comes up beside it: it is told, and says so.
            city.edge.tls_pair.unlink()
            async with city.agent():
                await city.diagnosis("cloned")

    _run(scenario)


def test_a_hub_killed_between_issuing_and_answering_gives_the_same_certificate_again(hub: Hub, machine: Machine) -> None:
    """Invariant 11: real processes; the line is so slow that the answer is on its way when the hub dies."""
    state = StateFolder(machine.state)
    identity = load_identity(state.identity)
    files, line = TlsFiles(state, identity), Line(hub.enrol_port)
    line.slow_down(4_000)
    request = files.next_request()

    async def ask(port: int) -> Answer:
        async with RenewalOffice(identity, f"127.0.0.1:{port}") as office:
            nonce, _ = await office.nonce()
            signature = sign_renewal(files.pair.key, renewal_statement(identity.hub_id, identity.edge_id, nonce, request.csr_der))
            return await office.renew(request.csr_der, 1, nonce, signature, der(files.pair.leaf))

    query = "SELECT certificate FROM machine_certificates WHERE generation = 1"
    with ThreadPoolExecutor() as threads, closing(sqlite3.connect(hub.state / "hub.db")) as db:
        asking = threads.submit(lambda: asyncio.run(ask(line.port)))
        while (row := db.execute(query).fetchone()) is None and not asking.done():
            time.sleep(0.001)
        line.cut()  # what the line still holds of the answer is lost with the hub
        hub.service.kill()
        with pytest.raises(RenewalUnavailable):
            asking.result(CEILING_S)
    hub.service.start()
    assert asyncio.run(ask(hub.enrol_port)).chain_der[0] == row[0]


# ---- open streams end ----

def _channel(city: City, key: bytes, chain: bytes) -> grpc.aio.Channel:
    root = (city.state.ca / "root.pem").read_bytes()
    return grpc.aio.secure_channel(f"127.0.0.1:{city.config.work_port}", grpc.ssl_channel_credentials(root, key, chain))


async def _silent(*messages: object) -> AsyncIterator[object]:
    for message in messages:
        yield message
    await asyncio.Event().wait()


async def _ended(messages: AsyncIterator[object]) -> tuple[grpc.StatusCode, str, str]:
    """Code, the hub's word, and its text."""
    try:
        async for _ in messages:
            pass
    except grpc.aio.AioRpcError as error:
        word = {key: value for key, value in error.trailing_metadata() or ()}.get("suozhan-refusal", "")  # noqa: C416
        return error.code(), word, str(error.details())
    return grpc.StatusCode.OK, "", ""


async def _watch(channel: grpc.aio.Channel) -> tuple[grpc.StatusCode, str, str]:
    async with channel:
        return await _ended(aiter(sync_pb2_grpc.SyncStub(channel).Watch(_silent(HOLDING))))


@asynccontextmanager
async def _both_streams(city: City, identity: Identity) -> AsyncIterator[list[asyncio.Task[tuple[grpc.StatusCode, str, str]]]]:
    """Replicate and Watch, up; each task ends with its stream."""
    async with _channel(city, city.edge.tls_key.read_bytes(), identity.chain.encode()) as channel:
        stub = sync_pb2_grpc.SyncStub(channel)
        streams = [aiter(stub.Replicate(_silent(encode_open(UUID(identity.journal), 0)))), aiter(stub.Watch(_silent(HOLDING)))]
        for stream in streams:
            await anext(stream)
        tasks = [asyncio.create_task(_ended(stream)) for stream in streams]
        yield tasks
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def test_a_revocation_ends_open_streams_within_two_seconds(city: City) -> None:
    async def scenario() -> None:
        async with city.hub():
            identity = await asyncio.to_thread(city.enrol)
            async with _both_streams(city, identity) as streams:
                await asyncio.sleep(1.5)
                assert not any(stream.done() for stream in streams)
                began = time.monotonic()
                await asyncio.to_thread(revoke, city.engine, city.own, identity.edge, "李芳", "stolen", city.clock.unix_ms())
                ended = await asyncio.gather(*streams)
                assert time.monotonic() - began < ENDED_MAX_S
            assert LOOK_S < ENDS_WITHIN_S
            for code, word, text in ended:
                assert (code, word) == (grpc.StatusCode.UNAUTHENTICATED, "revoked")
                assert "ask the city's IT desk" in text

    _run(scenario)


def test_the_end_of_a_certificate_ends_open_streams_within_two_seconds(city: City) -> None:
    async def scenario() -> None:
        left_ms = 1_500
        async with city.hub():
            city.clock.shift_ms = DAY_MS - EDGE_LIFE // dt.timedelta(milliseconds=1)
            identity = await asyncio.to_thread(city.enrol)
            city.clock.shift_ms = 0
            ends_ms = x509.load_pem_x509_certificate(identity.chain.encode()).not_valid_after_utc.timestamp() * 1000
            async with _both_streams(city, identity) as streams:
                city.clock.shift_ms = int(ends_ms) - SystemClock().unix_ms() - left_ms
                ended = await asyncio.gather(*streams)
                late_s = (city.clock.unix_ms() - ends_ms) / 1000
            assert 0 <= late_s < ENDED_MAX_S
            assert {(code, word) for code, word, _ in ended} == {(grpc.StatusCode.UNAUTHENTICATED, "expired")}

    _run(scenario)


def test_a_revoked_machine_says_so_and_asks_rarely(city: City) -> None:
    async def scenario() -> None:
        async with city.hub():
            identity = await asyncio.to_thread(city.enrol)
            async with city.agent():
                await city.diagnosis("connected")
                await asyncio.to_thread(revoke, city.engine, city.own, identity.edge, "李芳", "stolen", city.clock.unix_ms())
                assert "rejoin" in await city.diagnosis("revoked")

    _run(scenario)


# ---- the hub's own certificate ----

def _shown(city: City, port: int) -> bytes:
    """The certificate that a new connection to this port gets."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=CEILING_S).encode()


def test_a_new_server_certificate_serves_within_seconds_and_no_open_stream_ends(city: City) -> None:
    async def scenario() -> None:
        async with city.hub():
            identity = await asyncio.to_thread(city.enrol)
            ports = [city.config.work_port, city.config.enrol_port, city.config.api_port]
            async with _both_streams(city, identity) as streams:
                before = {await asyncio.to_thread(_shown, city, port) for port in ports}
                now = dt.datetime.now(dt.UTC)
                files = await asyncio.to_thread(lambda: ensure_server_certificate(
                    city.state.tls, load_authority(city.state.ca), ["127.0.0.1"], now, anew=True))
                wanted = x509.load_pem_x509_certificate(files.certificate.read_bytes())
                shown: set[bytes] = set()
                async with asyncio.timeout(CEILING_S):
                    while {x509.load_pem_x509_certificate(one) for one in shown} != {wanted}:
                        await asyncio.sleep(0.2)
                        shown = {await asyncio.to_thread(_shown, city, port) for port in ports}
                assert len(before) == 1
                assert before != shown
                assert not any(stream.done() for stream in streams)

    _run(scenario)


def test_a_hub_whose_clock_was_years_ahead_mends_its_certificates_and_those_of_its_machines(city: City) -> None:
    """Invariant 10: what it issued then is not valid yet."""
    async def scenario() -> None:
        city.clock.shift_ms = 900 * DAY_MS
        async with city.hub():
            pass
        city.clock.shift_ms = 0
        async with city.hub():
            city.clock.shift_ms = 900 * DAY_MS
            await asyncio.to_thread(city.enrol)
            city.clock.shift_ms = 0
            await asyncio.sleep(2.5)  # it had made a new server certificate, too
            async with city.agent():
                await city.diagnosis("connected")
        assert city.generation() == 1

    _run(scenario)
