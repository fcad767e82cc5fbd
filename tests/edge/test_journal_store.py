"""What is read of a journal's file: as much as was asked for, in order, and nothing that is damaged (invariant 5)."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest

import edge.journal_store
from edge.drafts import CorruptJournal
from edge.dropped_log import KEPT_LOG
from edge.journal_end import read_stop
from edge.journal_store import SCHEMA_VERSION, JournalIdentity, JournalStore, Standing, create_journal
from security.run import Run
from tests.spine import CEILING_S, Spine, damage, draft

T = TypeVar("T")
LAST = 30  # the first record is the data key


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Spine:
    spine = Spine(tmp_path_factory.mktemp("written"))

    async def write() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            for number in range(1, LAST):
                await journal.submit(draft(f"c{number}", os.urandom(20 * number)))

    asyncio.run(write())
    return spine


@pytest.fixture
def spine(written: Spine, tmp_path: Path) -> Spine:
    """With a journal of its own."""
    spine = copy(written)
    spine.journal_db = tmp_path / "business.db"
    shutil.copy(written.journal_db, spine.journal_db)
    return spine


def _read(spine: Spine, read: Callable[[JournalStore], Awaitable[T]]) -> T:
    async def opened() -> T:
        async with asyncio.timeout(CEILING_S), JournalStore(spine.journal_db, quota_bytes=2**30) as store:
            return await read(store)

    return asyncio.run(opened())


def _part(run: Run, first: int, last: int) -> Run:
    previous = run.previous if first == 1 else b""
    return Run(first, previous, run.payloads[first - 1:last], run.signatures[first - 1:last])


def test_a_run_has_as_many_records_as_fit_the_bytes_asked_for_and_at_least_one(spine: Spine) -> None:
    everything = _read(spine, lambda store: store.after(0, 100, 2**20))
    sizes = [len(payload) + len(signature) for payload, signature in zip(everything.payloads, everything.signatures, strict=True)]
    fitting = [sum(sizes[:count]) for count in range(1, len(sizes) + 1)]

    async def read(store: JournalStore) -> None:
        for limit_bytes in (1, 127, 128, 200, 255, 256, *(size + by for size in fitting for by in (-1, 0, 1))):
            expected = max(sum(size <= limit_bytes for size in fitting), 1)
            assert await store.after(0, 100, limit_bytes) == _part(everything, 1, expected), limit_bytes
        for limit in range(1, len(sizes) + 3):
            assert await store.after(0, limit, 2**20) == _part(everything, 1, min(limit, len(sizes)))
        assert not await store.after(len(sizes), 100, 2**20)

    _read(spine, read)


@pytest.mark.parametrize(("harm", "position"), [
    *((f"UPDATE envelopes SET {change} WHERE position = ?", position)
      for change in ("payload = zeroblob(300)", "position = 90") for position in (2, 5, LAST)),
    ("DELETE FROM envelopes WHERE position = ?", 5),
    ("UPDATE digests SET digest = zeroblob(32) WHERE position = ?", LAST),
    ("DELETE FROM digests WHERE position = ?", LAST),
])
def test_what_is_good_before_a_damaged_record_is_read_whole_and_nothing_behind_it(spine: Spine, harm: str, position: int) -> None:
    everything = _read(spine, lambda store: store.after(0, 100, 2**20))
    damage(spine.journal_db, harm, position)

    async def read(store: JournalStore) -> None:
        assert await store.after(0, 100, 2**20) == _part(everything, 1, position - 1)
        with pytest.raises(CorruptJournal, match=f"position {position} "):
            await store.after(position - 1, 100, 2**20)

    _read(spine, read)


@pytest.mark.parametrize("harm", ["UPDATE digests SET digest = zeroblob(32)", "DELETE FROM digests"])
def test_a_damaged_digest_between_whole_records_costs_none_of_them(spine: Spine, harm: str) -> None:
    """Each digest covers all before it."""
    everything = _read(spine, lambda store: store.after(0, 100, 2**20))
    damage(spine.journal_db, f"{harm} WHERE position = 5")
    assert _read(spine, lambda store: store.after(0, 100, 2**20)) == everything


def _without_types(path: Path, statement: str) -> None:
    """A flipped bit changes a value's type, whatever the schema says."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        strict = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'envelopes'").fetchone()[0]
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'STRICT', '') WHERE name = 'envelopes'")
    damage(path, statement)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'envelopes'", (strict,))


