"""Callers' ids of the journals before this one: said twice is stored once, whatever became of those (invariant 2)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

import edge.forerunner
import edge.forerunners
from edge.drafts import IdsUnclear, record_id
from edge.dropped_log import KEPT_LOG
from edge.forerunner import callers_ids, ends, is_damaged
from edge.forerunners import Forerunners, make_index
from edge.journal import Journal
from edge.settlement import copy_id
from edge.state import IdentityFolder
from tests.edge.test_carry import Machine
from tests.spine import CEILING_S, clear_page, damage, draft, flip_schema


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def _make_index(machine: Machine) -> None:
    make_index([(machine.old_genesis.edge, machine.old)], machine.new.known)


@asynccontextmanager
async def _at_work(machine: Machine) -> AsyncIterator[tuple[Journal, Forerunners]]:
    """The new journal, and what it knows of the old one."""
    before = Forerunners([(machine.old_genesis.edge, machine.old)], machine.new)
    async with asyncio.timeout(CEILING_S), before, machine.journal(machine.new, before) as journal:
        yield journal, before


async def _said(journal: Journal, caller: str) -> str:
    try:
        stored = await journal.submit(draft(caller))
    except IdsUnclear:
        return "unclear"
    assert await journal.find(caller) == replace(stored, repeat=True)
    assert stored.repeat or not stored.earlier
    return "earlier" if stored.earlier else "repeat" if stored.repeat else "new"


async def _indexed(machine: Machine, before: Forerunners) -> None:
    making = asyncio.create_task(before.run())
    while not machine.new.known.exists() or before._db is None:
        assert not making.done(), making
        await asyncio.sleep(0.01)
    making.cancel()
    await asyncio.wait([making])


def _lose(machine: Machine) -> None:
    damage(machine.old.business.db, "UPDATE envelopes SET payload = zeroblob(10) WHERE position = 3")


def test_a_callers_id_of_the_old_journal_is_known_unless_its_record_is_lost(machine: Machine) -> None:
    """What the disk has lost comes back by saying it again."""
    asyncio.run(machine.write("a", "b"))
    _lose(machine)
    _make_index(machine)

    async def say() -> list[str]:
        async with _at_work(machine) as (journal, _):
            return [await _said(journal, caller) for caller in ("a", "b", "c", "a")]

    assert asyncio.run(say()) == ["earlier", "new", "new", "earlier"]
    with closing(sqlite3.connect(machine.new.known)) as db:
        assert db.execute("SELECT count(*) FROM known").fetchone()[0] == 2  # the data key, and a


def test_an_index_that_leads_from_a_copy_back_to_its_journal_is_not_followed_for_ever(machine: Machine) -> None:
    """Nobody waits at the counter for what a damaged index says."""
    asyncio.run(machine.write("a"))
    _make_index(machine)
    machine.succession.save(machine.new)
    old = machine.old_genesis
    with closing(sqlite3.connect(machine.new.known)) as db, db:
        db.execute("INSERT INTO known VALUES (?, 2)", (record_id(old.edge, copy_id(old.journal, 2)).bytes,))

    async def ask() -> bool:
        async with _at_work(machine) as (journal, _):
            return await journal.in_ledger(await journal.submit(draft("a")))

    assert not asyncio.run(ask())


def test_a_lost_record_that_the_hub_has_acknowledged_does_not_come_back(machine: Machine) -> None:
    """It would stand in the ledger twice (invariant 2)."""
    asyncio.run(machine.write("a", "b"))
    damage(machine.old.business.db, "UPDATE standing SET position = 3")
    _lose(machine)
    _make_index(machine)

    async def say() -> list[str]:
        async with _at_work(machine) as (journal, _):
            return [await _said(journal, caller) for caller in ("a", "b", "c")]

    assert asyncio.run(say()) == ["earlier", "earlier", "new"]


def test_a_counter_works_before_the_index_is_made_and_only_what_is_unclear_waits(machine: Machine,
                                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """Salvage of a large journal takes minutes."""
    asyncio.run(machine.write("a", "b"))
    _lose(machine)
    with monkeypatch.context() as slow:
        slow.setattr(edge.forerunner, "salvage", None)
        slow.setattr(edge.forerunner, "is_damaged", None)

        async def at_once() -> list[str]:
            async with _at_work(machine) as (journal, _):
                return [await _said(journal, caller) for caller in ("a", "b", "c", "c")]

        assert asyncio.run(at_once()) == ["earlier", "unclear", "new", "repeat"]

    async def then() -> list[str]:
        async with _at_work(machine) as (journal, before):
            await _indexed(machine, before)
            return [await _said(journal, caller) for caller in ("a", "b", "c")]

    assert asyncio.run(then()) == ["earlier", "new", "repeat"]


def _clear_ids(old: IdentityFolder) -> None:
    clear_page(old.business.db, "sqlite_autoindex_digests_1")


def _swap_an_id(old: IdentityFolder) -> None:
    """In the table, and not in the index beside it."""
    content = old.business.db.read_bytes()
    with closing(sqlite3.connect(old.business.db)) as db:
        [(page,)] = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_digests_1'")
        [(one,)] = db.execute("SELECT id FROM digests WHERE position = 2")
    at = content.index(one, (page - 1) * 4096)
    old.business.db.write_bytes(content[:at] + bytes(16) + content[at + 16:])


def _hide_in_a_log(old: IdentityFolder) -> None:
    Path(f"{old.business.db}{KEPT_LOG}").write_bytes(b"what SQLite does not read")


@pytest.mark.parametrize("harm", [_clear_ids, _swap_an_id, _hide_in_a_log, lambda old: old.business.db.unlink(),
                                  lambda old: old.business.db.write_bytes(bytes(8192))])
def test_a_journal_whose_ids_are_in_doubt_answers_nothing_until_they_are_indexed(
        machine: Machine, harm: Callable[[IdentityFolder], None]) -> None:
    asyncio.run(machine.write("a"))
    gone = harm not in (_clear_ids, _swap_an_id, _hide_in_a_log)
    harm(machine.old)

    async def say() -> list[str]:
        async with _at_work(machine) as (journal, before):
            first = [await _said(journal, caller) for caller in ("a", "b")]
            await _indexed(machine, before)
            return first + [await _said(journal, caller) for caller in ("a", "b")]

    assert asyncio.run(say()) == ["unclear", "unclear", "new" if gone else "earlier", "new"]


def test_a_damaged_index_stops_no_start_and_is_made_anew(machine: Machine) -> None:
    asyncio.run(machine.write("a", "b"))
    _make_index(machine)
    whole = machine.new.known.read_bytes()

    async def start(harmed: bytes) -> list[str]:
        machine.new.known.write_bytes(harmed)
        async with _at_work(machine) as (journal, before):
            first = await _said(journal, "a")
            await _indexed(machine, before)
            return [first, await _said(journal, "a"), await _said(journal, "b")]

    for harmed in (b"", b"x", bytes(len(whole)), whole[:4096] + b"\xa5" * (len(whole) - 4096)):
        assert asyncio.run(start(harmed)) == ["earlier"] * 3


def test_an_index_whose_schema_is_damaged_stops_no_start_and_no_later_index(machine: Machine) -> None:
    asyncio.run(machine.write("a"))
    _make_index(machine)
    flip_schema(machine.new.known, "known")

    async def start() -> str:
        async with _at_work(machine) as (journal, _):
            return await _said(journal, "a")

    assert asyncio.run(start()) == "earlier"
    _make_index(machine)
    flip_schema(machine.new.known, "known")
    machine.new.known.rename(machine.old.known)
    _make_index(machine)
    assert asyncio.run(start()) == "earlier"


def test_an_index_that_is_damaged_under_a_counter_at_work_is_made_anew(machine: Machine) -> None:
    asyncio.run(machine.write("a"))
    _make_index(machine)

    async def work() -> list[str]:
        async with _at_work(machine) as (journal, before):
            clear_page(machine.new.known, "known")
            first = await _said(journal, "a")
            await _indexed(machine, before)
            return [first, await _said(journal, "a"), await _said(journal, "b")]

    assert asyncio.run(work()) == ["unclear", "earlier", "new"]


def test_two_who_make_the_index_at_a_time_make_a_whole_one(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread goes on with it when its agent's identity is admitted; the next one begins again."""
    asyncio.run(machine.write("a", "b"))

    def with_another_in_the_middle(old: IdentityFolder) -> Iterator[tuple[bytes, int]]:
        first, *others = callers_ids(old)
        yield first
        monkeypatch.setattr(edge.forerunners, "callers_ids", half)
        with suppress(OSError):
            _make_index(machine)
        yield from others

    def half(old: IdentityFolder) -> Iterator[tuple[bytes, int]]:
        yield next(callers_ids(old))
        raise OSError("cut off")

    monkeypatch.setattr(edge.forerunners, "callers_ids", with_another_in_the_middle)
    with pytest.raises(OSError, match="No such file"):
        _make_index(machine)
    assert not machine.new.known.exists()
    monkeypatch.setattr(edge.forerunners, "callers_ids", callers_ids)
    _make_index(machine)
    assert [one.name for one in machine.new.known.parent.glob("*known*")] == ["known.db"]


