"""What the hub answers: gaps, repeats, forks, restored edges, broken signatures, foreign journals (invariants 2, 5)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import structlog
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

import edge.uplink
from edge.drafts import JournalStopped
from edge.journal_store import Standing
from edge.line import HubRefused, LineLost
from edge.wire import encode_batch, encode_open
from hub.backup import back_up
from hub.ledger.append_rule import Accept, Fork, Gap, Head, judge
from hub.ledger.ingest import BEGINS_ANEW, SIGNED_TIME_LIFE_MS, Ingest
from hub.ledger.store import Ledger
from hub.ledger.verify import LedgerCheck
from proto import sync_pb2
from security.chain import digests_after
from security.record import ClearBody, Record, Times, _varint, sign_link
from security.run import Run
from tests.spine import CEILING_S, CutWire, Spine, damage, draft

Refusal = sync_pb2.Refusal


async def _say(ingest: Ingest, edge: UUID, messages: Sequence[sync_pb2.ReplicateUp]) -> list[sync_pb2.ReplicateDown]:
    """Everything the hub says to these messages."""
    answers: list[sync_pb2.ReplicateDown] = []

    async def incoming() -> AsyncIterator[sync_pb2.ReplicateUp]:
        for message in messages:
            yield message

    async def send(message: sync_pb2.ReplicateDown) -> None:
        answers.append(message)

    async with asyncio.timeout(CEILING_S):
        await ingest.serve(edge, incoming(), send)
    return answers


async def _write(spine: Spine, count: int) -> Run:
    """So many transactions more; everything that the journal then holds."""
    async with spine.journal() as journal:
        for number in range(count):
            await journal.submit(draft(f"{journal.head.position}-{number}"))
        return await journal.after(0, 10_000, 10**9)


def _batch(spine: Spine, run: Run, first: int, last: int, head: int = 0) -> sync_pb2.ReplicateUp:
    previous = [run.previous, *digests_after(run.previous, run.payloads)][first - 1]
    part = Run(first, previous, run.payloads[first - 1:last], run.signatures[first - 1:last])
    return encode_batch(part, spine.signer.key_id, head)


def _talk(spine: Spine, *messages: sync_pb2.ReplicateUp, edge: UUID | None = None,
          head: int = 1000, opening: sync_pb2.ReplicateUp | None = None) -> list[sync_pb2.ReplicateDown]:
    async def talk() -> list[sync_pb2.ReplicateDown]:
        async with spine.ingest() as ingest:
            return await _say(ingest, edge or spine.edge_id, [opening or encode_open(spine.journal_id, head), *messages])

    return [one for one in asyncio.run(talk()) if one.WhichOneof("message") not in {"receipt", "epoch"}]


def test_batches_are_acknowledged_cumulatively_after_their_commit(tmp_path: Path) -> None:
    """Invariant 1."""
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 9))
    answers = _talk(spine, _batch(spine, run, 1, 4), _batch(spine, run, 5, 10))
    assert answers[0].hello.position == 0
    assert [one.standing.position for one in answers[1:]] in ([4, 10], [10])
    assert answers[-1].standing.digest == digests_after(run.previous, run.payloads)[-1]
    assert len(spine.entries()) == 10
    spine.check_ledger()


def test_a_repeat_is_a_success_and_an_overlap_adds_only_what_is_new(tmp_path: Path) -> None:
    """Invariant 2."""
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 9))
    answers = _talk(spine, _batch(spine, run, 1, 6), _batch(spine, run, 2, 4), _batch(spine, run, 4, 10))
    assert answers[-1].standing.position == 10
    assert [entry.payload for entry in spine.entries()] == list(run.payloads)
    assert _talk(spine, _batch(spine, run, 3, 7))[-1].standing.position == 10
    spine.check_ledger()


def test_the_hub_knows_how_much_is_still_to_come(tmp_path: Path) -> None:
    """Each batch says where the edge's head is by now, not only the stream's beginning."""
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 9))
    _talk(spine, _batch(spine, run, 1, 4, head=9), _batch(spine, run, 5, 6, head=300), head=9)
    with Ledger(spine.hub_db) as ledger:
        held = ledger.journal(spine.journal_id)
    assert (held.position, held.edge_head) == (6, 300)


def test_a_clock_that_is_wrong_shows_and_an_outage_does_not(tmp_path: Path) -> None:
    """Invariant 10: what waited for the line was claimed long ago, by a clock that is right."""
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 2))
    spine.clock.now_ms += 3_600_000
    skews = []
    for ahead_ms in (0, -7_200_000, 90_000):
        _talk(spine, _batch(spine, run, 1, 3), opening=encode_open(spine.journal_id, 3, spine.clock.now_ms + ahead_ms))
        with Ledger(spine.hub_db) as ledger:
            skews.append(ledger.journal(spine.journal_id).skew_ms)
    _talk(spine, opening=encode_open(spine.journal_id, 3))
    with Ledger(spine.hub_db) as ledger:
        assert [*skews, ledger.journal(spine.journal_id).skew_ms] == [0, -7_200_000, 90_000, None]


def test_a_stream_begins_though_somebody_holds_the_database(tmp_path: Path) -> None:
    """What is noted for people waits for the lock in a thread of its own: neither the edge nor a reader waits with it."""
    spine = Spine(tmp_path)

    async def greeted() -> None:
        async with asyncio.timeout(CEILING_S), spine.ingest() as ingest:
            hello = asyncio.Event()

            async def incoming() -> AsyncIterator[sync_pb2.ReplicateUp]:
                yield encode_open(spine.journal_id, 7)

            async def send(_: sync_pb2.ReplicateDown) -> None:
                hello.set()

            with closing(sqlite3.connect(spine.hub_db, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                serving = asyncio.create_task(ingest.serve(spine.edge_id, incoming(), send))
                await hello.wait()
                assert not serving.done()
                other.execute("ROLLBACK")
            await serving

    asyncio.run(greeted())
    with Ledger(spine.hub_db) as ledger:
        assert ledger.journal(spine.journal_id).edge_head == 7


def test_a_gap_is_refused_with_the_position_wanted(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 9))
    *answers, last = _talk(spine, _batch(spine, run, 1, 3), _batch(spine, run, 6, 9))
    assert (last.refusal.reason, last.refusal.position) == (Refusal.GAP, 4)
    assert answers[-1].standing.position == 3  # what was committed is acknowledged before the stream ends
    assert len(spine.entries()) == 3


def test_a_fork_is_refused_and_noted(tmp_path: Path) -> None:
    """Invariant 5: a cloned disk writes another history under the same key."""
    spine = Spine(tmp_path)
    asyncio.run(_write(spine, 4))
    clone = tmp_path / "clone.db"
    shutil.copy(spine.journal_db, clone)
    run = asyncio.run(_write(spine, 4))
    spine.journal_db = clone
    forked = asyncio.run(_write(spine, 6))
    _talk(spine, _batch(spine, run, 1, len(run)))
    refusal = _talk(spine, _batch(spine, forked, 8, len(forked)))[-1].refusal
    assert (refusal.reason, refusal.position) == (Refusal.FORKED, len(run))
    assert "by itself within half a minute, and waits under suozhan-hub approvals" in refusal.hint, "rejoin has no reason yet"
    with Ledger(spine.hub_db) as ledger:
        assert ledger.journal(spine.journal_id).refusal.startswith("FORKED")
    assert spine.registry.get_sample_value("suozhan_hub_ingest_refusals_total", {"reason": "forked"}) == 1
    (alarm,) = spine.hub_alarms()
    assert (alarm.kind, alarm.subject) == ("journal-forked", f"edge {spine.edge_id}")
    assert f"journal {spine.journal_id}, position {len(run)}: " in alarm.text
    assert len(spine.entries()) == len(run)


@pytest.mark.parametrize("more", [0, 1, 6])
def test_a_fork_that_the_edge_sees_first_is_noted_at_the_hub_too(tmp_path: Path, more: int) -> None:
    """Invariant 5: the people who must act look at the hub. The clone stops at once, and what it wrote stays with it."""
    spine = Spine(tmp_path)
    asyncio.run(_write(spine, 4))
    clone = tmp_path / "clone.db"
    shutil.copy(spine.journal_db, clone)
    run = asyncio.run(_write(spine, 4))
    _talk(spine, _batch(spine, run, 1, len(run)))

    async def come_back() -> None:
        async with spine.journal(path=clone) as journal, spine.ingest() as ingest:
            while journal.head.position < len(run) + more:
                await journal.submit(draft(f"clone-{journal.head.position}"))
            with pytest.raises(HubRefused, match="FORKED") as caught:
                await spine.uplink(journal, CutWire(ingest, spine.edge_id)).session()
            assert caught.value.retry_s > 600  # it must not take the line from the machine that it is a copy of
            with pytest.raises(JournalStopped, match="another history"):
                await journal.submit(draft("more"))

    asyncio.run(come_back())
    with Ledger(spine.hub_db) as ledger:
        assert ledger.journal(spine.journal_id).refusal.startswith("FORKED")
    assert [entry.payload for entry in spine.entries()] == list(run.payloads)


def test_a_hub_restored_from_an_old_backup_is_noticed_when_the_rest_is_pruned(tmp_path: Path) -> None:
    """Invariant 3: nobody goes on behind a gap as if nothing had been lost."""
    spine = Spine(tmp_path)
    backup = tmp_path / "backup.db"

    async def drain() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            await journal.submit(draft("a"))
            await spine.drain(journal, CutWire(ingest, spine.edge_id))

    asyncio.run(drain())
    back_up(spine.hub_db, backup)
    asyncio.run(drain_more(spine))
    back_up(spine.hub_db, tmp_path / "newer.db")

    async def prune_and_come_back() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            await journal.submit(draft("c"))
            session = asyncio.create_task(spine.uplink(journal, CutWire(ingest, spine.edge_id)).session())
            async with asyncio.timeout(CEILING_S):
                while journal.queued or await journal.pruned_to() <= 2:  # until a receipt has proved it
                    await asyncio.sleep(0.01)
            session.cancel()
            await asyncio.wait([session])
        spine.hub_db = backup
        async with spine.journal() as journal, spine.ingest() as ingest:
            with pytest.raises(HubRefused, match=r"HOLE: positions 3 to 7: this hub never came back from a backup.* reopen"):
                await spine.uplink(journal, CutWire(ingest, spine.edge_id)).session()

    asyncio.run(prune_and_come_back())


async def drain_more(spine: Spine) -> None:
    async with spine.journal() as journal, spine.ingest() as ingest:
        for number in range(5):
            await journal.submit(draft(f"b{number}"))
        await spine.drain(journal, CutWire(ingest, spine.edge_id))


def test_a_restored_edge_is_told_so_and_stops_writing(tmp_path: Path) -> None:
    """Invariant 5: its head is below what the hub holds."""
    spine = Spine(tmp_path)
    asyncio.run(_write(spine, 2))
    backup = tmp_path / "backup.db"
    shutil.copy(spine.journal_db, backup)
    run = asyncio.run(_write(spine, 5))
    _talk(spine, _batch(spine, run, 1, len(run)))

    async def come_back() -> None:
        async with spine.journal(path=backup) as journal, spine.ingest() as ingest:
            with pytest.raises(HubRefused, match=r"RESTORED: .*run on it: suozhan-edge rejoin"):
                await spine.uplink(journal, CutWire(ingest, spine.edge_id)).session()
            with pytest.raises(Exception, match="RESTORED"):
                await journal.submit(draft("more"))

    asyncio.run(come_back())
    spine.check_ledger()


@pytest.mark.parametrize("broken", [1, 5, 9])
def test_the_good_beginning_of_a_broken_batch_is_kept(tmp_path: Path, broken: int) -> None:
    """A payload changed on its way: what came before it is committed, nothing after."""
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 9))
    payloads = list(run.payloads)
    payloads[broken - 1] = payloads[broken - 1][:-1] + bytes([payloads[broken - 1][-1] ^ 1])
    changed = Run(1, run.previous, payloads, run.signatures)
    answers = _talk(spine, encode_batch(changed, spine.signer.key_id, 0))
    assert answers[-1].refusal.reason == Refusal.BROKEN_SIGNATURE
    assert answers[-1].refusal.position == broken
    assert f"position {broken}: the signature does not hold" in answers[-1].refusal.hint
    assert len(spine.entries()) == broken - 1
    spine.check_ledger()


def test_another_machines_key_cannot_write_into_a_journal(tmp_path: Path) -> None:
    """Invariant 5: the genesis binds edge, journal and key."""
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 3))
    answers = _talk(spine, _batch(spine, run, 1, 4), edge=uuid4())
    assert answers[-1].refusal.reason == Refusal.UNKNOWN_JOURNAL
    with Ledger(spine.hub_db) as ledger:
        held = ledger.journal(spine.journal_id)
    assert (held.edge_head, held.refusal) == (0, "")
    assert spine.entries() == []


def test_a_signature_that_no_suite_makes_is_malformed(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 2))
    long = Run(1, run.previous, run.payloads, [run.signatures[0], bytes(9_000), run.signatures[2]])
    refusal = _talk(spine, encode_batch(long, spine.signer.key_id, 3))[-1].refusal
    assert (refusal.reason, "too long" in refusal.hint) == (Refusal.MALFORMED, True)
    assert spine.entries() == []


def test_a_record_of_another_place_is_malformed(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 5))
    message = encode_batch(Run(1, run.previous, run.payloads[1:3], run.signatures[1:3]), spine.signer.key_id, 0)
    refusal = _talk(spine, message)[-1].refusal
    assert (refusal.reason, refusal.position) == (Refusal.MALFORMED, 1)
    assert "not a record of this machine, journal and position" in refusal.hint
    assert spine.entries() == []
    doubled = Run(1, run.previous, [*run.payloads[:3], run.payloads[2]], [*run.signatures[:3], run.signatures[2]])
    refusal = _talk(spine, encode_batch(doubled, spine.signer.key_id, 0))[-1].refusal
    assert (refusal.reason, refusal.position) == (Refusal.MALFORMED, 4)
    assert len(spine.entries()) == 3


@pytest.mark.parametrize("first", [2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1])
def test_positions_beyond_what_the_ledger_can_count_are_malformed(tmp_path: Path, first: int) -> None:
    """Each in its place and well signed; the second one may not even fit into a uint64."""
    spine = Spine(tmp_path)
    start = Record(uuid4(), spine.edge_id, spine.journal_id, 1, "x", Times(0, 0, b"", 0), False, ClearBody(b"")).payload()[:54]
    one = sign_link(spine.signer, spine.genesis.digest(), start + b"\x20" + _varint(first))
    two = sign_link(spine.signer, one.digest, start + b"\x20" + _varint(first + 1))
    run = Run(first, spine.genesis.digest(), [one.payload, two.payload], [one.signature, two.signature])
    refusal = _talk(spine, encode_batch(run, spine.signer.key_id, 0))[-1].refusal
    assert refusal.reason == Refusal.MALFORMED
    assert spine.entries() == []


def test_the_newest_of_two_sessions_wins(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 3))

    async def two() -> tuple[list[sync_pb2.ReplicateDown], list[sync_pb2.ReplicateDown]]:
        async with asyncio.timeout(CEILING_S), spine.ingest() as ingest:
            first: list[sync_pb2.ReplicateDown] = []
            greeted = asyncio.Event()

            async def silent() -> AsyncIterator[sync_pb2.ReplicateUp]:
                yield encode_open(spine.journal_id, 10)
                await asyncio.sleep(CEILING_S)

            async def send(message: sync_pb2.ReplicateDown) -> None:
                first.append(message)
                greeted.set()

            older = asyncio.create_task(ingest.serve(spine.edge_id, silent(), send))
            await greeted.wait()
            newer = await _say(ingest, spine.edge_id, [encode_open(spine.journal_id, 10), _batch(spine, run, 1, 4)])
            await older
            return first, newer

    first, newer = asyncio.run(two())
    assert first[-1].refusal.reason == Refusal.SUPERSEDED
    assert newer[-1].standing.position == 4
    with Ledger(spine.hub_db) as ledger:
        assert ledger.journal(spine.journal_id).refusal == ""  # the stream that goes on is well


def test_a_backup_made_meanwhile_is_told_to_an_open_stream(tmp_path: Path) -> None:
    """Invariant 3: edges prune only then."""
    spine = Spine(tmp_path)

    async def back_up() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, spine.ingest() as ingest:
            await journal.submit(draft("a"))
            session = asyncio.create_task(spine.uplink(journal, CutWire(ingest, spine.edge_id)).session())
            while journal.queued:
                await asyncio.sleep(0.01)
            assert journal.standing.backed_up == 0
            with Ledger(spine.hub_db) as ledger:
                ledger.mark_backed_up({spine.journal_id: 2})
            while await journal.pruned_to() < 1:
                await asyncio.sleep(0.01)
            session.cancel()
            await asyncio.wait([session])

    asyncio.run(back_up())


def test_the_writer_and_its_streams_outlive_a_database_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told once when it begins and once when it has ended, however often it was tried."""
    monkeypatch.setattr("hub.ledger.writer.MARKS_POLL_S", 0.02)
    monkeypatch.setattr("hub.ledger.ingest.MARKS_POLL_S", 0.02)
    spine = Spine(tmp_path)

    async def outlive() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, spine.ingest() as ingest:
            await journal.submit(draft("a"))
            session = asyncio.create_task(spine.uplink(journal, CutWire(ingest, spine.edge_id)).session())
            while journal.queued:
                await asyncio.sleep(0.01)
            with closing(sqlite3.connect(spine.hub_db, isolation_level=None)) as db:
                db.execute("ALTER TABLE journals RENAME TO elsewhere")
                while not any("trouble" in one["event"] for one in logs):
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.3)
                db.execute("UPDATE elsewhere SET backed_up = position")
                db.execute("ALTER TABLE elsewhere RENAME TO journals")
            while journal.standing.backed_up < 2:
                await asyncio.sleep(0.01)
            session.cancel()
            await asyncio.wait([session])

    with structlog.testing.capture_logs() as logs:
        asyncio.run(outlive())
    assert [one["event"] for one in logs if "database" in one["event"]] == [
        "trouble with the database", "the database is well again"]


