"""The journal alone: durable, once, in order, sealed, and full without loss (invariants 1, 2, 3, 5, 7)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge.drafts import (
    BadDraft,
    CallerIdConflict,
    CorruptJournal,
    Draft,
    JournalBusy,
    JournalFull,
    JournalStopped,
    Stored,
)
from edge.journal import Journal, JournalLimits
from edge.journal_check import JournalCheck
from edge.journal_store import JournalStore, Standing
from edge.journal_writer import GROUP_MAX
from security.chain import digests_after
from security.record import Record, SealedBody, Times, WrappedKey, parse_record
from security.sealing import OpenedKey
from tests.spine import CEILING_S, Spine, damage, draft, prove

SECRET = "张三丰的身份证号码"


async def _submit(spine: Spine, *callers: str, limits: JournalLimits | None = None) -> list[int]:
    async with asyncio.timeout(CEILING_S), spine.journal(limits) as journal:
        return [(await journal.submit(draft(caller))).position for caller in callers]


def test_two_windows_at_once_get_positions_without_gap_or_double(tmp_path: Path) -> None:
    """Invariant 2."""
    spine = Spine(tmp_path)

    async def windows() -> list[int]:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            stored = await asyncio.gather(*[journal.submit(draft(f"w{number}")) for number in range(500)])
            return [one.position for one in stored]

    assert sorted(asyncio.run(windows())) == list(range(2, 502))  # position 1 is the data key


def test_a_caller_that_hangs_up_finds_its_record_when_it_asks_again(tmp_path: Path) -> None:
    """Invariant 1: cancelling the caller neither loses nor doubles."""
    spine = Spine(tmp_path)

    async def hang_up() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            task = asyncio.create_task(journal.submit(draft("a")))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            again = await journal.submit(draft("a"))
            assert again.repeat
            assert (again.position, journal.head.position) == (2, 2)

    asyncio.run(hang_up())


def test_who_waits_when_the_agent_stops_is_told_so_and_has_stored_nothing(tmp_path: Path) -> None:
    spine = Spine(tmp_path)

    async def stop() -> list[Stored | BaseException]:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            waiting = [asyncio.create_task(journal.submit(draft(f"c{number}"))) for number in range(GROUP_MAX + 9)]
            await asyncio.sleep(0)
        return await asyncio.gather(*waiting, return_exceptions=True)

    refused = [one for one in asyncio.run(stop()) if isinstance(one, BaseException)]
    assert len(refused) >= 9  # those beyond the first group, and it, too, where it did not reach its commit
    assert {(type(one), str(one)) for one in refused} == {(JournalStopped, "the agent is stopping")}


def test_what_waits_for_its_commit_when_the_journal_is_stopped_is_refused_for_that_reason(tmp_path: Path) -> None:
    spine = Spine(tmp_path)

    async def stop() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            waiting = asyncio.create_task(journal.submit(draft("a")))
            await asyncio.sleep(0)
            journal.stop("its history is in doubt")
            with pytest.raises(JournalStopped, match="its history is in doubt"):
                await waiting
            assert journal.head.position == 0

    asyncio.run(stop())


def test_a_stored_record_is_found_by_its_callers_id(tmp_path: Path) -> None:
    spine = Spine(tmp_path)

    async def find() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            stored = await journal.submit(draft("a"))
            assert await journal.find("a") == replace(stored, repeat=True)
            assert await journal.find("b") is None

    asyncio.run(find())


def test_the_same_id_with_other_content_is_a_conflict(tmp_path: Path) -> None:
    spine = Spine(tmp_path)

    async def conflict() -> None:
        async with spine.journal() as journal:
            first = await journal.submit(draft("a"))
            assert (await journal.submit(draft("a"))).id == first.id
            with pytest.raises(CallerIdConflict) as caught:
                await journal.submit(draft("a", b"other"))
            assert "流水号" in caught.value.hint
            both = await asyncio.gather(journal.submit(draft("b")), journal.submit(draft("b", b"other")),
                                        return_exceptions=True)
            assert sorted(isinstance(one, CallerIdConflict) for one in both) == [False, True]

    asyncio.run(conflict())


def test_after_a_restart_the_id_alone_gets_the_stored_result(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    assert asyncio.run(_submit(spine, "a")) == [2]
    assert asyncio.run(_submit(spine, "a", "b")) == [2, 4]  # position 3 is the new start's data key


def test_a_repeat_is_known_after_pruning_and_restart(tmp_path: Path) -> None:
    """Invariant 3: pruning keeps ids and digests."""
    spine = Spine(tmp_path)

    async def prune() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            for number in range(20):
                await journal.submit(draft(f"c{number}"))
            await journal.take_standing(Standing(21, 15, 0))
            assert await journal.pruned_to() == 0  # nothing is proved yet
            prove(spine.journal_db, 12)
            await journal.proved(12)
            assert await journal.pruned_to() == 12
            await journal.proved(12)
            prove(spine.journal_db, 13)
            await journal.proved(13)
            assert await journal.pruned_to() == 13
            prove(spine.journal_db, 21)
            await journal.proved(21)
            assert await journal.pruned_to() == 14  # a restored hub proves the record at its mark
            again = await journal.submit(draft("c3"))
            assert (again.position, again.repeat) == (5, True)
            with pytest.raises(CallerIdConflict):
                await journal.submit(draft("c3", b"other"))

    asyncio.run(prune())
    assert asyncio.run(_submit(spine, "c3", "new")) == [5, 23]


@pytest.mark.parametrize(("position", "backed_up"), [(15, 14), (21, 14), (9, 9)])
def test_what_was_pruned_is_not_missing_once_the_hub_came_back_from_that_very_backup(tmp_path: Path, position: int,
                                                                                 backed_up: int) -> None:
    """The backup was marked in the database after it was made, so its copy does not know the mark."""
    spine = Spine(tmp_path)

    async def restored() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            for number in range(20):
                await journal.submit(draft(f"c{number}"))
            prove(spine.journal_db, 21)
            await journal.proved(21)
            await journal.take_standing(Standing(21, 15, 0))
            assert await journal.pruned_to() == 14
            await journal.take_standing(Standing(position, 0, 1))
            assert journal.standing == Standing(position, backed_up, 1)
            assert await journal.pruned_to() == 14

    asyncio.run(restored())
    with JournalCheck(spine.journal_db) as check:
        assert check.step(0)[1] == []  # what an older backup lacks, too, is pruned here and no damage


def test_digest_and_signature_are_told_of_what_is_here_and_of_nothing_else(tmp_path: Path) -> None:
    """A receipt is checked against them."""
    spine = Spine(tmp_path)

    async def ask() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            assert await journal.signed_at(0) is None
            assert await journal.signed_at(1) is None
            assert await journal.pruned_to() == 0
            for number in range(9):
                await journal.submit(draft(f"c{number}"))
            prove(spine.journal_db, 10)
            await journal.proved(10)
            await journal.take_standing(Standing(10, 5, 0))
            assert await journal.pruned_to() == 4
            run = await journal.after(4, 100, 10**6)
            expected = list(zip(digests_after(run.previous, run.payloads), run.signatures, strict=True))
            said = [await journal.signed_at(position) for position in range(12)]
            assert said == [None] * 5 + expected + [None]

    asyncio.run(ask())


def test_a_receipt_of_an_earlier_stream_prunes_nothing(tmp_path: Path) -> None:
    """Invariant 3: it may be of a tree that the hub has no more."""
    spine = Spine(tmp_path)
    asyncio.run(_submit(spine, "a", "b", "c"))
    prove(spine.journal_db, 4)

    async def ask() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            await journal.take_standing(Standing(4, 4, 0))
            assert await journal.pruned_to() == 0
            await journal.proved(4)
            assert await journal.pruned_to() == 3

    asyncio.run(ask())


def test_a_long_journal_is_pruned_in_steps_to_the_last_that_may_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spine = Spine(tmp_path)
    monkeypatch.setattr("edge.retention.PRUNE_STEP", 3)

    async def ask() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            for number in range(8):
                await journal.submit(draft(f"c{number}"))
            await journal.take_standing(Standing(9, 9, 0))
            for last in (6, 7):
                prove(spine.journal_db, last)
                await journal.proved(last)
                assert await journal.pruned_to() == last

    asyncio.run(ask())


def test_a_disk_that_has_lost_every_record_stops_no_delivery_of_what_comes(tmp_path: Path) -> None:
    """Nor does a hub that came back from an older backup then."""
    spine = Spine(tmp_path)

    async def ask() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            await journal.submit(draft("a"))
            await journal.take_standing(Standing(2, 2, 0))
            damage(spine.journal_db, "DELETE FROM envelopes")
            await journal.take_standing(Standing(2, 0, 1))
            assert journal.standing == Standing(2, 2, 1)
            assert (await journal.submit(draft("b"))).position == 3

    asyncio.run(ask())


def test_a_damaged_signature_is_named_at_each_place_that_is_still_here(tmp_path: Path) -> None:
    """The hub refuses such a record: then this journal ends, and is not sent again and again."""
    spine = Spine(tmp_path)

    async def ask() -> list[str]:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            for caller in "abc":
                await journal.submit(draft(caller))
            prove(spine.journal_db, 3)
            await journal.proved(3)
            await journal.take_standing(Standing(3, 3, 0))
            assert await journal.pruned_to() == 2
            assert [await journal.damage_at(position) for position in range(6)] == [""] * 6
            damage(spine.journal_db, "UPDATE envelopes SET signature = zeroblob(64)")
            return [await journal.damage_at(position) for position in range(6)]

    for position, told in enumerate(asyncio.run(ask())):
        assert (f"the signature at position {position} does not hold" in told) == (position in {3, 4})


def test_the_database_refuses_to_prune_what_the_hub_has_not_backed_up(tmp_path: Path) -> None:
    """Invariant 3, below all code of ours."""
    spine = Spine(tmp_path)
    asyncio.run(_submit(spine, "a", "b"))
    db = sqlite3.connect(spine.journal_db)
    for backed_up, proved in ((0, 0), (0, 3), (3, 0), (2, 3), (3, 1)):
        db.execute("UPDATE standing SET position = 3, backed_up = ?", (backed_up,))
        db.execute("INSERT OR REPLACE INTO receipts VALUES (?, 1, 0, 0, x'00', x'', '')", (proved,))
        with pytest.raises(sqlite3.IntegrityError, match="no backup or no proof"):
            db.execute("DELETE FROM envelopes WHERE position = 2")
        db.rollback()
    with pytest.raises(sqlite3.IntegrityError, match="never dropped"):
        db.execute("DELETE FROM digests WHERE position = 2")
    db.close()


def test_nothing_readable_lies_on_the_disk(tmp_path: Path) -> None:
    """Invariant 7: a stolen machine's queue reads as noise."""
    spine = Spine(tmp_path)

    async def write() -> None:
        async with spine.journal() as journal:
            await journal.submit(draft("a", f'{{"resident":"{SECRET}"}}'.encode()))

    asyncio.run(write())
    for file in filter(Path.is_file, tmp_path.rglob("*")):
        assert SECRET.encode() not in file.read_bytes()


