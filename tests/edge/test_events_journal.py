"""An agent whose journal of events is full, damaged, gone or does not open: the counter goes on."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import pytest

import edge.opening
import edge.reopening
import edge.successors
from edge.alarms import Alarms
from edge.assembly import run_edge
from edge.drafts import ForeignJournal, JournalFull
from edge.events_journal import ALARM, EventsJournal
from edge.followed import Succession
from edge.identity import load_identity
from edge.journal import Journal, JournalLimits
from edge.journal_check import JournalCheck
from edge.state import JournalFiles, StateFolder
from edge.successors import Successors
from security.clock import SystemClock
from security.signer import Ed25519Signer
from tests.edge.machine import enrolled
from tests.spine import CEILING_S, draft

MIB = 1024**2


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return enrolled(tmp_path / "edge")


def _journal(files: JournalFiles, limits: JournalLimits | None = None) -> Journal:
    identity = load_identity(files.folder.identity)
    return Journal(files.db, Ed25519Signer.load(files.folder.record_key), bytes.fromhex(identity.hub_sealing_key), SystemClock(),
                   limits or JournalLimits(reserve_bytes=0))


async def _filled(journal: Journal) -> None:
    """Until it takes no more."""
    async with journal:
        for size in (12_000, 200, 0):
            with suppress(JournalFull):
                for number in range(10**6):
                    await journal.submit(draft(f"event:{size}-{number}", os.urandom(size)))


@asynccontextmanager
async def _at_work(state: StateFolder) -> AsyncIterator[None]:
    """The agent, once its door is open."""
    ready = asyncio.Event()
    async with asyncio.timeout(CEILING_S):
        agent = asyncio.create_task(run_edge(state, SystemClock(), ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([agent, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if agent.done():
            agent.result()
        yield
        agent.cancel()
        await asyncio.wait([agent])


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def _kinds(state: StateFolder) -> set[str]:
    return {one.kind for one in Alarms(state.alarms, SystemClock()).open_alarms()}


def _positions(files: JournalFiles) -> int:
    with closing(sqlite3.connect(files.db)) as db:
        return int(db.execute("SELECT position FROM head").fetchone()[0])


def test_a_full_journal_of_events_refuses_events_and_nothing_else(state: StateFolder) -> None:
    """Invariant 3: it has a quota of its own; somebody is told, once."""
    async def scenario() -> None:
        limits = JournalLimits(quota_bytes=MIB, reserve_bytes=0)
        await _filled(_journal(state.events, limits))
        alarms = Alarms(state.alarms, SystemClock())
        async with _journal(state.events, limits) as events, _journal(state.business) as business:
            for _ in range(2):
                with pytest.raises(JournalFull):
                    await EventsJournal(events, alarms).submit(draft("event:more", os.urandom(4000)))
            assert not (await business.submit(draft("a-transaction"))).repeat
        assert [one.kind for one in alarms.open_alarms()] == [ALARM]

    asyncio.run(scenario())


def test_events_leave_the_rest_of_a_disk_to_transactions(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, JournalLimits] = {}
    journal = Journal

    def noted(path: Path, *arguments: object) -> Journal:
        made[path.stem] = next(one for one in arguments if isinstance(one, JournalLimits))
        return journal(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(edge.opening, "Journal", type("Noted", (journal,), {"__new__": lambda _cls, *given: noted(*given)}))
    state.config.write_text(state.config.read_text(encoding="utf-8").replace("disk_reserve_bytes = 0", "disk_reserve_bytes = 7"))

    async def scenario() -> None:
        async with _at_work(state):
            pass

    asyncio.run(scenario())
    assert made["events"].quota_bytes < made["business"].quota_bytes
    assert made["events"].reserve_bytes > made["business"].reserve_bytes == 7


def test_an_agent_goes_on_with_a_full_journal_of_events(state: StateFolder) -> None:
    asyncio.run(_filled(_journal(state.events, JournalLimits(quota_bytes=MIB, reserve_bytes=0))))
    state.config.write_text(f"events_quota_bytes = {MIB}\n{state.config.read_text(encoding='utf-8')}", encoding="utf-8")
    Alarms(state.alarms, SystemClock()).raise_alarm("history", "x" * 5000, "提示")  # a note that finds no room

    async def scenario() -> None:
        async with _at_work(state):
            await _until(lambda: ALARM in _kinds(state))

    asyncio.run(scenario())
    assert len(state.identities()) == 1


def test_alarms_are_records_of_events_and_not_of_business(state: StateFolder) -> None:
    Alarms(state.alarms, SystemClock()).raise_alarm("history", "text", "提示")

    async def scenario() -> None:
        async with _at_work(state):
            await _until(lambda: _positions(state.events) == 2)  # the data key and the alarm

    asyncio.run(scenario())
    assert _positions(state.business) == 0


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(bytes(8192)), lambda path: path.unlink()])
def test_a_journal_of_events_that_is_damaged_or_gone_ends_both(state: StateFolder, harm: Callable[[Path], None]) -> None:
    """Each goes on in a journal that names the one of its name (invariant 5)."""
    old = load_identity(state.identity)

    async def scenario() -> None:
        async with _journal(state.business) as business:
            await business.submit(draft("a"))
        harm(state.events.db)
        async with _at_work(state):
            await _until(lambda: len(state.identities()) == 2 and state.current.known.exists())

    asyncio.run(scenario())
    assert len(state.identities()) == 2
    followed = Succession.load(state.current)
    assert {name: one.journal for name, one in followed.journals.items()} == old.journals
    assert followed.journals["business"].position == 2
    for files in state.current.journals:
        with JournalCheck(files.db) as check:
            genesis = check.identity.genesis
        assert (genesis.journal, genesis.predecessor) == (
            load_identity(state.current.identity).journals[files.name], old.journals[files.name])
    assert "journal-ended" in _kinds(state)


def test_an_identity_is_followed_by_one_for_whatever_reasons(state: StateFolder) -> None:
    async def scenario() -> None:
        successors = Successors(state, Alarms(state.alarms, SystemClock()))
        await asyncio.gather(successors.until_begun("events ended"), successors.until_begun("business ended"))

    asyncio.run(scenario())
    assert len(state.identities()) == 2


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Journal]:
    """Each journal that the agent opens."""
    journals: list[Journal] = []
    enter = Journal.__aenter__

    async def noted(self: Journal) -> Journal:
        journals.append(await enter(self))
        return self

    monkeypatch.setattr(Journal, "__aenter__", noted)
    return journals


def test_two_journals_that_end_at_a_time_have_one_successor_each(state: StateFolder, opened: list[Journal]) -> None:
    async def scenario() -> None:
        async with _at_work(state):
            for one in opened[:2]:
                one.stop("the test ends both")
            await _until(lambda: len(state.identities()) > 1 and state.current.known.exists())
            await asyncio.sleep(0.3)

    asyncio.run(scenario())
    assert len(state.identities()) == 2


def test_the_counter_waits_for_no_successor_where_events_ended_and_the_disk_is_full(
        state: StateFolder, monkeypatch: pytest.MonkeyPatch, opened: list[Journal]) -> None:
    """And when business ends meanwhile, there is one successor for both reasons."""
    begin, freed = edge.successors.begin, asyncio.Event()

    def full(state: StateFolder, reason: str) -> object:
        if freed.is_set():
            return begin(state, reason)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(edge.successors, "begin", full)
    monkeypatch.setattr(edge.reopening, "REOPEN_S", 0.01)
    state.events.db.write_bytes(bytes(8192))

    async def scenario() -> None:
        async with _at_work(state):
            await asyncio.sleep(0.1)
            with closing(sqlite3.connect(state.business.db)) as db:  # it is open, and its agent works
                assert db.execute("SELECT count(*) FROM journal").fetchone() == (1,)
            assert len(state.identities()) == 1
            [business] = opened
            assert not (await business.submit(draft("a"))).repeat
            business.stop("the test ends it, too")
            await asyncio.sleep(0.1)
            freed.set()
            await _until(lambda: len(state.identities()) > 1)
            await asyncio.sleep(0.3)

    asyncio.run(scenario())
    assert len(state.identities()) == 2


def test_a_journal_of_events_that_does_not_open_now_is_tried_again(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.reopening, "REOPEN_S", 0.01)
    blocked = Path(f"{state.events.db}-wal")
    blocked.mkdir()
    Alarms(state.alarms, SystemClock()).raise_alarm("history", "text", "提示")

    async def scenario() -> None:
        async with _at_work(state):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(blocked.rmdir)
            await _until(lambda: _positions(state.events) == 2)

    asyncio.run(scenario())
    assert len(state.identities()) == 1
    assert _positions(state.business) == 0


def test_two_journals_whose_files_were_exchanged_are_not_written_on(state: StateFolder) -> None:
    """They have one key, which would fit."""
    aside = state.business.db.rename(state.root / "aside.db")
    state.events.db.rename(state.business.db)
    aside.rename(state.events.db)

    async def scenario() -> None:
        async with _at_work(state):
            raise AssertionError("it works")

    with pytest.raises((ForeignJournal, ExceptionGroup)) as refused:
        asyncio.run(scenario())
    assert refused.group_contains(ForeignJournal) if isinstance(refused.value, ExceptionGroup) else True
