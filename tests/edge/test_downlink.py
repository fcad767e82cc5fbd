"""The edge's Watch against the hub's own, joined in memory: published there, in use here, reported back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.catalogue import CATALOGUE
from edge.downlink import Downlink
from edge.line import HubRefused, Line, LineLost, LineStatus
from edge.resources import ResourceStore
from hub.database import open_engine
from hub.migrate import create
from hub.resources.publications import Publications
from hub.resources.store import fetch, newest_reports, publish
from hub.resources.versions import NamedVersion, Report, Version
from hub.resources.watch import Watch
from hub.resources.wire import encode_down, serve_watch
from hub.services.items import load_catalogue
from hub.services.publication import publish_catalogue
from hub.services.wire import encode_catalogue
from proto import sync_pb2
from security.signer import Ed25519Signer
from security.suites import Verifier
from tests.spine import CEILING_S
from tests.still_clock import StillClock

EDGE, OTHER = UUID(int=1), UUID(int=2)
LOOK_S = 0.01
CONTENT = encode_catalogue(load_catalogue())
OWN_CATALOGUE = """
source = "本县"
[[items]]
code = "003-40"
group = "我要办社保卡"
name = "社会保障卡挂失与解挂"
description = "挂失"
channels = ["counter"]
applicants = "办事群众"
requirement = "需携带本人身份证"
documents = [["resident-id-card"]]
working_days = 0
"""


class City:
    """A hub with one edge; `start` is a (re)start of the edge."""

    def __init__(self, folder: Path, engine: sa.Engine) -> None:
        self.folder = folder
        self.engine = engine
        self.signer = Ed25519Signer(Ed25519PrivateKey.generate())
        self.clock = StillClock()  # the hub's
        self.edge_clock = StillClock()
        self.publications = Publications(engine, poll_s=LOOK_S)
        self.tamper: Callable[[sync_pb2.WatchDown], None] = lambda _message: None

    def start(self) -> ResourceStore:
        verifier = Verifier(self.signer.suite, self.signer.public_key)
        store = ResourceStore(self.folder / "resources", [EDGE], verifier, self.edge_clock, [CATALOGUE])
        store.load()
        return store

    async def watch(self, up: AsyncIterable[sync_pb2.WatchUp]) -> AsyncGenerator[sync_pb2.WatchDown, None]:
        """The line: what is sent is serialised and read again, as gRPC does it."""
        async def carried() -> AsyncIterator[sync_pb2.WatchUp]:
            async for message in up:
                yield sync_pb2.WatchUp.FromString(message.SerializeToString())

        watch = Watch(self.engine, self.publications, self.clock)
        async with aclosing(serve_watch(watch, EDGE, carried())) as down:
            async for message in down:
                copy = sync_pb2.WatchDown.FromString(message.SerializeToString())
                self.tamper(copy)
                yield copy

    def downlink(self, store: ResourceStore) -> Downlink:
        return Downlink(store, self.watch, Line("watch", self.edge_clock, Random(1)))

    def run(self, store: ResourceStore, then: Callable[[], Awaitable[None]]) -> None:
        """Connect, do `then` while connected, disconnect."""
        async def scenario() -> None:
            async with asyncio.timeout(CEILING_S):
                poll = asyncio.create_task(self.publications.run())
                session = asyncio.create_task(self.downlink(store).run())
                try:
                    await then()
                finally:
                    for task in (session, poll):
                        task.cancel()
                    await asyncio.wait({session, poll})

        asyncio.run(scenario())

    async def reported(self, number: int, *, applied: bool) -> Report:
        """Wait for the edge's word about this version of the catalogue."""
        wanted = NamedVersion("catalogue", Version(1, number))
        while True:
            for report in newest_reports(self.engine, EDGE):
                if report.subject == wanted and report.applied == applied:
                    return report
            await asyncio.sleep(LOOK_S)


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    create(tmp_path / "hub.db")
    engine = open_engine(tmp_path / "hub.db")
    yield City(tmp_path, engine)
    engine.dispose()


def test_a_published_catalogue_is_in_use_reported_and_kept_through_a_restart(city: City) -> None:
    publish_catalogue(city.engine, city.signer, city.clock)
    store = city.start()

    async def then() -> None:
        assert (await city.reported(1, applied=True)).reason == ""

    city.run(store, then)
    for each in (store, city.start()):
        held = each.current(CATALOGUE)
        assert held is not None
        assert len(held.items) == 40


def test_a_later_publication_of_another_process_is_applied_without_reconnect_or_restart(city: City) -> None:
    publish_catalogue(city.engine, city.signer, city.clock)
    store = city.start()
    own = city.folder / "own.toml"
    own.write_text(OWN_CATALOGUE, encoding="utf-8")

    async def then() -> None:
        await city.reported(1, applied=True)
        other = open_engine(city.folder / "hub.db")
        await asyncio.to_thread(publish_catalogue, other, city.signer, city.clock, own)
        other.dispose()
        await city.reported(2, applied=True)
        held = store.current(CATALOGUE)
        assert held is not None
        assert held.source == "本县"

    city.run(store, then)


def test_a_tampered_signature_is_refused_and_the_hub_learns_why(city: City) -> None:
    publish_catalogue(city.engine, city.signer, city.clock)
    store = city.start()

    def tamper(message: sync_pb2.WatchDown) -> None:
        if message.HasField("resource"):
            message.resource.signature = bytes(64)

    async def then() -> None:
        assert "not signed by this hub's resource key" in (await city.reported(1, applied=False)).reason

    city.tamper = tamper
    city.run(store, then)
    assert store.current(CATALOGUE) is None