def test_each_start_seals_under_a_new_key_that_was_committed_before(tmp_path: Path) -> None:
    """Invariant 7."""
    spine = Spine(tmp_path)
    asyncio.run(_submit(spine, "a", "b"))
    asyncio.run(_submit(spine, "c"))

    async def records() -> list[object]:
        async with JournalStore(spine.journal_db, quota_bytes=1, readonly=True) as store:
            return [parse_record(payload).content for payload in (await store.after(0, 100, 10**6)).payloads]

    contents = asyncio.run(records())
    assert [type(content) for content in contents] == [WrappedKey, SealedBody, SealedBody, WrappedKey, SealedBody]
    sealed = [content for content in contents if isinstance(content, SealedBody)]
    assert [one.key_position for one in sealed] == [1, 1, 4]
    assert [one.counter for one in sealed] == [1, 2, 1]


def test_no_data_key_and_no_nonce_serves_twice_however_often_it_starts(tmp_path: Path) -> None:
    """Invariant 7: two bodies under one key and one counter would open each other."""
    spine = Spine(tmp_path)
    for start in range(3):
        asyncio.run(_submit(spine, *[f"s{start}-{number}" for number in range(4)]))

    async def records() -> list[Record]:
        async with JournalStore(spine.journal_db, quota_bytes=1, readonly=True) as store:
            return [parse_record(payload) for payload in (await store.after(0, 100, 10**6)).payloads]

    keys: dict[int, OpenedKey] = {}
    nonces: list[tuple[bytes, int]] = []
    for record in asyncio.run(records()):
        match record.content:
            case WrappedKey() as wrapped:
                keys[record.position] = spine.unsealer().unwrap(spine.edge_id, spine.journal_id, wrapped)
            case SealedBody() as sealed:
                key = keys[sealed.key_position]
                nonces.append((key.secret, sealed.counter))
                assert key.open(sealed, position=record.position, kind=record.kind) == draft("any").body
    assert len({key.secret for key in keys.values()}) == len(keys) == 3
    assert len(set(nonces)) == len(nonces) == 12


