"""A hub says that it holds a record once its commit is done, and not a moment before (invariant 1)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

from edge.wire import encode_batch, encode_open
from proto import sync_pb2
from security.run import Run
from tests.spine import CEILING_S, Spine, draft

HELD_S = 0.3


async def _write(spine: Spine, count: int) -> Run:
    async with spine.journal() as journal:
        for number in range(count):
            await journal.submit(draft(f"a{number}"))
        return await journal.after(0, 10_000, 10**9)


def test_nothing_is_acknowledged_while_its_commit_waits(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 5))
    said: list[int] = []

    async def talk() -> None:
        async with asyncio.timeout(CEILING_S), spine.ingest() as ingest:
            greeted = asyncio.Event()

            async def incoming() -> AsyncIterator[sync_pb2.ReplicateUp]:
                yield encode_open(spine.journal_id, run.last)
                await greeted.wait()
                with closing(sqlite3.connect(spine.hub_db, isolation_level=None)) as other:
                    other.execute("BEGIN IMMEDIATE")
                    yield encode_batch(run, spine.signer.key_id, run.last)
                    await asyncio.sleep(HELD_S)
                    assert said == [0]
                    other.execute("ROLLBACK")

            async def send(message: sync_pb2.ReplicateDown) -> None:
                if message.WhichOneof("message") in {"hello", "standing"}:
                    word = message.hello if message.HasField("hello") else message.standing
                    said.append(word.position)
                    assert word.position == len(spine.entries())
                greeted.set()

            await ingest.serve(spine.edge_id, incoming(), send)

    asyncio.run(talk())
    assert said[-1] == run.last


def test_a_commit_that_fails_is_acknowledged_to_nobody(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 5))
    answers: list[sync_pb2.ReplicateDown] = []
    with closing(sqlite3.connect(spine.hub_db)) as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
        db.commit()

    async def talk() -> None:
        async with asyncio.timeout(CEILING_S), spine.ingest() as ingest:
            async def incoming() -> AsyncIterator[sync_pb2.ReplicateUp]:
                yield encode_open(spine.journal_id, run.last)
                yield encode_batch(run, spine.signer.key_id, run.last)

            async def send(message: sync_pb2.ReplicateDown) -> None:
                answers.append(message)

            await ingest.serve(spine.edge_id, incoming(), send)

    asyncio.run(talk())
    assert answers[-1].refusal.reason == sync_pb2.Refusal.UNAVAILABLE
    assert [one.standing.position for one in answers if one.HasField("standing")] == []
    assert spine.entries() == []