def test_an_acknowledgement_of_what_was_never_sent_stops_the_journal(tmp_path: Path) -> None:
    """A hub that answers nonsense is not believed."""
    spine = Spine(tmp_path)

    async def nonsense() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            await journal.submit(draft("a"))
            wire = CutWire(ingest, spine.edge_id)
            damage(spine.hub_db, "UPDATE journals SET digest = randomblob(32)")
            with pytest.raises(HubRefused, match="another history"):
                await spine.uplink(journal, wire).session()
            assert journal.standing == Standing(0, 0, 0)

    asyncio.run(nonsense())


def test_a_forged_time_is_not_believed(tmp_path: Path) -> None:
    """Invariant 10: whoever may stand in the line, the hub's time is signed."""
    spine = Spine(tmp_path)

    class Forger(CutWire):
        async def replicate(self, requests: AsyncIterator[sync_pb2.ReplicateUp]) -> AsyncGenerator[sync_pb2.ReplicateDown, None]:
            async with aclosing(super().replicate(requests)) as answers:
                async for message in answers:
                    message.hello.time.unix_ms += 1
                    yield message

    async def talk() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, spine.ingest() as ingest:
            with pytest.raises(HubRefused, match="time"):
                await spine.uplink(journal, Forger(ingest, spine.edge_id)).session()
            assert journal.standing == Standing(0, 0, 0)

    asyncio.run(talk())