def test_a_record_says_what_each_clock_said(tmp_path: Path) -> None:
    """Invariant 10: the machine's own, the newest that the hub has signed, and the kernel's."""
    spine = Spine(tmp_path)

    async def write() -> list[Record]:
        async with spine.journal() as journal:
            await journal.take_standing(Standing(0, 0, 77))
            await journal.submit(draft("a"))
            return [parse_record(payload) for payload in (await journal.after(0, 100, 10**6)).payloads]

    key, record = asyncio.run(write())
    times = Times(spine.clock.now_ms, 77, spine.clock.boot_id, spine.clock.up_ms)
    assert (key.kind, key.simulated, key.times) == ("data-key", False, times)
    assert (record.kind, record.simulated, record.times) == ("transaction", False, times)


def test_what_the_hub_says_is_written_when_it_is_new_and_only_then(tmp_path: Path) -> None:
    """Its time as well: one that it has set right goes back."""
    spine = Spine(tmp_path)

    async def hear() -> None:
        async with spine.journal() as journal:
            with closing(sqlite3.connect(spine.journal_db)) as other:
                versions = []
                for standing in (Standing(0, 0, 77), Standing(0, 0, 77), Standing(0, 0, 60)):
                    await journal.take_standing(standing)
                    versions.append(other.execute("PRAGMA data_version").fetchone()[0])
            assert versions[0] == versions[1] != versions[2]
            assert journal.standing.hub_ms == 60
        async with spine.journal() as journal:
            assert journal.standing.hub_ms == 60

    asyncio.run(hear())


