"""How comparable systems fail their users, and that we do not (docs/peers.md): those that no other test shows."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from random import Random

import pytest

import edge.line
import edge.uplink
from edge.drafts import JournalFull
from edge.journal import JournalLimits
from edge.journal_store import JournalStore, Standing
from edge.line import HubRefused, Line, LineLost, LineStatus
from hub.ledger.ingest import Ingest
from hub.ledger.wire import Delivery, decode
from proto import sync_pb2
from security.durable_sqlite import open_readonly
from tests.spine import CEILING_S, CutWire, HandClock, Spine, draft, prove

ONE_STATEMENT = 60  # records; so that a backlog is more than one of anything


async def _fill(spine: Spine, count: int, first: int = 0) -> int:
    async with asyncio.timeout(CEILING_S), spine.journal() as journal:
        await asyncio.gather(*[journal.submit(draft(f"c{number}")) for number in range(first, first + count)])
        return journal.head.position


def _delivered(wire: CutWire) -> list[range]:
    """Positions of each batch that was sent, in order."""
    runs = [said.run for said in map(decode, wire.sent) if isinstance(said, Delivery)]
    return [range(run.first, run.last + 1) for run in runs]


class SilentWire(CutWire):
    """From the `mute_after`-th message up on it carries nothing in either direction, and nobody is told."""

    def __init__(self, ingest: Ingest, spine: Spine, mute_after: int) -> None:
        super().__init__(ingest, spine.edge_id)
        self._mute_after = mute_after
        self.muted = asyncio.Event()

    async def replicate(self, requests: AsyncIterator[sync_pb2.ReplicateUp]) -> AsyncGenerator[sync_pb2.ReplicateDown, None]:
        async def heard() -> AsyncIterator[sync_pb2.ReplicateUp]:
            number = 0
            async for message in requests:
                number += 1
                if number <= self._mute_after:
                    yield message
                    continue
                self.sent.append(message)
                self.muted.set()
            await asyncio.sleep(CEILING_S)

        async with aclosing(super().replicate(heard())) as answers:
            async for message in answers:
                if not self.muted.is_set():
                    yield message


@pytest.mark.parametrize("mute_after", [1, 2, 4])
def test_what_was_sent_into_a_line_that_was_cut_unnoticed_is_sent_again_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mute_after: int
) -> None:
    """Peers 4 and 6: the first minutes of an outage are not missing, and after it nothing comes twice."""
    monkeypatch.setattr(edge.uplink, "BATCH_MAX_RECORDS", 10)
    spine, owed_for_s = Spine(tmp_path), edge.uplink._Session.owed_for_s

    async def outage() -> tuple[int, int, list[range]]:
        head = await _fill(spine, ONE_STATEMENT)
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, spine.ingest() as ingest:
            silent, wire = SilentWire(ingest, spine, mute_after), CutWire(ingest, spine.edge_id)
            with monkeypatch.context() as hasty:
                hasty.setattr(edge.uplink, "SILENCE_MAX_S", 0.3)
                # A machine that stands still before that is not the silence that is meant.
                hasty.setattr(edge.uplink._Session, "owed_for_s", lambda one: owed_for_s(one) if silent.muted.is_set() else 0.0)
                with pytest.raises(LineLost, match="does not answer"):
                    await spine.uplink(journal, silent).session()
            held = len(spine.entries())
            await journal.submit(draft("in-the-outage"))
            await spine.drain(journal, wire)
            return head, held, _delivered(wire)

    head, held, sent = asyncio.run(outage())
    assert held < head, "nothing was lost on the way: the test proves nothing"
    assert [position for one in sent for position in one] == list(range(held + 1, head + 3))  # and a new start's data key
    assert [entry.position for entry in spine.entries()] == list(range(1, head + 3))
    spine.check_ledger()


def test_pruning_that_is_cut_off_at_any_statement_is_gone_on_with_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peer 3: no start trips over what a crash in the middle of a clean-up left."""
    monkeypatch.setattr("edge.retention.PRUNE_STEP", 7)
    spine = Spine(tmp_path)
    head = asyncio.run(_fill(spine, ONE_STATEMENT))
    prove(spine.journal_db, head)
    prune, left = JournalStore.prune, 0

    async def dies(self: JournalStore, position: int) -> None:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        await prune(self, position)

    async def start(steps: int) -> int:
        nonlocal left
        left = steps
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            assert not journal.stopped
            assert journal.head.position == head
            with suppress(KeyboardInterrupt):
                await journal.proved(head)
                await journal.take_standing(Standing(head, 40, steps))  # the time makes it news
            pruned = await journal.pruned_to()
            assert len(await journal.after(pruned, 1_000, 10**7)) == head - pruned
            return pruned

    monkeypatch.setattr(JournalStore, "prune", dies)
    assert [asyncio.run(start(steps)) for steps in (0, 1, 2, 9)] == [0, 7, 21, 39]
    assert asyncio.run(_fill(spine, 1, first=900)) == head + 2  # positions go on, none is given out again


