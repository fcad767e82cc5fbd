"""A journal that does not open on a disk that is full: the counter's door is open and says so, until a successor can be begun."""

from __future__ import annotations

import asyncio
import re
import socket
import sqlite3
from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

import edge.reopening
import edge.successors
from edge.alarms import Alarms
from edge.assembly import run_edge
from edge.command import app
from edge.drafts import JournalBusy, JournalStopped, JournalUnreadable
from edge.no_journal import NoJournal
from edge.reopening import pauses_s
from edge.state import IdentityFolder, StateFolder
from edge.succession import SuccessionRefused, begin
from edge.successors import Successors
from security.clock import SystemClock
from tests.edge.machine import enrolled, fill
from tests.spine import CEILING_S, draft


def _with_a_port(state: StateFolder) -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    state.config.write_text(state.config.read_text(encoding="utf-8").replace("door_port = 0", f"door_port = {port}"))
    return port


async def _metrics(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


def test_the_door_is_open_until_a_successor_can_be_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = enrolled(tmp_path / "edge")
    port = _with_a_port(state)
    state.business.db.write_bytes(bytes(8192))
    trouble: list[Exception] = [OSError(28, "No space left on device"), sqlite3.OperationalError("disk is full"),
                                SuccessionRefused("too many")]
    freed = asyncio.Event()

    def begin_once_freed(state: StateFolder, reason: str) -> IdentityFolder:
        if freed.is_set():
            return begin(state, reason)
        raise trouble[0] if len(trouble) == 1 else trouble.pop(0)

    monkeypatch.setattr(edge.successors, "begin", begin_once_freed)
    monkeypatch.setattr(edge.reopening, "REOPEN_S", 0.01)

    async def scenario() -> None:
        ready = asyncio.Event()
        async with asyncio.timeout(CEILING_S):
            agent = asyncio.create_task(run_edge(state, SystemClock(), ready.set))
            await asyncio.wait([agent, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
            assert "suozhan_edge_alarms 1.0" in await _metrics(port)
            while len(trouble) > 1:
                await asyncio.sleep(0.01)
            assert len(state.identities()) == 1
            freed.set()
            while not state.current.known.exists():  # the successor is at work
                await asyncio.sleep(0.01)
            agent.cancel()
            await asyncio.wait([agent])

    asyncio.run(scenario())
    assert len(state.identities()) == 2


def test_a_successor_that_a_moments_error_kept_away_is_there_within_a_second(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counter takes nothing meanwhile; a disk that stays full is left alone for longer."""
    state, tries = enrolled(tmp_path / "edge"), [OSError(5, "Input/output error")]

    def begin_after_one_error(state: StateFolder, reason: str) -> IdentityFolder:
        if tries:
            raise tries.pop()
        return begin(state, reason)

    monkeypatch.setattr(edge.successors, "begin", begin_after_one_error)

    async def scenario() -> None:
        async with asyncio.timeout(15.0):  # a disk that stays full is left alone for 30
            await Successors(state, Alarms(state.alarms, SystemClock())).until_begun("a damaged page")

    asyncio.run(scenario())
    assert len(state.identities()) == 2
    assert list(islice(pauses_s(), 8)) == [0.5, 1, 2, 4, 8, 16, 30, 30]


def _make_unopenable(state: StateFolder) -> Path:
    """SQLite cannot begin its log, as on a disk without a free byte."""
    blocked = Path(f"{state.business.db}-wal")
    blocked.mkdir()
    return blocked


def test_the_door_is_open_while_a_whole_journal_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a disk that is full: nobody begins a new journal for that, and the old one goes on once there is room."""
    state = enrolled(tmp_path / "edge")
    port = _with_a_port(state)
    fill(state, 3)
    blocked = _make_unopenable(state)
    monkeypatch.setattr(edge.reopening, "REOPEN_S", 0.01)

    async def scenario() -> None:
        ready = asyncio.Event()
        async with asyncio.timeout(CEILING_S):
            agent = asyncio.create_task(run_edge(state, SystemClock(), ready.set))
            await asyncio.wait([agent, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
            assert "suozhan_edge_journal_queued_records 0.0" in await _metrics(port)
            await asyncio.sleep(0.1)
            assert not agent.done()
            blocked.rmdir()
            while "suozhan_edge_journal_queued_records 4.0" not in await _metrics_or_nothing(port):
                await asyncio.sleep(0.05)
            agent.cancel()
            await asyncio.wait([agent])

    asyncio.run(scenario())
    assert len(state.identities()) == 1


async def _metrics_or_nothing(port: int) -> str:
    try:
        return await _metrics(port)
    except OSError:
        return ""  # between two doors


def test_a_journal_that_does_not_open_now_is_told_as_busy_with_what_to_do() -> None:
    none = NoJournal.unopened("disk I/O error")
    for said in (none.submit(draft("a")), none.find("a"), none.repeat("a", "transaction", b"")):
        with pytest.raises(JournalBusy, match="I/O") as refused:
            asyncio.run(said)
        assert "腾出磁盘空间" in refused.value.hint
    assert none.diagnosis.kind == "journal-unopened"
    assert "腾出磁盘空间" in none.diagnosis.chinese


def test_status_says_that_a_journal_cannot_be_read_now(tmp_path: Path) -> None:
    state = enrolled(tmp_path / "edge")
    _make_unopenable(state)
    told = CliRunner().invoke(app, ["--state", str(state.root), "status"])
    assert isinstance(told.exception, JournalUnreadable)
    assert re.search(r"cannot be read now .*; \d+ bytes are free on its disk. Make room", str(told.exception))


def test_nothing_is_taken_without_a_journal(tmp_path: Path) -> None:
    """Invariant 1."""
    none = NoJournal.ended(f"{tmp_path} is damaged")
    for said in (none.submit(draft("a")), none.find("a"), none.repeat("a", "transaction", b"")):
        with pytest.raises(JournalStopped, match="is damaged"):
            asyncio.run(said)
    assert "make room" in none.diagnosis.english
    assert "市信息中心" in none.diagnosis.chinese
