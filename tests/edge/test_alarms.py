"""Alarms of a machine: they outlive restarts, reach the journal once, and are seen until somebody clears them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

import edge.alarms
from edge.alarms import ALIKE_MAX, Alarms, AlarmUnknown
from edge.drafts import Draft, Stored
from security.suites import sha256
from tests.spine import CEILING_S, Spine


def test_an_alarm_outlives_a_restart_until_it_is_cleared_and_is_kept_even_then(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    Alarms(tmp_path / "alarms", spine.clock).raise_alarm("history", "the hub's history changed", "提示", b"\x01\x02")
    spine.clock.now_ms += 1
    again = Alarms(tmp_path / "alarms", spine.clock)
    again.raise_alarm("history", "told later", "后来", b"\x01\x02")
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


def test_other_evidence_is_an_alarm_beside_the_one_that_is_open(tmp_path: Path) -> None:
    alarms = Alarms(tmp_path / "alarms", Spine(tmp_path).clock)
    for evidence in (b"one", b"two", b"one", b"two"):
        alarms.raise_alarm("history", "the hub's history changed", "提示", evidence)
    assert {one.kind: bytes.fromhex(one.evidence) for one in alarms.open_alarms()} == {"history": b"one", "history-2": b"two"}
    for number in range(2 * ALIKE_MAX):
        alarms.raise_alarm("history", "the hub's history changed", "提示", b"%d" % number)
    assert len(alarms.open_alarms()) == ALIKE_MAX
    alarms.clear("history-2")
    alarms.raise_alarm("history", "the hub's history changed", "提示", b"one")
    assert len(alarms.open_alarms()) == ALIKE_MAX - 1


def test_another_reason_without_evidence_is_seen_beside_the_first_and_the_same_one_is_told_once(tmp_path: Path) -> None:
    """A second journal that ends before anybody has cleared the alarm about the first."""
    alarms = Alarms(tmp_path / "alarms", Spine(tmp_path).clock)
    for reason in ("a damaged page", "the hub has another history", "a damaged page", "the hub has another history"):
        alarms.raise_alarm("journal-ended", reason, "提示")
    assert {one.kind: one.text for one in alarms.open_alarms()} == {
        "journal-ended": "a damaged page", "journal-ended-2": "the hub has another history"}
    for number in range(2 * ALIKE_MAX):
        alarms.raise_alarm("journal-ended", f"reason {number}", "提示")
    assert len(alarms.open_alarms()) == ALIKE_MAX


def test_an_alarm_beside_one_that_cannot_be_read_is_seen(tmp_path: Path) -> None:
    alarms = Alarms(tmp_path, Spine(tmp_path).clock)
    (tmp_path / "journal-ended.json").write_bytes(b"{")
    alarms.raise_alarm("journal-ended", "a damaged page", "提示")
    assert "a damaged page" in [one.text for one in alarms.open_alarms()]


def test_an_alarm_that_a_full_disk_did_not_take_is_open_all_the_same_and_written_later(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    spine, folder = Spine(tmp_path), tmp_path / "alarms"
    alarms = Alarms(folder, spine.clock)
    with monkeypatch.context() as disk:
        disk.setattr(edge.alarms, "write_private", full)
        alarms.raise_alarm("history", "text", "提示", b"evidence")
        alarms.raise_alarm("history", "told later", "后来", b"evidence")
        assert [one.text for one in alarms.open_alarms()] == ["text"]

    async def run() -> None:
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            task = asyncio.create_task(alarms.run(journal))
            while not (folder / "history.json").exists():
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])

    asyncio.run(run())
    assert Alarms(folder, spine.clock).open_alarms() == alarms.open_alarms()
    assert bytes.fromhex(alarms.open_alarms()[0].evidence) == b"evidence"


def test_an_alarm_that_is_raised_again_is_written_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A successor that begins as soon as the disk is freed: a crash behind it must not forget why."""
    def full(_path: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    folder, clock = tmp_path / "alarms", Spine(tmp_path).clock
    alarms = Alarms(folder, clock)
    with monkeypatch.context() as disk:
        disk.setattr(edge.alarms, "write_private", full)
        alarms.raise_alarm("journal-ended", "a damaged page", "提示")
    alarms.raise_alarm("journal-ended", "a damaged page", "提示")
    assert [one.text for one in Alarms(folder, clock).open_alarms()] == ["a damaged page"]


def test_evidence_longer_than_a_record_is_named_by_its_digest(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = bytes(range(256)) * 400

    async def run() -> None:
        spine = Spine(tmp_path)
        async with asyncio.timeout(CEILING_S), spine.journal() as journal:
            alarms = Alarms(tmp_path / "alarms", spine.clock)
            alarms.raise_alarm("history", "text", "提示", evidence)
            said: list[bytes] = []
            submit = journal.submit

            async def heard(draft: Draft) -> Stored:
                said.append(draft.body)
                return await submit(draft)

            monkeypatch.setattr(journal, "submit", heard)
            task = asyncio.create_task(alarms.run(journal))
            while await journal.find(f"alarm:history:{spine.clock.now_ms}") is None:
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait([task])
        assert json.loads(said[0])["evidence_sha256"] == sha256(evidence).hex()
        assert bytes.fromhex(alarms.open_alarms()[0].evidence) == evidence

    asyncio.run(run())


@pytest.mark.parametrize("text", ['{"kind": "history", "text": [], "hint": "", "raised_ms": 1}',
                                  '{"kind": "history", "text": "", "hint": "", "raised_ms": 1, "evidence": "zz"}'])
def test_an_alarm_whose_file_holds_something_else_ends_no_agent(tmp_path: Path, text: str) -> None:
    alarms = Alarms(tmp_path, Spine(tmp_path).clock)
    (tmp_path / "history.json").write_text(text, encoding="utf-8")
    assert "cannot be read" in alarms.open_alarms()[0].text