def test_an_earlier_index_stands_for_the_journals_before_it_unless_it_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    first, last = Machine(tmp_path), Machine(tmp_path / "later")
    asyncio.run(first.write("a"))
    asyncio.run(last.write("b"))
    before = [(first.old_genesis.edge, first.old), (last.old_genesis.edge, last.old)]

    def known() -> int:
        make_index(before, last.new.known)
        with closing(sqlite3.connect(last.new.known)) as db:
            return int(db.execute("SELECT count(*) FROM known").fetchone()[0])

    assert known() == 4
    make_index([], last.old.known)
    assert known() == 2
    last.old.known.write_bytes(b"x" * 8192)
    assert known() == 4


@pytest.mark.parametrize("harm", [
    "UPDATE envelopes SET payload = zeroblob(10) WHERE position = 2", "DELETE FROM envelopes WHERE position = 2",
    "UPDATE digests SET digest = zeroblob(32) WHERE position = 2", "UPDATE head SET digest = zeroblob(32)", "DROP TABLE standing",
])
def test_whatever_is_damaged_is_not_read_as_if_it_were_whole(machine: Machine, harm: str) -> None:
    asyncio.run(machine.write("a", "b"))
    assert not is_damaged(machine.old.business)
    assert ends(machine.old.business) == (3, 0)
    damage(machine.old.business.db, harm)
    assert is_damaged(machine.old.business)


def test_a_journal_that_is_gone_or_says_nothing_of_its_ends_has_a_successor_too(machine: Machine) -> None:
    asyncio.run(machine.write("a"))
    damage(machine.old.business.db, "UPDATE standing SET position = -1, backed_up = -1")
    assert ends(machine.old.business) == (0, 0)
    damage(machine.old.business.db, "DROP TABLE standing")
    assert ends(machine.old.business) == (0, 0)
    machine.old.business.db.unlink()
    assert is_damaged(machine.old.business)
    assert ends(machine.old.business) == (0, 0)
    _make_index(machine)
