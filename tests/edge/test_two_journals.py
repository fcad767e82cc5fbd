"""Two journals of one machine on one line: each arrives once and in order, and business has the line first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from edge.doubt import Doubt
from edge.journal import Journal, JournalLimits
from edge.journal_store import create_journal
from edge.line import Line, LineLost, LineStatus
from edge.receipt_book import ReceiptBook
from edge.receipt_store import ReceiptStore
from edge.right_of_way import RightOfWay
from edge.uplink import BEHIND_MAX_BYTES, Uplink
from hub.ledger.ingest import Ingest
from hub.ledger.store import Ledger
from hub.ledger.wire import Delivery, decode
from proto import sync_pb2
from security.chain import Genesis
from security.record import parse_record
from security.suites import Suite, Verifier
from tests.spine import CEILING_S, CutWire, Spine, draft

Up = sync_pb2.ReplicateUp
Down = sync_pb2.ReplicateDown


class TwoJournals(Spine):
    """A spine whose machine has a second journal, registered with the first one's key."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.events_id, self.events_db = uuid4(), folder / "events.db"
        genesis = Genesis(self.edge_id, self.events_id, self.signer.suite, self.signer.public_key)
        create_journal(self.events_db, "events", genesis)
        self.own.register_machine([("business", self.genesis), ("events", genesis)], "A01")
        self.sent: list[str] = []  # what happened on the line, in order

    def events(self, limits: JournalLimits | None = None) -> Journal:
        return self.journal(limits, self.events_db)

    def line(self) -> Line:
        return Line("replicate", self.clock, Random(1))

    def up(self, journal: Journal, database: Path, wire: Watched, line: Line, way: RightOfWay | None = None) -> Uplink:
        receipts = ReceiptBook(journal, ReceiptStore(database), self.hub_id, self.log_signer.public_key, self.alarms)
        verifier = Verifier(Suite.ED25519_SHA256, self.time_signer.public_key)
        return Uplink(journal, receipts, wire.replicate, line, verifier, self.clock, Doubt(0.0), way)

    def positions(self, *, of_events: bool) -> list[int]:
        """What the ledger holds, in its order; each record says itself where it stands."""
        wanted = self.events_id if of_events else self.journal_id
        with Ledger(self.hub_db) as ledger:
            records = [parse_record(one.payload) for one in ledger.feed(0, 10**6, 10**9) if one.journal == wanted]
        return [one.position for one in records]


class Watched(CutWire):
    """Writes down each batch as it is sent, and each word of the hub; every message takes a moment."""

    def __init__(self, ingest: Ingest, spine: TwoJournals, name: str, plan: dict[tuple[str, int], str] | None = None) -> None:
        super().__init__(ingest, spine.edge_id, plan)
        self._line, self._name = spine.sent, name
        self.sizes: list[int] = []

    async def replicate(self, requests: AsyncIterator[Up]) -> AsyncGenerator[Down, None]:
        async def watched() -> AsyncIterator[Up]:
            async for message in requests:
                if isinstance(batch := decode(message), Delivery):
                    self.sizes.append(batch.run.size_bytes)
                    self._line.append(self._name)
                yield message
                await asyncio.sleep(0.002)

        async for message in super().replicate(watched()):
            if message.WhichOneof("message") == "standing":
                self._line.append(f"{self._name} acknowledged")
            yield message


@pytest.fixture
def two(tmp_path: Path) -> TwoJournals:
    return TwoJournals(tmp_path)


async def _until_delivered(*journals: Journal) -> None:
    while any(one.queued for one in journals):
        await asyncio.sleep(0.002)


async def _write(journal: Journal, prefix: str, records: int) -> None:
    await asyncio.gather(*[journal.submit(draft(f"{prefix}{number}", bytes(300))) for number in range(records)])


async def _flood(two: TwoJournals, *, polite: bool) -> list[int]:
    """Thousands of events wait; transactions come meanwhile. Returns the sizes of the events' batches."""
    async with two.journal() as business, two.events() as events, two.ingest() as ingest:
        await _write(events, "event:", 2_000)
        line = two.line()
        way = RightOfWay(business, line) if polite else None
        wire = Watched(ingest, two, "events")
        uplinks = [two.up(business, two.journal_db, Watched(ingest, two, "business"), line),
                   two.up(events, two.events_db, wire, two.line(), way)]
        async with asyncio.timeout(CEILING_S):
            sessions = [asyncio.create_task(one.session()) for one in uplinks]
            while line.state.state is not LineStatus.CONNECTED:  # of a line that does not work nothing is taken
                await asyncio.sleep(0.001)
            for number in range(12):
                before = two.sent.count("events")
                while two.sent.count("events") < before + 2 and events.queued:
                    await asyncio.sleep(0.001)
                await business.submit(draft(f"a{number}"))
                two.sent.append("said")
                await _until_delivered(business)
            await _until_delivered(business, events)
            for session in sessions:
                session.cancel()
            await asyncio.wait(sessions)
    return wire.sizes