def test_a_signed_time_serves_for_a_moment_only(tmp_path: Path) -> None:
    spine = Spine(tmp_path)

    async def three() -> list[int]:
        async with spine.ingest() as ingest:
            times = []
            for later_ms in (0, SIGNED_TIME_LIFE_MS - 1, 1):
                spine.clock.now_ms += later_ms
                answers = await _say(ingest, spine.edge_id, [encode_open(spine.journal_id, 10)])
                times.append(answers[0].hello.time.unix_ms)
            return times

    first, second, third = asyncio.run(three())
    assert (second - first, third - first) == (0, SIGNED_TIME_LIFE_MS)


def test_a_hub_that_owes_an_answer_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is alive, the keepalive answers, but nobody acknowledges."""
    monkeypatch.setattr(edge.uplink, "SILENCE_MAX_S", 0.05)
    spine = Spine(tmp_path)

    class Mute(CutWire):
        async def replicate(self, requests: AsyncIterator[sync_pb2.ReplicateUp]) -> AsyncGenerator[sync_pb2.ReplicateDown, None]:
            async with aclosing(super().replicate(requests)) as answers:
                yield await anext(answers)
                await asyncio.sleep(CEILING_S)

    async def talk() -> None:
        async with asyncio.timeout(CEILING_S / 2), spine.journal() as journal, spine.ingest() as ingest:
            await journal.submit(draft("a"))
            with pytest.raises(LineLost, match="does not answer"):
                await spine.uplink(journal, Mute(ingest, spine.edge_id)).session()
            assert journal.queued == 2

    asyncio.run(talk())


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Spine:
    """One for all messages."""
    return Spine(tmp_path_factory.mktemp("fuzz"))


@settings(deadline=None, max_examples=50)
@given(data=st.binary(max_size=200))
def test_fuzzed_messages_end_the_stream_with_a_clear_refusal(fuzzed: Spine, data: bytes) -> None:
    for message in (sync_pb2.ReplicateUp(batch=data), sync_pb2.ReplicateUp(batch=zstandard.compress(data)),
                    sync_pb2.ReplicateUp()):
        answers = _talk(fuzzed, message)
        assert answers[-1].refusal.reason == Refusal.MALFORMED
        assert answers[-1].refusal.hint
    assert fuzzed.entries() == []


def test_a_batch_that_would_unpack_to_gigabytes_is_refused(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    batch = sync_pb2.Batch(first_position=1, previous_digest=bytes(32), payloads=[bytes(64 * 1024 * 1024)], signatures=[b"s"])
    refusal = _talk(spine, sync_pb2.ReplicateUp(batch=zstandard.compress(batch.SerializeToString())))[-1].refusal
    assert refusal.reason == Refusal.MALFORMED
    assert "unpack" in refusal.hint


def test_a_flipped_bit_in_the_ledger_is_noticed_and_named(tmp_path: Path) -> None:
    """Invariant 4."""
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 9))
    _talk(spine, _batch(spine, run, 1, 10))
    with sqlite3.connect(spine.hub_db) as db:
        with pytest.raises(sqlite3.IntegrityError, match="never change"):
            db.execute("UPDATE runs SET payloads = x'00'")
        db.execute("DROP TRIGGER runs_never_change")
        payloads = bytearray(db.execute("SELECT payloads FROM runs WHERE journal = 2").fetchone()[0])
        payloads[sum(map(len, run.payloads[:5])) - 1] ^= 1
        db.execute("UPDATE runs SET payloads = ? WHERE journal = 2", (bytes(payloads),))
    db.close()
    with Ledger(spine.hub_db) as ledger:
        findings = list(LedgerCheck(ledger).findings())
    assert [finding.position for finding in findings] == [5]


@given(held=st.integers(0, 10), first=st.integers(1, 11), count=st.integers(1, 5))
def test_the_append_rule_on_one_history_accepts_just_what_is_missing(held: int, first: int, count: int) -> None:
    digests = [bytes([number]) * 32 for number in range(20)]
    verdict = judge(Head(held, digests[held]), first, digests[first - 1], digests[first:first + count],
                    lambda at: digests[at])
    if first > held + 1:
        assert verdict == Gap(held + 1)
    else:
        assert verdict == Accept(min(held - first + 1, count))


@given(held=st.integers(1, 10), first=st.integers(1, 11), count=st.integers(1, 5))
def test_the_append_rule_on_another_history_never_accepts(held: int, first: int, count: int) -> None:
    ours = [bytes([number]) * 32 for number in range(20)]
    theirs = [bytes([100 + number]) * 32 for number in range(20)]
    verdict = judge(Head(held, ours[held]), first, theirs[first - 1], theirs[first:first + count], lambda at: ours[at])
    assert isinstance(verdict, Gap if first > held + 1 else Fork)


def test_a_closed_journal_takes_nothing_more_whether_its_stream_begins_or_goes_on(tmp_path: Path) -> None:
    """Its machine goes on in another one; what comes late was written on a disk that nobody believes."""
    spine = Spine(tmp_path)
    run = asyncio.run(_write(spine, 9))
    _talk(spine, _batch(spine, run, 1, 4))

    def close(reason: str) -> None:
        with Ledger(spine.hub_db) as ledger, ledger.transaction():
            ledger.close(spine.journal_id, reason)

    async def meanwhile() -> list[sync_pb2.ReplicateDown]:
        answers: list[sync_pb2.ReplicateDown] = []

        async def incoming() -> AsyncIterator[sync_pb2.ReplicateUp]:
            yield encode_open(spine.journal_id, 10)
            close("request 7")
            yield _batch(spine, run, 5, 10)

        async def send(message: sync_pb2.ReplicateDown) -> None:
            answers.append(message)

        async with asyncio.timeout(CEILING_S), spine.ingest() as ingest:
            await ingest.serve(spine.edge_id, incoming(), send)
        return answers

    late = asyncio.run(meanwhile())[-1].refusal
    close("another reason")  # the first one stays
    begun = _talk(spine, _batch(spine, run, 5, 10))
    for refusal in (late, begun[-1].refusal):
        assert refusal.reason == Refusal.CLOSED
        assert refusal.hint == f"this journal has ended (request 7); {BEGINS_ANEW}"
    assert begun[-1].refusal.position == 4
    assert len(begun) == 1
    assert [entry.position for entry in spine.entries()] == [1, 2, 3, 4]
    spine.check_ledger()