def test_a_data_key_lives_at_most_a_day(tmp_path: Path) -> None:
    spine = Spine(tmp_path)

    async def two_days() -> int:
        async with spine.journal() as journal:
            await journal.submit(draft("a"))
            spine.clock.up_ms += 25 * 3600 * 1000
            return (await journal.submit(draft("b"))).position

    assert asyncio.run(two_days()) == 4


def test_a_data_key_serves_all_day_however_long_the_machine_has_run(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    spine.clock.up_ms = 20 * 3600 * 1000

    async def one_day() -> list[int]:
        async with spine.journal() as journal:
            await journal.submit(draft("a"))
            spine.clock.up_ms += 23 * 3600 * 1000
            return [(await journal.submit(draft(caller))).position for caller in "bc"]

    assert asyncio.run(one_day()) == [3, 4]


@pytest.mark.parametrize("lost", ["gone", "unreadable"])
@pytest.mark.parametrize(("pruned_to", "next_record"), [(0, 3), (1, 4), (2, 4)])
def test_a_key_that_was_pruned_with_its_second_copy_lost_seals_nothing_more(
    tmp_path: Path, pruned_to: int, next_record: int, lost: str
) -> None:
    """The key stands at position 1. The hub may have lost it: what it seals from now on nobody could read."""
    spine = Spine(tmp_path)

    async def lose() -> int:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            await journal.submit(draft("a"))
            copy = spine.journal_db.with_suffix(".keys") / "1.record"
            copy.unlink()
            if lost == "unreadable":
                copy.mkdir()
            assert await journal.key_behind(pruned_to) is None
            return (await journal.submit(draft("b"))).position

    assert asyncio.run(lose()) == next_record


def test_a_record_of_a_simulated_card_says_so(tmp_path: Path) -> None:
    spine = Spine(tmp_path)

    async def write() -> list[bool]:
        async with spine.journal() as journal:
            await journal.submit(replace(draft("a"), simulated=True))
            await journal.submit(draft("b"))
            return [parse_record(payload).simulated for payload in (await journal.after(0, 100, 10**6)).payloads]

    assert asyncio.run(write()) == [False, True, False]


async def _until_full(journal: Journal) -> str:
    for number in range(5_000):
        try:
            await journal.submit(draft(f"c{number}", b"x" * 200))
        except JournalFull as error:
            return error.hint
    raise AssertionError("the quota was never reached")


def test_a_full_quota_refuses_new_work_and_loses_nothing(tmp_path: Path) -> None:
    """Invariant 3."""
    spine = Spine(tmp_path)

    async def fill() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal(JournalLimits(200_000, 0)) as journal:
            hints = await _until_full(journal)
            assert "未受理" in hints
            assert journal.head.position > 50
            assert (await journal.submit(draft("c1", b"x" * 200))).repeat  # what is stored can still be asked for
            assert len(await journal.after(0, 10_000, 10**9)) == journal.head.position
            # The hub takes it and has a backup: there is room again.
            prove(spine.journal_db, journal.head.position)
            await journal.proved(journal.head.position)
            await journal.take_standing(Standing(journal.head.position, journal.head.position, 0))
            assert not (await journal.submit(draft("new", b"x" * 200))).repeat

    asyncio.run(fill())


def test_the_disk_reserve_refuses_new_work(tmp_path: Path) -> None:
    """Invariant 3: what must go on still finds room."""
    spine = Spine(tmp_path)
    with pytest.raises(JournalFull):
        asyncio.run(_submit(spine, "a", limits=JournalLimits(reserve_bytes=shutil.disk_usage(tmp_path).total)))


@pytest.mark.parametrize("caller", ["", "a b", "x" * 65, "140830199001011234", "no-14083019900101123X-1"])
def test_a_bad_callers_id_is_refused_before_anything_is_written(caller: str) -> None:
    with pytest.raises(BadDraft):
        Draft(caller, "transaction", b"")


def test_a_flipped_bit_in_a_stored_record_is_noticed_and_named(tmp_path: Path) -> None:
    """Invariant 5."""
    spine = Spine(tmp_path)
    asyncio.run(_submit(spine, "a", "b", "c"))
    db = sqlite3.connect(spine.journal_db)
    payload = bytearray(db.execute("SELECT payload FROM envelopes WHERE position = 3").fetchone()[0])
    payload[20] ^= 1
    db.execute("UPDATE envelopes SET payload = ? WHERE position = 3", (bytes(payload),))
    db.commit()
    db.close()

    async def read() -> None:
        async with spine.journal() as journal:
            assert len(await journal.after(0, 100, 10**6)) == 2  # what is good before it can still be delivered
            with pytest.raises(CorruptJournal, match="position 3"):
                await journal.after(2, 100, 10**6)

    asyncio.run(read())


def test_a_second_writer_cannot_take_a_position_twice(tmp_path: Path) -> None:
    """Invariant 5, held by the database: the loser reopens, reads the head again, and nothing is doubled."""
    spine = Spine(tmp_path)

    async def race() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as one, spine.journal() as two:
            await one.submit(draft("a"))
            with pytest.raises(JournalBusy):
                await two.submit(draft("b"))
            await two.submit(draft("b"))
            assert two.head.position == 4

    asyncio.run(race())


@pytest.mark.parametrize(("position", "previous"), [(2, "head"), (3, "other"), (4, "head"), (5, "head"), (1, "genesis")])
def test_the_database_itself_takes_each_position_once_and_in_order(tmp_path: Path, position: int, previous: str) -> None:
    """Invariant 5, below all code of ours."""
    spine = Spine(tmp_path)
    asyncio.run(_submit(spine, "a"))
    with closing(sqlite3.connect(spine.journal_db)) as db:
        (head,) = db.execute("SELECT digest FROM head").fetchone()
        digest = {"head": head, "other": bytes(32), "genesis": spine.genesis.digest()}[previous]
        row = (position, bytes(16), digest, bytes(32), None, b"payload", b"signature")
        with pytest.raises(sqlite3.IntegrityError, match="does not follow the head"):
            db.execute("INSERT INTO chain (position, id, previous, digest, tag, payload, signature) VALUES (?,?,?,?,?,?,?)", row)
        db.execute("INSERT INTO chain (position, id, previous, digest, tag, payload, signature) VALUES (?,?,?,?,?,?,?)",
                   (3, bytes(16), head, *row[3:]))


def test_status_readers_change_nothing(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    asyncio.run(_submit(spine, "a"))
    before = spine.journal_db.read_bytes()

    async def look() -> int:
        async with JournalStore(spine.journal_db, quota_bytes=1, readonly=True) as store:
            with pytest.raises(sqlite3.OperationalError):
                await store.prune(1)
            return (await store.head()).position

    listed = sorted(tmp_path.iterdir())
    assert asyncio.run(look()) == 2
    assert spine.journal_db.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == listed


def test_a_stopped_journal_says_so_after_a_restart_too(tmp_path: Path) -> None:
    """Invariant 5: work on a history in doubt could never be delivered."""
    spine = Spine(tmp_path)

    async def stop() -> None:
        async with spine.journal() as journal:
            await journal.submit(draft("a"))
            journal.stop("the test")

    asyncio.run(stop())
    with pytest.raises(JournalStopped, match="the test"):
        asyncio.run(_submit(spine, "b"))
    assert "the test" in spine.journal_db.with_suffix(".stopped").read_text()