def test_content_that_is_no_catalogue_is_refused_with_the_reason_and_the_old_one_stays(city: City) -> None:
    publish_catalogue(city.engine, city.signer, city.clock)
    publish(city.engine, city.signer, city.clock, "catalogue", b"\xff")
    store = city.start()

    async def then() -> None:
        assert "cannot be read" in (await city.reported(2, applied=False)).reason
        publish_catalogue(city.engine, city.signer, city.clock)
        await city.reported(3, applied=True)

    city.run(store, then)


def test_an_edge_whose_clock_is_beyond_the_end_refuses_and_says_so(city: City) -> None:
    """Invariant 10: the two clocks need not agree."""
    publish(city.engine, city.signer, city.clock, "catalogue", CONTENT, expires_ms=city.clock.now_ms + 1)
    city.edge_clock.now_ms += 1

    async def then() -> None:
        assert "has expired" in (await city.reported(1, applied=False)).reason

    city.run(city.start(), then)


def test_a_hub_that_goes_back_is_refused_and_the_newer_one_stays(city: City) -> None:
    store = city.start()
    publish_catalogue(city.engine, city.signer, city.clock)
    publish_catalogue(city.engine, city.signer, city.clock)

    async def newest() -> None:
        await city.reported(2, applied=True)

    city.run(store, newest)
    old = fetch(city.engine, NamedVersion("catalogue", Version(1, 1)))
    assert old is not None
    sent = asyncio.run(answers(store, [encode_down(old)]))
    assert not sent[0].applied
    assert "1.1 is older than 1.2" in sent[0].reason
    assert city.start().versions() == store.versions()


async def answers(store: ResourceStore, messages: list[sync_pb2.WatchDown]) -> list[sync_pb2.ResourceReport]:
    """What an edge answers to a hub that sends just these messages."""
    said: list[sync_pb2.ResourceReport] = []

    async def watch(up: AsyncIterable[sync_pb2.WatchUp]) -> AsyncGenerator[sync_pb2.WatchDown, None]:
        said_by_edge = aiter(up)
        assert (await anext(said_by_edge)).HasField("holding")
        for message in messages:
            yield message
            said.append((await anext(said_by_edge)).report)

    async with asyncio.timeout(CEILING_S):
        await Downlink(store, watch, Line("watch", StillClock(), Random(1))).session()
    return said


def test_a_full_disk_is_reported_and_what_it_did_not_keep_comes_again(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that passes must not leave a counter without its catalogue until the line breaks by chance."""
    monkeypatch.setattr("edge.downlink.UNKEPT_RETRY_S", 0.05)
    publish_catalogue(city.engine, city.signer, city.clock)
    (city.folder / "resources").write_text("a file in the folder's place")

    async def then() -> None:
        assert "cannot keep it" in (await city.reported(1, applied=False)).reason
        (city.folder / "resources").unlink()
        (city.folder / "resources").mkdir()
        await city.reported(1, applied=True)

    city.run(city.start(), then)


def test_the_upward_half_ends_when_the_hub_ends_the_stream(city: City) -> None:
    async def scenario() -> list[sync_pb2.WatchUp]:
        said: list[sync_pb2.WatchUp] = []
        readers: list[asyncio.Task[None]] = []

        async def read(up: AsyncIterable[sync_pb2.WatchUp]) -> None:
            messages = aiter(up)
            said.append(await anext(messages))
            said.extend([message async for message in messages])

        async def watch(up: AsyncIterable[sync_pb2.WatchUp]) -> AsyncGenerator[sync_pb2.WatchDown, None]:
            readers.append(asyncio.create_task(read(up)))
            while not said:
                await asyncio.sleep(LOOK_S)
            if not readers:
                yield sync_pb2.WatchDown()

        async with asyncio.timeout(CEILING_S):
            await Downlink(city.start(), watch, Line("watch", StillClock(), Random(1))).session()
            await readers[0]
        return said

    assert [message.WhichOneof("message") for message in asyncio.run(scenario())] == ["holding"]


def test_bytes_that_are_no_resource_end_the_session(city: City) -> None:
    message = sync_pb2.WatchDown(resource=sync_pb2.Resource(payload=b"\xff"))
    with pytest.raises(HubRefused, match="cannot be read"):
        asyncio.run(answers(city.start(), [message]))


def test_the_line_counts_as_connected_even_when_the_hub_has_nothing_to_say(city: City) -> None:
    line = Line("watch", city.edge_clock, Random(1))

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S):
            running = asyncio.create_task(Downlink(city.start(), city.watch, line).run())
            while line.state.state is not LineStatus.CONNECTED:
                await asyncio.sleep(LOOK_S)
            running.cancel()
            await asyncio.wait({running})

    asyncio.run(scenario())


def test_after_a_cut_line_the_downlink_comes_back_and_applies_what_it_missed(city: City) -> None:
    store = city.start()
    attempts = 0

    async def watch(up: AsyncIterable[sync_pb2.WatchUp]) -> AsyncGenerator[sync_pb2.WatchDown, None]:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise LineLost("cut")
        async with aclosing(city.watch(up)) as messages:
            async for message in messages:
                yield message

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S):
            downlink = Downlink(store, watch, Line("watch", city.edge_clock, Random(1)))
            running = asyncio.create_task(downlink.run())
            publish_catalogue(city.engine, city.signer, city.clock)
            await city.reported(1, applied=True)
            running.cancel()
            await asyncio.wait({running})

    asyncio.run(scenario())
    assert attempts == 3
    assert store.current(CATALOGUE) is not None
