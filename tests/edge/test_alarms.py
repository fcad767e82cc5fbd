"""Alarms of a machine: they outlive restarts, reach the journal once, and are seen until somebody clears them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.alarms import Alarms, AlarmUnknown
from tests.spine import CEILING_S, Spine


def test_an_alarm_outlives_a_restart_until_it_is_cleared_and_is_kept_even_then(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    Alarms(tmp_path / "alarms", spine.clock).raise_alarm("history", "the hub's history changed", "提示", b"\x01\x02")
    spine.clock.now_ms += 1
    again = Alarms(tmp_path / "alarms", spine.clock)
    again.raise_alarm("history", "told later", "后来")
    (alarm,) = again.open_alarms()
    assert (alarm.text, alarm.evidence) == ("the hub's history changed", "0102")  # what was told first stays
    again.clear("history")
    assert again.open_alarms() == ()
    assert "0102" in next((tmp_path / "alarms").glob("cleared-*")).read_text(encoding="utf-8")
    for unknown in ("history", "../journals/business", ""):
        with pytest.raises(AlarmUnknown, match="suozhan-edge alarms"):
            again.clear(unknown)


def test_an_alarm_that_cannot_be_read_is_an_alarm(tmp_path: Path) -> None:
    alarms = Alarms(tmp_path / "alarms", Spine(tmp_path).clock)
    alarms.raise_alarm("history", "text", "提示")
    (tmp_path / "alarms" / "history.json").write_bytes(b"{")
    assert "cannot be read" in alarms.open_alarms()[0].text


def test_each_alarm_goes_into_the_journal_once(tmp_path: Path) -> None:
    async def run() -> None:
        spine = Spine(tmp_path)
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            for _ in range(2):  # the second time is a restart
                alarms = Alarms(tmp_path / "alarms", spine.clock)
                alarms.raise_alarm("history", "text", "提示")
                task = asyncio.create_task(alarms.run(journal))
                while await journal.find(f"alarm:history:{spine.clock.now_ms}") is None:
                    await asyncio.sleep(0.01)
                task.cancel()
                await asyncio.wait([task])
            assert journal.head.position == 2  # the data key, and the alarm

    asyncio.run(run())
