"""A journal's log was taken away behind a killed agent: what the counter, the technician and the file for the hub are told of it.

Invariants 3 and 11.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import edge.doctor
from edge.agent_lock import agent_lock
from edge.alarms import Alarms
from edge.assembly import run_edge
from edge.doctor import examine, told
from edge.export import export_machine
from edge.journal_store import gone
from edge.state import IdentityFolder, JournalFiles, StateFolder
from edge.succession import begin
from edge.successors import ENDED_HINT
from edge.verify import Verification
from security.clock import SystemClock
from tests.edge.machine import enrolled, fill, journal_of, lose_log
from tests.spine import CEILING_S, HandClock, draft
from tests.station import Station


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    state = enrolled(tmp_path / "edge")
    fill(state, 3)
    return state


def _doctor(state: StateFolder) -> str:
    return told(asyncio.run(examine(state, SystemClock())))


def _alarm(state: StateFolder) -> str:
    """What the counter is told of the journal that has ended."""
    async def scenario() -> str:
        async with asyncio.timeout(CEILING_S):
            ready = asyncio.Event()
            agent = asyncio.create_task(run_edge(state, SystemClock(), ready.set))
            await asyncio.wait([agent, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
            assert ready.is_set(), agent
            while not (alarms := Alarms(state.alarms, SystemClock()).open_alarms()):
                await asyncio.sleep(0.01)
            agent.cancel()
            await asyncio.wait([agent])
            return next(one.hint for one in alarms if one.kind == "journal-ended")

    return asyncio.run(scenario())


@pytest.mark.parametrize(("name", "words"), [
    ("business", r"业务日志的部分文件被移走或清空.*20\d\d-\d\d-\d\d \d\d:\d\d之后受理的业务可能已经丢失.*对照纸质材料"),
    ("events", "本机设备事件日志的部分文件被移走或清空.*最近一段时间的设备事件记录可能已经丢失")])
def test_the_counter_is_told_since_when_something_may_be_lost(state: StateFolder, name: str, words: str) -> None:
    """Not that all of it is kept here: acknowledged work may be gone, and only people know of it."""
    lose_log(JournalFiles(state, name).db)
    hint = _alarm(state)
    assert re.search(words, hint)
    assert "均保留在本机" not in hint
    for asked in ("不要重启或关闭本机", "被移走的文件务必保留", "联系市信息中心"):
        assert asked in hint


def test_of_a_journal_that_a_disk_has_damaged_it_is_told_that_it_is_kept(state: StateFolder) -> None:
    state.business.db.write_bytes(bytes(8192))
    assert _alarm(state) == ENDED_HINT


def _remove(path: Path) -> None:
    lose_log(path)


def _leave_the_log(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(lose_log(path))
    path.unlink()


@pytest.mark.parametrize("name", ["business", "events"])
@pytest.mark.parametrize("harm", [_remove, _leave_the_log])
def test_nobody_is_told_to_start_or_boot_before_the_file_is_back(
        state: StateFolder, harm: Callable[[Path], None], name: str) -> None:
    """An agent that is started works without it, and what the index knows ends with the boot."""
    harm(JournalFiles(state, name).db)
    said = _doctor(state)
    assert "此前不要启动代理程序，也不要重启或关闭本机" in said
    for harmful in ("请运行 suozhan-edge run", "或重启本机", "再启动代理程序（会换新日志"):
        assert harmful not in said
    if harm is _remove:
        assert "请技术人员先把被移走的文件从隔离区或回收站放回原处，再启动代理程序" in said


def test_with_a_successor_the_agent_is_started_and_the_machine_is_not(state: StateFolder) -> None:
    lose_log(state.business.db)
    begin(state, "a lost log")
    said = _doctor(state)
    assert "请运行 suozhan-edge run（日志找回之前不要重启或关闭本机）" in said
    assert "或重启本机" not in said


def test_of_a_log_that_the_agent_still_has_open_it_is_told_to_stop_it_in_order(state: StateFolder) -> None:
    async def scenario() -> str:
        async with asyncio.timeout(CEILING_S), journal_of(state) as journal:
            await journal.submit(draft("b1", b"x"))
            Path(f"{state.business.db}-wal").unlink()  # noqa: ASYNC240 - one small file
            with agent_lock(state.lock):
                return told(await examine(state, SystemClock()))

    assert "请不要断电、重启本机或强行结束程序：请技术人员正常停止代理程序" in asyncio.run(scenario())
    assert "[正常] 业务日志" in _doctor(state), "it was put back as the journal was closed"


def test_a_successor_that_is_begun_meanwhile_makes_no_finding(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_of = edge.doctor.stop_of

    def begun(current: IdentityFolder) -> str:
        begin(state, "begun while the doctor looks")
        return stop_of(current)

    monkeypatch.setattr(edge.doctor, "stop_of", begun)
    assert "密钥" not in _doctor(state)


def test_verify_does_not_call_all_saved_where_a_log_is_lost(state: StateFolder) -> None:
    lose_log(state.business.db)
    lines = [str(one) for one in Verification(state, lambda *_: None, resume=False).findings()]
    assert re.search(r"0 are lost; what stood behind position 4 in the lost log alone is not counted", lines[-1])


def test_export_says_that_more_may_be_lost_until_the_log_is_back(state: StateFolder, tmp_path: Path) -> None:
    log = lose_log(state.business.db)
    said = export_machine(state, tmp_path / "file", HandClock())
    assert re.search(r"LOST, more may be: business\.db-wal is gone, .* What stood behind position 4 in that log", said)
    assert "SOME RECORDS MAY BE LOST HERE" in said
    assert "Not all of its receipts" not in said
    Path(f"{state.business.db}-wal").write_bytes(log)
    assert "LOST" not in export_machine(state, tmp_path / "again", HandClock())


def test_receipts_that_the_file_holds_go_along_without_its_log(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.say("a1", "a2", deliver=True)
    station.engine.dispose()
    receipts = re.compile(r"\(business\), to position \d+: \d+ records, (\d+) receipts")
    whole = export_machine(station.state, tmp_path / "whole", HandClock())
    lose_log(station.state.business.db)
    without = export_machine(station.state, tmp_path / "without", HandClock())
    assert receipts.findall(without) == receipts.findall(whole) != ["0"]


def test_of_a_journal_that_is_gone_beside_its_log_both_are_named(tmp_path: Path) -> None:
    state = enrolled(tmp_path / "edge")
    assert "wal" not in str(gone(state.business.db.with_name("none.db")))
    Path(f"{state.business.db}-wal").write_bytes(b"committed")
    shutil.move(state.business.db, tmp_path)
    said = str(gone(state.business.db))
    assert "business.db-wal beside it may hold what was committed: keep that, and put business.db back" in said
    assert "suozhan-edge export FILE, then" in said