@pytest.mark.parametrize("value", ["payload = CAST(payload AS TEXT)", "signature = 7", "payload = 1.5, signature = 'x'"])
def test_a_value_of_another_type_is_damage_and_ends_what_is_read(spine: Spine, value: str) -> None:
    everything = _read(spine, lambda store: store.after(0, 100, 2**20))
    _without_types(spine.journal_db, f"UPDATE envelopes SET {value} WHERE position = 5")

    async def read(store: JournalStore) -> None:
        assert await store.after(0, 100, 2**20) == _part(everything, 1, 4)
        with pytest.raises(CorruptJournal, match="the record at position 5 is damaged"):
            await store.after(4, 100, 2**20)

    _read(spine, read)


@pytest.mark.parametrize(("harm", "expected"), [
    ("UPDATE digests SET id = zeroblob(16) WHERE position = 1", "the id beside the record at position 1 is another"),
    ("UPDATE digests SET id = zeroblob(16) WHERE position = 4", "the id beside the record at position 4 is another"),
    ("UPDATE digests SET id = zeroblob(16) WHERE position = 30", "the id beside the record at position 30 is another"),
    ("UPDATE envelopes SET signature = zeroblob(64) WHERE position = 30", "the signature at position 30 does not hold"),
    ("UPDATE envelopes SET payload = zeroblob(99) WHERE position = 4", "the record at position 4 is not what was signed"),
    ("UPDATE head SET digest = zeroblob(32)", "the head is not the record at position 30"),
    ("UPDATE head SET position = 29", "the head is not the record at position 29"),
])
def test_nothing_is_written_behind_a_damaged_end(spine: Spine, harm: str, expected: str) -> None:
    damage(spine.journal_db, harm)

    async def read(store: JournalStore) -> str:
        return await store.head_damage(await store.head(), 0)

    assert expected in _read(spine, read)


def test_the_end_is_checked_as_far_as_its_bytes_allow_and_no_whole_record_is_accused(
    spine: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge.journal_store, "TAIL_MAX_BYTES", 3_000)

    async def read(store: JournalStore) -> str:
        return await store.head_damage(await store.head(), 0)

    assert _read(spine, read) == ""
    damage(spine.journal_db, "UPDATE digests SET id = randomblob(16) WHERE position IN (5, 29)")
    assert "position 29 is another" in _read(spine, read)  # what lies further back is looked at in idle time


