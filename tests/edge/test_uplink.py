"""The way up when something on it is wrong: our own record, our own disk, or the hub's clock."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from edge import uplink
from edge.journal import Journal
from edge.line import HubRefused, LineLost
from edge.wire import Down, Up
from proto import sync_pb2
from security.run import Run
from security.statements import SignedTime
from tests.spine import CEILING_S, CutWire, Spine, damage, draft

YEAR_MS = 365 * 24 * 3600 * 1000


@pytest.fixture
def spine(tmp_path: Path) -> Spine:
    return Spine(tmp_path)


class Hub:
    """A hub that says its hello, the rest once it was sent so many messages, and then waits until it is hung up on."""

    def __init__(self, *messages: Down, sent: int = 1) -> None:
        self._messages = messages
        self._sent = sent

    async def replicate(self, requests: AsyncIterator[Up]) -> AsyncGenerator[Down, None]:
        hello, *rest = self._messages
        await anext(requests)
        yield hello
        for _ in range(1, self._sent):
            await anext(requests, None)
        for message in rest:
            yield message
        async for _ in requests:
            pass
        await asyncio.Event().wait()


def _standing(spine: Spine, unix_ms: int, position: int = 0, digest: bytes = b"") -> sync_pb2.Standing:
    time = SignedTime.sign(spine.time_signer, unix_ms)
    return sync_pb2.Standing(position=position, digest=digest or spine.genesis.digest(),
                             time=sync_pb2.SignedTime(unix_ms=time.unix_ms, signature=time.signature))


async def _session(spine: Spine, journal: Journal, hub: Hub) -> None:
    async with asyncio.timeout(CEILING_S):
        await spine.uplink(journal, hub).session()


async def _say(journal: Journal, *callers: str) -> None:
    for caller in callers:
        await journal.submit(draft(caller))


def test_one_false_time_of_the_hub_does_not_stand_for_ever(spine: Spine) -> None:
    """Invariant 10: a hub whose clock had jumped by years signs the right time again, and records say that from then on."""
    right_ms = spine.clock.unix_ms()

    async def scenario() -> None:
        async with spine.journal() as journal:
            for unix_ms in (right_ms, right_ms + 70 * YEAR_MS, right_ms + 1_000):
                with pytest.raises(HubRefused, match="later"):
                    await _session(spine, journal, Hub(
                        sync_pb2.ReplicateDown(hello=_standing(spine, unix_ms)),
                        sync_pb2.ReplicateDown(refusal=sync_pb2.Refusal(reason="BROKEN_SIGNATURE", hint="later"))))
                assert journal.standing.hub_ms == unix_ms
        async with spine.journal() as journal:
            assert journal.standing.hub_ms == right_ms + 1_000

    asyncio.run(scenario())


def test_a_sending_half_that_failed_ends_the_stream_though_the_hub_does_not(spine: Spine,
                                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink, "SILENCE_MAX_S", 0.05)

    async def busy(position: int, limit: int, limit_bytes: int) -> Run:
        raise sqlite3.OperationalError("database is locked")

    async def scenario() -> None:
        async with spine.journal() as journal:
            await _say(journal, "a")
            monkeypatch.setattr(journal, "after", busy)
            with pytest.raises(LineLost, match="database is locked"):
                await _session(spine, journal, Hub(sync_pb2.ReplicateDown(hello=_standing(spine, 1))))

    asyncio.run(scenario())


def _flip_signature(spine: Spine, position: int) -> None:
    damage(spine.journal_db, "UPDATE envelopes SET signature = zeroblob(64) WHERE position = ?", position)


def test_a_record_whose_signature_the_disk_has_changed_ends_the_journal_when_the_hub_refuses_it(spine: Spine) -> None:
    """Invariant 3: else it would be refused every minute, and nobody told; who carries it over signs the same content again."""

    async def scenario() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            await _say(journal, "a", "b", "c")
            _flip_signature(spine, journal.head.position)
            wire = CutWire(ingest, spine.edge_id)
            with pytest.raises(HubRefused, match=f"the signature at position {journal.head.position} does not hold"):
                async with asyncio.timeout(CEILING_S):
                    await spine.uplink(journal, wire).session()
            assert "does not hold" in journal.stopped
            assert journal.queued == 1  # the others arrived

    asyncio.run(scenario())


@pytest.mark.parametrize("position", [0, 1, 2, 3, 1_000])
@pytest.mark.parametrize("reason", ["BROKEN_SIGNATURE", "MALFORMED"])
def test_a_hub_that_refuses_a_whole_record_ends_no_journal(spine: Spine, reason: str, position: int) -> None:
    async def scenario() -> None:
        async with spine.journal() as journal:
            await _say(journal, "a", "b")
            with pytest.raises(HubRefused, match="keep it"):
                await _session(spine, journal, Hub(
                    sync_pb2.ReplicateDown(hello=_standing(spine, 1)),
                    sync_pb2.ReplicateDown(refusal=sync_pb2.Refusal(reason=reason, position=position, hint="keep it")),
                    sent=2))
            assert not journal.stopped

    asyncio.run(scenario())
