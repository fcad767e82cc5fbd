"""The promise (invariants 1, 2, 5, 11): whatever is lost, doubled or delayed, before or after it was stored, every
record reaches the ledger once and in order. Real journal, uplink, ingest and ledger; only wire and clock are ours."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edge.pace
import edge.uplink
from security.record import parse_record
from tests.spine import CEILING_S, CutWire, Spine, draft

FATES = st.sampled_from(["cut-before", "cut-after", "double"])
PLANS = st.dictionaries(st.tuples(st.sampled_from(["up", "down"]), st.integers(0, 14)), FATES, max_size=8)
# Submissions of a round, whether the edge restarts after it, and whether the hub does.
ROUNDS = st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.booleans()), min_size=1, max_size=4)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.uplink, "BATCH_MAX_RECORDS", 3)
    monkeypatch.setattr(edge.pace, "START_BYTES", 1_000)
    monkeypatch.setattr(edge.pace, "MAX_BYTES", 2_000)


async def _live(spine: Spine, plan: dict[tuple[str, int], str], rounds: list[tuple[int, bool, bool]]) -> list[str]:
    said: list[str] = []
    async with asyncio.timeout(CEILING_S):
        for number, (count, _, _) in enumerate(rounds):
            async with spine.journal() as journal, spine.ingest() as ingest:
                wire = CutWire(ingest, spine.edge_id, plan if number == 0 else {})
                draining = asyncio.create_task(spine.drain(journal, wire))
                callers = [f"r{number}-{one}" for one in range(count)]
                stored = await asyncio.gather(*[journal.submit(draft(caller)) for caller in callers])
                again = await asyncio.gather(*[journal.submit(draft(caller)) for caller in callers])
                assert [one.position for one in stored] == [one.position for one in again]
                said += callers
                if rounds[number][1]:
                    draining.cancel()  # the edge goes down in the middle; the next round finishes its work
                await asyncio.wait([draining])
                if not draining.cancelled():
                    draining.result()
                    await spine.drain(journal, wire)
        async with spine.journal() as journal, spine.ingest() as ingest:
            await spine.drain(journal, CutWire(ingest, spine.edge_id))
    return said


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(plan=PLANS, rounds=ROUNDS)
def test_every_record_reaches_the_ledger_once_and_in_order(
    plan: dict[tuple[str, int], str], rounds: list[tuple[int, bool, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spine = Spine(Path(folder))
        said = asyncio.run(_live(spine, plan, rounds))
        records = [parse_record(entry.payload) for entry in spine.entries()]
        assert [record.position for record in records] == list(range(1, len(records) + 1))
        transactions = [record for record in records if record.kind == "transaction"]
        assert len(transactions) == len(said)
        assert len({record.id for record in transactions}) == len(said)
        spine.check_ledger()


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("fate", ["cut-before", "cut-after", "double"])
@pytest.mark.parametrize("number", range(6))
def test_each_message_lost_or_doubled_in_turn(tmp_path: Path, direction: str, fate: str, number: int) -> None:
    """Invariant 2, one message at a time."""
    spine = Spine(tmp_path)
    said = asyncio.run(_live(spine, {(direction, number): fate}, [(9, False, False)]))
    assert len([1 for entry in spine.entries() if parse_record(entry.payload).kind == "transaction"]) == len(said)
    spine.check_ledger()