def test_pages_that_cannot_be_read_cost_what_is_on_them_and_nothing_before(spine: Spine) -> None:
    everything = _read(spine, lambda store: store.after(0, 100, 2**20))
    with closing(sqlite3.connect(spine.journal_db)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page, = db.execute("SELECT max(pageno) FROM dbstat WHERE name = 'envelopes' AND pagetype = 'leaf'").fetchone()
    with spine.journal_db.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff")

    async def read(store: JournalStore) -> None:
        good = await store.after(0, 1, 2**20)
        found = len(good)
        while found < len(everything):
            try:
                found += len(await store.after(found, 1, 2**20))
            except CorruptJournal:
                break
        assert 0 < found < len(everything)
        told = 0
        while told < found:
            told += len(await store.after(told, 100, 2**20))
        with pytest.raises(CorruptJournal, match="damaged"):
            await store.after(found, 100, 2**20)

    _read(spine, read)


@pytest.mark.parametrize("predecessor", [None, UUID(int=7)])
def test_a_journal_says_whose_it_is_and_which_one_it_follows(written: Spine, tmp_path: Path, predecessor: UUID | None) -> None:
    spine = copy(written)
    spine.journal_db = tmp_path / "business.db"
    genesis = replace(written.genesis, predecessor=predecessor)
    create_journal(spine.journal_db, "business", genesis)

    async def identity(store: JournalStore) -> JournalIdentity:
        return store.identity

    assert _read(spine, identity) == JournalIdentity("business", genesis)


@pytest.mark.parametrize(("kept", "reason"), [("损坏".encode(), "损坏"), (b"\xff", "\ufffd"), (b"", "it was stopped")])
def test_a_stopped_journal_stays_stopped_whatever_is_left_of_the_reason(tmp_path: Path, kept: bytes, reason: str) -> None:
    assert read_stop(tmp_path / "business.db") == ""
    (tmp_path / "business.stopped").write_bytes(kept)
    assert read_stop(tmp_path / "business.db") == reason


def _schema(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()


def test_a_journal_of_the_first_version_becomes_one_of_this_version_when_it_is_opened_for_writing(
    written: Spine, tmp_path: Path
) -> None:
    spine = copy(written)
    spine.journal_db = tmp_path / "business.db"
    genesis = written.genesis
    with closing(sqlite3.connect(spine.journal_db)) as db:
        db.executescript((Path(__file__).parent / "fixtures" / "journal_v1.sql").read_text(encoding="utf-8"))
        db.execute("INSERT INTO journal VALUES (1, 1, 'business', ?, ?, ?, ?, NULL)",
                   (genesis.edge.bytes, genesis.journal.bytes, int(genesis.suite), genesis.public_key))
        db.execute("INSERT INTO head VALUES (1, 0, ?)", (genesis.digest(),))
        db.execute("INSERT INTO standing VALUES (1, 0, 0, 0)")
        db.commit()
    old = _schema(spine.journal_db)

    async def identity(store: JournalStore) -> JournalIdentity:
        return store.identity

    async def look() -> JournalIdentity:
        async with JournalStore(spine.journal_db, quota_bytes=2**30, readonly=True) as store:
            return store.identity

    async def write() -> int:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            return (await journal.submit(draft("a"))).position

    assert asyncio.run(look()) == JournalIdentity("business", genesis)
    assert _schema(spine.journal_db) == old
    assert asyncio.run(write()) == 2
    assert _schema(spine.journal_db) == _schema(written.journal_db) != old
    assert _read(spine, identity) == JournalIdentity("business", genesis)
    with closing(sqlite3.connect(spine.journal_db)) as db:
        assert db.execute("SELECT version FROM journal").fetchall() == [(SCHEMA_VERSION,)]


def test_who_looks_at_a_journal_that_rests_leaves_nothing_beside_it_and_cannot_write(spine: Spine) -> None:
    async def look() -> None:
        async with JournalStore(spine.journal_db, quota_bytes=2**30, readonly=True) as store:
            assert (await store.head()).position == LAST
            assert list(spine.journal_db.parent.iterdir()) == [spine.journal_db]
            with pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only"):
                await store.set_standing(Standing(1, 1, 1))

    asyncio.run(look())


@pytest.mark.parametrize("readonly", [False, True])
def test_the_log_of_a_journal_that_cannot_be_opened_is_kept_by_who_would_have_ended_it(spine: Spine, readonly: bool) -> None:
    """Closing ends it, and it may hold records that the damaged pages do not."""
    damage(spine.journal_db, "DELETE FROM journal")

    async def fail() -> None:
        async with JournalStore(spine.journal_db, quota_bytes=2**30, readonly=readonly):
            raise AssertionError("it opened")

    with closing(sqlite3.connect(spine.journal_db)) as beside:
        beside.execute("CREATE TABLE more (a)")  # so that there is a log
        log = Path(f"{spine.journal_db}-wal").read_bytes()
        with pytest.raises(CorruptJournal, match="names no journal"):
            asyncio.run(fail())
    kept = [path.read_bytes() for path in spine.journal_db.parent.glob(f"*{KEPT_LOG}*")]
    assert kept == ([] if readonly else [log])