def test_a_smaller_quota_costs_no_record_that_is_there(tmp_path: Path) -> None:
    """Peer 5: what a technician configures never empties the queue."""
    spine = Spine(tmp_path)
    head = asyncio.run(_fill(spine, ONE_STATEMENT))

    async def configured() -> None:
        limits = JournalLimits(quota_bytes=1, reserve_bytes=0)
        async with asyncio.timeout(CEILING_S), spine.journal(limits) as journal, spine.ingest() as ingest:
            with pytest.raises(JournalFull):
                await journal.submit(draft("one-more", Random(1).randbytes(40_000)))
            assert len(await journal.after(0, 1_000, 10**7)) == journal.head.position
            await spine.drain(journal, CutWire(ingest, spine.edge_id))

    asyncio.run(configured())
    assert [entry.position for entry in spine.entries()][:head] == list(range(1, head + 1))
    spine.check_ledger()


def test_whatever_ends_a_session_the_next_one_begins_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peer 7: nobody has to restart it, however often and however it failed."""
    monkeypatch.setattr(edge.line, "DELAY_BASE_S", 0.001)
    monkeypatch.setattr(edge.line, "DELAY_MAX_S", 0.002)
    endings = [LineLost("cut"), HubRefused("no", 0.001), None] * 20
    line = Line("test", HandClock(), Random(1))
    seen: list[LineStatus] = []

    async def session() -> None:
        seen.append(line.state.state)
        if not endings:
            line.connected()
            await asyncio.sleep(CEILING_S)
        if (ending := endings.pop(0)) is not None:
            raise ending

    async def keep() -> None:
        async with asyncio.timeout(CEILING_S):
            keeping = asyncio.create_task(line.keep(session))
            while line.state.state is not LineStatus.CONNECTED:
                await asyncio.sleep(0.001)
            keeping.cancel()
            await asyncio.wait([keeping])

    asyncio.run(keep())
    assert len(seen) == 61
    assert set(seen[1:]) == {LineStatus.UNREACHABLE, LineStatus.REFUSED, LineStatus.CONNECTING}


def test_a_hundred_reconnects_leave_nothing_behind_on_either_side(tmp_path: Path) -> None:
    """Peer 8: the long campaign measures bytes (`make soak`); here no object of a stream and no task outlives it."""
    spine = Spine(tmp_path)

    async def reconnect() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, spine.ingest() as ingest:
            wire = CutWire(ingest, spine.edge_id)
            uplink = spine.uplink(journal, wire)
            await asyncio.sleep(0.1)
            before = len(asyncio.all_tasks())
            for _ in range(100):
                session, said = asyncio.create_task(uplink.session()), wire.heard
                while wire.heard == said and not session.done():
                    await asyncio.sleep(0.001)
                session.cancel()
                await asyncio.wait([session])
            del session  # its traceback holds the last one
            while len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0.01)
            gc.collect()
            kinds = [type(one).__qualname__ for one in gc.get_objects() if type(one).__module__ in
                     {"edge.uplink", "hub.ledger.ingest"}]
            assert kinds.count("_Session") == 0
            assert ingest._sessions == {}

    asyncio.run(reconnect())


def _opening_peak_bytes(spine: Spine) -> int:
    """Memory that Python takes to open the journal and to read a first batch."""
    async def first_batch() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            assert await journal.after(0, edge.uplink.BATCH_MAX_RECORDS, edge.uplink.BATCH_MAX_BYTES)

    asyncio.run(first_batch())  # what is made once
    tracemalloc.start()
    try:
        asyncio.run(first_batch())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_start_with_a_long_backlog_takes_no_more_memory_than_with_a_short_one(tmp_path: Path) -> None:
    """Peer 9: a start reads the end of the journal and a batch, whatever lies between (`make bench` has a million)."""
    spine = Spine(tmp_path)
    asyncio.run(_fill(spine, 2_500))
    short = _opening_peak_bytes(spine)
    asyncio.run(_fill(spine, 7_500, first=2_500))
    assert _opening_peak_bytes(spine) < 1.2 * short


def test_a_backlog_travels_in_few_messages_and_a_busy_hour_is_few_commits(tmp_path: Path) -> None:
    """Peer 10: the pump moves thousands of records with each message (`make bench` has the rates)."""
    spine = Spine(tmp_path)

    async def drain() -> tuple[int, list[range]]:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, spine.ingest() as ingest:
            await asyncio.gather(*[journal.submit(draft(f"c{number}")) for number in range(4_000)])
            groups = len(journal.group_sizes)
            wire = CutWire(ingest, spine.edge_id)
            await spine.drain(journal, wire)
            return groups, _delivered(wire)

    groups, sent = asyncio.run(drain())
    assert sum(map(len, sent)) == 4_001
    assert groups < 40
    assert len(sent) < 40


def test_the_queue_can_be_read_by_any_sqlite_tool_beside_a_working_agent(tmp_path: Path) -> None:
    """Peer 15: what waits, since when, and how far the hub is; `suozhan-edge verify` and `export` do the rest."""
    spine = Spine(tmp_path)

    async def look() -> list[tuple[int, int, int]]:
        async with spine.journal() as journal:
            await journal.submit(draft("a"))
            db = open_readonly(spine.journal_db)
            with pytest.raises(sqlite3.OperationalError):
                db.execute("DELETE FROM envelopes")
            found = db.execute("SELECT head.position, standing.position, (SELECT count(*) FROM envelopes) FROM head, standing")
            rows = found.fetchall()
            db.close()
            await journal.submit(draft("b"))
            return rows

    assert asyncio.run(look()) == [(2, 0, 2)]
