"""Damage is found in idle time, told, and stops the journal only when something would be lost by going on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

import edge.idle_check
from edge.alarms import Alarms
from edge.idle_check import ALARM, PASS_MIN_MS, IdleCheck
from edge.journal import Journal
from edge.journal_check import JournalCheck
from edge.journal_store import Standing
from tests.spine import CEILING_S, Spine, damage, draft, prove

RECORDS = 30


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("QUIET_S", 0.005), ("PAUSE_S", 0.001), ("STEP_RECORDS", 10), ("KEEP_EVERY_S", -1.0)):
        monkeypatch.setattr(edge.idle_check, name, value)


async def _fill(spine: Spine) -> None:
    async with asyncio.timeout(CEILING_S), spine.journal() as journal:
        await asyncio.gather(*[journal.submit(draft(f"a{number}")) for number in range(RECORDS)])


@asynccontextmanager
async def _checked(spine: Spine, journal: Journal) -> AsyncIterator[Alarms]:
    """Idle checks run meanwhile."""
    alarms = Alarms(spine.folder / "alarms", spine.clock)
    running = asyncio.create_task(
        IdleCheck(journal, spine.receipt_check(), spine.journal_db, spine.folder / "checked", alarms, spine.clock).run())
    try:
        yield alarms
    finally:
        assert not running.done(), running
        running.cancel()
        await asyncio.wait([running])


def _kept(spine: Spine) -> dict[str, object]:
    file = spine.folder / "checked"
    with suppress(ValueError, FileNotFoundError):
        return dict(json.loads(file.read_bytes()))
    return {}


async def _until_done(spine: Spine) -> None:
    while not _kept(spine).get("done"):
        await asyncio.sleep(0.005)


def test_a_hub_that_lost_what_is_pruned_here_ends_no_journal(tmp_path: Path) -> None:
    """It came back from an older backup, and people take a day to decide on what it lacks."""
    spine = Spine(tmp_path)
    asyncio.run(_fill(spine))

    async def watch() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            prove(spine.journal_db, RECORDS + 1)
            await journal.proved(RECORDS + 1)
            await journal.take_standing(Standing(RECORDS + 1, 20, 0))
            await journal.take_standing(Standing(5, 5, 0))
            assert await journal.pruned_to() == 19
            async with _checked(spine, journal) as alarms:
                await _until_done(spine)
                assert not any("missing" in alarm.text for alarm in alarms.open_alarms())
                assert not journal.stopped

    asyncio.run(watch())


def test_a_whole_journal_is_gone_through_once_a_day_and_nothing_is_told(tmp_path: Path) -> None:
    spine = Spine(tmp_path)

    async def watch() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, _checked(spine, journal) as alarms:
            await _until_done(spine)
            assert _kept(spine)["position"] == RECORDS + 1
            await asyncio.sleep(0.1)
            begun = _kept(spine)["begun_ms"]
            spine.clock.now_ms += PASS_MIN_MS
            while _kept(spine)["begun_ms"] == begun:
                await asyncio.sleep(0.005)
            await _until_done(spine)
            assert alarms.open_alarms() == ()
            assert not journal.stopped

    asyncio.run(_fill(spine))
    asyncio.run(watch())


def test_damage_that_no_backup_makes_good_stops_the_journal(tmp_path: Path) -> None:
    """Invariant 3."""
    spine = Spine(tmp_path)

    async def watch() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            damage(spine.journal_db, "UPDATE envelopes SET payload = zeroblob(99) WHERE position = 7")
            async with _checked(spine, journal) as alarms:
                while not journal.stopped:
                    await asyncio.sleep(0.005)
                assert "position 7" in journal.stopped
                [alarm] = alarms.open_alarms()
                assert (alarm.kind, "position 7" in alarm.text, "市信息中心" in alarm.hint) == (ALARM, True, True)

    asyncio.run(_fill(spine))
    asyncio.run(watch())


def test_damage_of_what_a_backup_holds_is_told_and_stops_nothing(tmp_path: Path) -> None:
    spine = Spine(tmp_path)

    async def watch() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            await journal.take_standing(Standing(20, 20, 0))
            damage(spine.journal_db, "UPDATE envelopes SET payload = zeroblob(99) WHERE position = 7")
            async with _checked(spine, journal) as alarms:
                await _until_done(spine)
                assert len(alarms.open_alarms()) == 1
                assert not journal.stopped
                await journal.submit(draft("more"))

    asyncio.run(_fill(spine))
    asyncio.run(watch())


def test_a_damaged_receipt_is_told_and_stops_nothing(tmp_path: Path) -> None:
    spine = Spine(tmp_path)

    async def watch() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            prove(spine.journal_db, 7)
            async with _checked(spine, journal) as alarms:
                await _until_done(spine)
                checkpoint, receipt = sorted(one.text for one in alarms.open_alarms())
                assert "newest checkpoint" in checkpoint
                assert "receipt for position 7" in receipt
                assert not journal.stopped

    asyncio.run(_fill(spine))
    asyncio.run(watch())


def test_a_head_that_is_not_the_last_record_stops_the_journal(tmp_path: Path) -> None:
    """Invariant 5."""
    spine = Spine(tmp_path)

    async def watch() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            await journal.take_standing(Standing(RECORDS + 1, RECORDS + 1, 0))
            damage(spine.journal_db, "UPDATE head SET digest = zeroblob(32)")
            async with _checked(spine, journal):
                while not journal.stopped:
                    await asyncio.sleep(0.005)

    asyncio.run(_fill(spine))
    asyncio.run(watch())


def test_an_error_of_memory_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spine = Spine(tmp_path)
    looks: list[int] = []
    real = JournalCheck._judged

    def once_wrong(self: JournalCheck, position: int, *rest: object) -> tuple[str, bytes | None]:
        looks.append(position)
        text, digest = real(self, position, *rest)  # type: ignore[arg-type]
        return ("wrong" if looks.count(7) == 1 and position == 7 else text), digest

    monkeypatch.setattr(JournalCheck, "_judged", once_wrong)

    async def watch() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, _checked(spine, journal) as alarms:
            await _until_done(spine)
            assert alarms.open_alarms() == ()

    asyncio.run(_fill(spine))
    asyncio.run(watch())
    assert looks.count(7) == 2


def test_a_restart_goes_on_where_the_pass_was_and_a_damaged_cursor_begins_again(tmp_path: Path,
                                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    spine = Spine(tmp_path)
    first: list[int] = []
    real = JournalCheck.step

    def noted(self: JournalCheck, after: int, limit: int) -> object:
        first.append(after)
        return real(self, after, limit)

    monkeypatch.setattr(JournalCheck, "step", noted)

    async def watch() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal, _checked(spine, journal):
            await _until_done(spine)

    asyncio.run(_fill(spine))
    cursor = spine.folder / "checked"
    for text, begins in (('{"begun_ms": 1, "position": 20}', 20), ('{"position":', 0), ("", 0), ('{"begun_ms": "x"}', 0)):
        first.clear()
        cursor.write_text(text, encoding="utf-8")
        asyncio.run(watch())
        assert first[0] == begins


def test_a_machine_at_work_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spine, waits = Spine(tmp_path), 0

    async def work() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            async def meanwhile(_seconds: float) -> None:
                """Whenever it waits, somebody submits."""
                nonlocal waits
                await journal.submit(draft(f"b{waits}"))
                waits += 1

            monkeypatch.setattr(edge.idle_check, "asyncio", SimpleNamespace(sleep=meanwhile, to_thread=asyncio.to_thread))
            async with _checked(spine, journal):
                while waits < 15:
                    await asyncio.sleep(0.005)
                assert _kept(spine) == {}

    asyncio.run(work())
