"""The hub's side of Watch: what is sent, when, and what is done with the answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from hub.database import open_engine
from hub.resources import watch as watch_module
from hub.resources.publications import Publications
from hub.resources.store import newest_reports, publish
from hub.resources.versions import Holding, MalformedWatch, NamedVersion, Report, Version
from hub.resources.watch import Watch
from hub.resources.wire import decode_up, serve_watch
from proto import sync_pb2
from security.clock import Clock
from security.signer import Signer
from tests.spine import CEILING_S

EDGE = UUID(int=1)
POLL_S = 0.05


class Incoming:
    """An edge that says what the test tells it; `None` ends its half of the stream."""

    def __init__(self, *said: Holding | Report | None) -> None:
        self._queue: asyncio.Queue[Holding | Report | None] = asyncio.Queue()
        for message in said:
            self._queue.put_nowait(message)

    def say(self, message: Holding | Report | None) -> None:
        self._queue.put_nowait(message)

    async def messages(self) -> AsyncIterator[Holding | Report]:
        while (message := await self._queue.get()) is not None:
            yield message


def subject(number: int, name: str = "roster") -> NamedVersion:
    return NamedVersion(name, Version(1, number))


def test_an_edge_gets_what_is_newer_than_it_holds_and_nothing_else(engine: sa.Engine, signer: Signer,
                                                                   clock: Clock) -> None:
    for name in ("roster", "policy", "roster", "links"):
        publish(engine, signer, clock, name, b"")
    holding = Holding({"roster": Version(1, 1), "policy": Version(1, 1), "links": Version(9, 9)})
    watch = Watch(engine, Publications(engine), clock)

    async def scenario() -> list[NamedVersion]:
        async with asyncio.timeout(CEILING_S):
            return [sent.subject async for sent in watch.session(EDGE, Incoming(holding, None).messages())]

    assert asyncio.run(scenario()) == [subject(2)]


def test_a_publication_from_another_connection_is_pushed_without_reconnecting(
        database: Path, engine: sa.Engine, signer: Signer, clock: Clock) -> None:
    async def scenario() -> list[NamedVersion]:
        publications = Publications(engine, poll_s=POLL_S)
        poll = asyncio.create_task(publications.run())
        incoming = Incoming(Holding({}))
        async with asyncio.timeout(CEILING_S), aclosing(Watch(engine, publications, clock).session(
                EDGE, incoming.messages())) as session:
            publish(engine, signer, clock, "roster", b"")
            sent = [(await anext(session)).subject]
            other = open_engine(database)
            later = asyncio.create_task(asyncio.to_thread(publish, other, signer, clock, "roster", b""))
            sent.append((await anext(session)).subject)
            await later
            other.dispose()
            incoming.say(None)
            sent += [resource.subject async for resource in session]
        poll.cancel()
        return sent

    assert asyncio.run(scenario()) == [subject(1), subject(2)]


def test_a_publication_in_this_process_need_not_wait_for_the_poll(engine: sa.Engine, signer: Signer,
                                                                  clock: Clock) -> None:
    async def scenario() -> NamedVersion:
        publications = Publications(engine)  # never polled
        async with asyncio.timeout(CEILING_S), aclosing(Watch(engine, publications, clock).session(
                EDGE, Incoming(Holding({})).messages())) as session:
            waiting = asyncio.ensure_future(anext(session))
            await asyncio.sleep(POLL_S)
            publish(engine, signer, clock, "roster", b"")
            await publications.look()
            return (await waiting).subject

    assert asyncio.run(scenario()) == subject(1)


def test_what_was_refused_is_stored_with_its_reason_and_not_sent_again_in_the_session(
        engine: sa.Engine, signer: Signer, clock: Clock) -> None:
    publish(engine, signer, clock, "roster", b"")

    async def scenario() -> list[NamedVersion]:
        publications = Publications(engine)
        incoming = Incoming(Holding({}))
        sent = []
        async with asyncio.timeout(CEILING_S):
            async for resource in Watch(engine, publications, clock).session(EDGE, incoming.messages()):
                sent.append(resource.subject)
                incoming.say(Report(resource.subject, False, "no such resource here"))
                incoming.say(None)
                await publications.look()
        return sent

    assert asyncio.run(scenario()) == [subject(1)]
    assert newest_reports(engine, EDGE) == [Report(subject(1), False, "no such resource here")]


def test_a_report_that_a_cut_line_swallowed_is_made_good_by_the_next_holding(engine: sa.Engine, signer: Signer,
                                                                             clock: Clock) -> None:
    publish(engine, signer, clock, "roster", b"")
    holding = Holding({"roster": Version(1, 1), "never-published": Version(1, 1)})

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S):
            async for _ in Watch(engine, Publications(engine), clock).session(EDGE, Incoming(holding, None).messages()):
                raise AssertionError("nothing is newer")

    asyncio.run(scenario())
    assert newest_reports(engine, EDGE) == [Report(subject(1), True, "")]


@pytest.mark.parametrize("said", [
    [None],
    [Report(subject(1), True, "")],
    [Holding({}), Holding({})],
    [Holding({}), Report(subject(2), True, "")],
    [Holding({}), Report(subject(1), True, ""), Report(subject(1), True, "")],
])
def test_what_breaks_the_protocol_ends_the_stream(engine: sa.Engine, signer: Signer, clock: Clock,
                                                  said: list[Holding | Report | None]) -> None:
    publish(engine, signer, clock, "roster", b"")

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S):
            incoming = Incoming(*said[:1])
            async for _ in Watch(engine, Publications(engine), clock).session(EDGE, incoming.messages()):
                for message in said[1:]:
                    incoming.say(message)

    with pytest.raises(MalformedWatch):
        asyncio.run(scenario())


def test_an_edge_that_says_nothing_is_let_go(engine: sa.Engine, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "HOLDING_WAIT_MAX_S", POLL_S)

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S):
            await anext(Watch(engine, Publications(engine), clock).session(EDGE, Incoming().messages()))

    with pytest.raises(MalformedWatch, match="no holding"):
        asyncio.run(scenario())


def test_a_session_that_is_closed_leaves_no_task_behind(engine: sa.Engine, signer: Signer, clock: Clock) -> None:
    publish(engine, signer, clock, "roster", b"")

    async def scenario() -> set[asyncio.Task[object]]:
        async with asyncio.timeout(CEILING_S):
            session = Watch(engine, Publications(engine), clock).session(EDGE, Incoming(Holding({})).messages())
            await anext(session)
            await session.aclose()
            await asyncio.sleep(0)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(scenario()) == set()


def _version(name: str = "roster", epoch: int = 1, number: int = 1) -> sync_pb2.ResourceVersion:
    return sync_pb2.ResourceVersion(name=name, epoch=epoch, number=number)


@pytest.mark.parametrize("message", [
    sync_pb2.WatchUp(),
    sync_pb2.WatchUp(holding=sync_pb2.Holding(versions=[_version(), _version(number=2)])),
    sync_pb2.WatchUp(holding=sync_pb2.Holding(versions=[_version(f"n{number}") for number in range(65)])),
    sync_pb2.WatchUp(holding=sync_pb2.Holding(versions=[_version(name="../x")])),
    sync_pb2.WatchUp(holding=sync_pb2.Holding(versions=[_version(epoch=0)])),
    sync_pb2.WatchUp(holding=sync_pb2.Holding(versions=[_version(number=2**63)])),
    sync_pb2.WatchUp(report=sync_pb2.ResourceReport(version=_version(), reason="x" * 501)),
    sync_pb2.WatchUp(report=sync_pb2.ResourceReport()),
])
def test_malformed_messages_are_refused(message: sync_pb2.WatchUp) -> None:
    with pytest.raises(MalformedWatch):
        decode_up(message)


def test_the_wire_ends_the_stream_at_a_malformed_message(engine: sa.Engine, clock: Clock) -> None:
    async def incoming() -> AsyncIterator[sync_pb2.WatchUp]:
        yield sync_pb2.WatchUp(holding=sync_pb2.Holding())
        yield sync_pb2.WatchUp()

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S):
            async for message in serve_watch(Watch(engine, Publications(engine), clock), EDGE, incoming()):
                assert message == sync_pb2.WatchDown()

    with pytest.raises(MalformedWatch):
        asyncio.run(scenario())