def _before_each(sent: list[str]) -> list[int]:
    """How many batches of events went out between each transaction and the batch that took it."""
    return [sent[at:sent.index("business", at)].count("events") for at, word in enumerate(sent) if word == "said"]


def _most_in_flight(sent: list[str]) -> int:
    """Batches of events that waited for the hub's word at a time."""
    flying = most = 0
    for word in sent:
        flying = flying + 1 if word == "events" else 0 if word == "events acknowledged" else flying
        most = max(most, flying)
    return most


def test_a_flood_of_events_lets_each_transaction_pass_behind_one_batch_at_most(two: TwoJournals) -> None:
    sizes = asyncio.run(_flood(two, polite=True))
    assert max(_before_each(two.sent)) <= 1
    assert _most_in_flight(two.sent) == 1
    assert BEHIND_MAX_BYTES / 2 < max(sizes) <= BEHIND_MAX_BYTES  # as much as the line carries, and not more
    assert two.positions(of_events=True) == list(range(1, 2_002))
    assert two.positions(of_events=False) == list(range(1, 14))
    two.check_ledger()


def test_without_the_right_of_way_events_would_stand_before_a_transaction(two: TwoJournals) -> None:
    """That the test above would notice."""
    asyncio.run(_flood(two, polite=False))
    assert _most_in_flight(two.sent) > 1


def test_behind_a_night_without_a_line_business_is_delivered_before_events(two: TwoJournals) -> None:
    async def scenario() -> None:
        async with two.journal() as business, two.events() as events, two.ingest() as ingest:
            await _write(events, "event:", 500)
            await _write(business, "a", 2_000)
            line = two.line()
            uplinks = [two.up(business, two.journal_db, Watched(ingest, two, "business"), line),
                       two.up(events, two.events_db, Watched(ingest, two, "events"), two.line(), RightOfWay(business, line))]
            async with asyncio.timeout(CEILING_S):
                sessions = [asyncio.create_task(one.session()) for one in uplinks]
                await _until_delivered(business, events)
                for session in sessions:
                    session.cancel()
                await asyncio.wait(sessions)

    asyncio.run(scenario())
    last = max(at for at, word in enumerate(two.sent) if word == "business")
    assert two.sent[:last].count("business") > 5
    assert two.sent[two.sent.index("business"):last].count("events") <= 1
    assert two.positions(of_events=True) == list(range(1, 502))


def test_events_wait_while_business_has_something_to_send_and_no_longer(two: TwoJournals) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S), two.journal() as business:
            line = two.line()
            way = RightOfWay(business, line)
            await business.submit(draft("a"))
            await way.free()  # its line does not work: nothing is taken from it
            line.connected()
            waiting = asyncio.create_task(way.free())
            await asyncio.sleep(0.05)
            assert not waiting.done()
            async with two.ingest() as ingest:
                await two.drain(business, CutWire(ingest, two.edge_id))
            await waiting
            await way.free()

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(4))
def test_both_journals_arrive_once_and_in_order_whatever_the_line_does(two: TwoJournals, seed: int) -> None:
    """Invariant 2."""
    random = Random(seed)
    fates = ("cut-before", "cut-after", "double")

    def plan() -> dict[tuple[str, int], str]:
        return {(random.choice(("up", "down")), random.randrange(40)): random.choice(fates) for _ in range(10)}

    async def keep(uplink: Uplink) -> None:
        while True:
            with suppress(LineLost):
                await uplink.session()
            await asyncio.sleep(0.01)

    async def scenario() -> None:
        async with asyncio.timeout(CEILING_S), two.journal() as business, two.events() as events, two.ingest() as ingest:
            line = two.line()
            uplinks = [two.up(business, two.journal_db, Watched(ingest, two, "business", plan()), line),
                       two.up(events, two.events_db, Watched(ingest, two, "events", plan()), two.line(),
                              RightOfWay(business, line))]
            keeping = [asyncio.create_task(keep(one)) for one in uplinks]
            for number in range(10):
                await _write(events, f"event:{number}-", 20)
                await _write(business, f"a{number}-", 20)
                await asyncio.sleep(0.01)
            await _until_delivered(business, events)
            for one in keeping:
                one.cancel()
            await asyncio.wait(keeping)

    asyncio.run(scenario())
    assert two.positions(of_events=True) == two.positions(of_events=False) == list(range(1, 202))
    two.check_ledger()
