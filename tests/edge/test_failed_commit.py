"""A commit that fails at the counter: it may have reached the disk or not, and only what is read there again counts."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from edge.drafts import CorruptJournal, JournalBusy, JournalFull, JournalStopped
from edge.journal_store import Head, JournalStore, Standing
from edge.key_copies import KeyCopies
from tests.spine import CEILING_S, Spine, draft


def _fails_once(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception, *, after: bool = False) -> None:
    """The store's method fails at its next call, before it did its work or after it."""
    whole = getattr(JournalStore, name)

    async def failing(store: JournalStore, *values: object) -> object:
        monkeypatch.setattr(JournalStore, name, whole)
        if after:
            await whole(store, *values)
        raise error

    monkeypatch.setattr(JournalStore, name, failing)


def _disk_error() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    return error


def _opened(monkeypatch: pytest.MonkeyPatch) -> list[JournalStore]:
    """Each store that is opened from now on."""
    found: list[JournalStore] = []
    enter = JournalStore.__aenter__

    async def entering(store: JournalStore) -> JournalStore:
        found.append(store)
        return await enter(store)

    monkeypatch.setattr(JournalStore, "__aenter__", entering)
    return found


@pytest.mark.parametrize("stored", [False, True])
def test_after_a_failed_commit_only_what_is_read_from_the_disk_again_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    """Invariant 1: what did reach the disk is answered; what did not is refused, and may be said again."""
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            await journal.submit(draft("a"))
            opened = _opened(monkeypatch)
            _fails_once(monkeypatch, "append", _disk_error(), after=stored)
            if stored:
                one = await journal.submit(draft("b"))
                assert (one.position, one.repeat) == (3, True)
            else:
                with pytest.raises(JournalBusy, match="disk I/O error"):
                    await journal.submit(draft("b"))
            assert len(opened) == 1  # a new connection: the old one may hold what the disk does not
            assert (await journal.submit(draft("b"))).position == 3
            assert (await journal.submit(draft("c"))).position == 4

    asyncio.run(live())


def test_a_lock_or_a_full_disk_leaves_the_connection_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            opened = _opened(monkeypatch)
            for code, expected in ((sqlite3.SQLITE_BUSY, JournalBusy), (sqlite3.SQLITE_LOCKED_SHAREDCACHE, JournalBusy),
                                   (sqlite3.SQLITE_FULL, JournalFull)):
                error = sqlite3.OperationalError("not now")
                error.sqlite_errorcode = code
                _fails_once(monkeypatch, "append", error)
                with pytest.raises(expected, match="not now"):
                    await journal.submit(draft("a"))
            assert not opened
            assert not (await journal.submit(draft("a"))).repeat

    asyncio.run(live())


def test_a_key_copy_that_cannot_be_written_refuses_the_record_and_the_next_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of a file is none of SQLite's, and ends no writer."""
    spine = Spine(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            with monkeypatch.context() as trouble:
                trouble.setattr(KeyCopies, "keep", full)
                with pytest.raises(JournalBusy, match="no space"):
                    await journal.submit(draft("a"))
            assert not (await journal.submit(draft("a"))).repeat

    asyncio.run(live())


def test_a_disk_that_cannot_be_read_after_a_failed_commit_stops_nothing_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            await journal.submit(draft("a"))
            _fails_once(monkeypatch, "append", _disk_error())
            _fails_once(monkeypatch, "head", _disk_error())
            with pytest.raises(JournalBusy, match="disk I/O error"):
                await journal.submit(draft("b"))
            assert (await journal.submit(draft("b"))).position == 3

    asyncio.run(live())


def test_damage_that_shows_after_a_failed_commit_stops_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            await journal.submit(draft("a"))
            _fails_once(monkeypatch, "append", _disk_error())
            _fails_once(monkeypatch, "head", CorruptJournal("the head is damaged"))
            for caller in "bc":
                with pytest.raises(JournalStopped, match="the head is damaged"):
                    await journal.submit(draft(caller))
            await journal.ended()
        async with spine.journal() as journal:
            assert journal.stopped == "the head is damaged"

    asyncio.run(live())


def test_who_waits_for_the_journals_end_learns_of_a_stop_and_of_a_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S):
            async with spine.journal() as journal:
                waiting = asyncio.create_task(journal.ended())
                await journal.submit(draft("a"))
                assert not waiting.done()
                _fails_once(monkeypatch, "find", ZeroDivisionError("a bug"))
                with pytest.raises(JournalStopped, match="the writer failed: ZeroDivisionError"):
                    await journal.submit(draft("b"))
                with pytest.raises(ZeroDivisionError, match="a bug"):
                    await waiting
            async with spine.journal() as journal:
                waiting = asyncio.create_task(journal.ended())
                await asyncio.sleep(0)
                journal.stop("enough")
                await waiting

    asyncio.run(live())


def test_the_same_trouble_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spine = Spine(tmp_path)

    async def live() -> list[str]:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            with capture_logs() as logs:
                for _ in range(3):
                    _fails_once(monkeypatch, "append", _disk_error())
                    with suppress(JournalBusy):
                        await journal.submit(draft("a"))
                await journal.submit(draft("a"))
                _fails_once(monkeypatch, "append", _disk_error())
                with suppress(JournalBusy):
                    await journal.submit(draft("b"))
            return [f"{one['event']}: {one['error']}; {one['next']}" for one in logs]

    told = "journal cannot be written: disk I/O error; make room, or end the program that holds it"
    assert asyncio.run(live()) == [told, told]  # once, and again when it comes back


def test_damage_that_shows_in_a_commit_stops_the_journal_and_refuses_all_that_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            _fails_once(monkeypatch, "append", CorruptJournal("a page is damaged"))
            refused = await asyncio.gather(*[journal.submit(draft(caller)) for caller in "abc"], return_exceptions=True)
            assert [(type(one), str(one)) for one in refused] == [(JournalStopped, "a page is damaged")] * 3
            assert journal.stopped == "a page is damaged"

    asyncio.run(live())


def test_what_the_hub_says_stops_nothing_when_the_disk_does_not_take_it_and_the_journal_when_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            _fails_once(monkeypatch, "set_standing", _disk_error())
            with capture_logs() as logs:
                await journal.take_standing(Standing(0, 0, 77))
            assert [one["error"] for one in logs] == ["disk I/O error"]
            assert not journal.stopped
            await journal.take_standing(Standing(0, 0, 77))  # said again, and written now
            _fails_once(monkeypatch, "set_standing", _disk_error())
            await journal.take_standing(Standing(0, 0, 78))
            await journal.proved(0)  # a machine that rests hears a receipt, and nothing else any more
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            assert journal.standing == Standing(0, 0, 78)
            for text in ("a page is damaged", "another page"):
                _fails_once(monkeypatch, "set_standing", CorruptJournal(text))
                await journal.take_standing(Standing(0, 0, 79 + len(text)))
                assert journal.stopped == "a page is damaged"  # the first reason stays
            await journal.ended()

    asyncio.run(live())


@pytest.mark.parametrize("why", ["the writer failed: ZeroDivisionError", "the agent is stopping"])
def test_nobody_waits_for_ever_when_the_writer_ends_while_it_reads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    spine = Spine(tmp_path)

    async def live() -> None:
        async with asyncio.timeout(CEILING_S):
            async with spine.journal() as journal:
                await journal.submit(draft("a"))
                reading = asyncio.Event()

                async def head(_: JournalStore) -> Head:
                    reading.set()
                    if "failed" in why:
                        raise ZeroDivisionError("a bug")
                    return await asyncio.Future()  # a disk that takes its time

                _fails_once(monkeypatch, "append", _disk_error())
                monkeypatch.setattr(JournalStore, "head", head)
                waiting = asyncio.create_task(journal.submit(draft("b")))
                await reading.wait()
            with pytest.raises(JournalStopped, match=why):
                await waiting

    asyncio.run(live())
