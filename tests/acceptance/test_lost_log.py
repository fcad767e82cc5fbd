"""The write-ahead log of a journal or a hub is taken away or cut behind a killed program, the database beside it being whole."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from deploy.demo.city import Hub, Machine
from deploy.demo.processes import DemoFailed, command
from edge.alarms import Alarms
from edge.settlement import all_settled
from edge.state import StateFolder
from security.clock import SystemClock
from tests.hub.commands import command_here

WAIT_MAX_S = 60.0
SAVED, LOST = 40, 5


def _say(machine: Machine, *callers: str, status: int = 201) -> list[str]:
    """The records' ids. What is answered with 503 is said again, as a counter program does it."""
    return [_said(machine, caller, status) for caller in callers]


def _said(machine: Machine, caller: str, status: int) -> str:
    until = time.monotonic() + WAIT_MAX_S
    said = {"id": caller, "item": "003-01", "channel": "counter", "operator": "李芳",
            "resident": {"name": "王秀英", "id_number": "11010519491231002X"}, "documents": ["resident-id-card"]}
    while (answer := machine.counter.call("POST", "/v1/transactions", said))[0] == 503 and time.monotonic() < until:
        time.sleep(0.1)
    assert answer[0] == status, answer
    return str(answer[1]["record"])


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_MAX_S
    while not condition():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.2)


def _in_ledger(hub: Hub) -> list[str]:
    rows = hub.reader().call("GET", "/v1/sites/A01/ledger?limit=1000")[1]["rows"]
    return sorted(row["record"] for row in rows)


def _begun(machine: Machine) -> None:
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)


def _approved_and_settled(hub: Hub, machine: Machine, expected: list[str]) -> None:
    state = StateFolder(machine.state)
    _until(lambda: "rejoin" in command_here(hub.state, "approvals"))
    command_here(hub.state, "approvals", "approve", "1", "--by", "周敏", "--reason", "现场核实")
    _until(lambda: all_settled(state, state.current) and _in_ledger(hub) == sorted(expected))
    time.sleep(1)  # a double would come late
    assert _in_ledger(hub) == sorted(expected)
    assert " 0 of them damage" in command_here(hub.state, "verify")


def _killed(hub: Hub, machine: Machine) -> tuple[Path, list[str], list[str]]:
    """A machine without a line: its journal, what stands in the file of it, and what in its log alone."""
    _begun(machine)
    hub.service.stop()
    records = _say(machine, *[f"a{number}" for number in range(SAVED)])
    journal = machine.state / "journals" / "business.db"
    with closing(sqlite3.connect(journal)) as db:
        assert db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
    lost = _say(machine, *[f"b{number}" for number in range(LOST)])
    machine.service.kill()
    return journal, records, lost


def test_a_journal_whose_log_was_emptied_says_so_and_what_the_file_holds_is_delivered(hub: Hub, machine: Machine) -> None:
    """Invariants 2, 3 and 11: what is lost is not lost in silence, and nothing is written over its positions."""
    journal, records, lost = _killed(hub, machine)
    os.truncate(f"{journal}-wal", 0)
    words = "business.db-wal was cut to 0 of "
    with pytest.raises(DemoFailed, match="业务日志的部分文件被移走或清空"):
        command("edge", machine.state, "doctor")
    with pytest.raises(DemoFailed, match=words):
        command("edge", machine.state, "verify")
    before = journal.read_bytes()
    machine.service.start()
    new = _say(machine, "b0", "c1")  # of a lost one nobody knows any more
    assert new[0] not in lost
    assert _say(machine, "a7", status=200) == [records[7]]
    (told,) = [one.text for one in Alarms(machine.state / "alarms", SystemClock()).open_alarms() if one.kind == "journal-ended"]
    assert words in told
    assert "put it back from" in told
    assert "keep this file and call the city's IT desk" in told
    hub.service.start()
    _approved_and_settled(hub, machine, [*records, *new])
    assert journal.read_bytes() == before


def test_an_agent_that_was_offline_since_its_start_misses_its_log_too(hub: Hub, machine: Machine) -> None:
    """Invariant 3. Nothing but the journal itself has opened the file then: receipts come with the line."""
    _begun(machine)
    machine.service.stop()
    hub.service.stop()
    machine.service.start()
    _say(machine, "a1", "a2")
    machine.service.kill()
    Path(f"{machine.state}/journals/business.db-wal").unlink()
    with pytest.raises(DemoFailed, match=r"business\.db-wal is gone"):
        command("edge", machine.state, "verify")


def test_a_log_that_turns_up_after_the_successor_was_settled_is_delivered_by_hand(
        hub: Hub, machine: Machine, tmp_path: Path) -> None:
    """Invariants 2 and 3: beside the file that was kept it is read by whoever exports, and nothing shows twice."""
    journal, records, lost = _killed(hub, machine)
    shutil.move(f"{journal}-wal", tmp_path / "quarantine")
    machine.service.start()
    records += _say(machine, "b0", "c1")
    hub.service.start()
    _approved_and_settled(hub, machine, records)
    machine.service.stop()
    shutil.move(tmp_path / "quarantine", f"{journal}-wal")
    file = tmp_path / "file"
    assert "LOST" not in command("edge", machine.state, "export", str(file))
    for _ in range(2):
        told = command_here(hub.state, "import", str(file), "--by", "周敏", "--reason", "日志找回")
        assert "All of the file has arrived." in told
    _until(lambda: _in_ledger(hub) == sorted([*records, *lost]))
    assert " 0 of them damage" in command_here(hub.state, "verify")


def test_a_hub_that_holds_what_a_lost_log_held_is_believed(hub: Hub, machine: Machine) -> None:
    """Invariants 2 and 3."""
    _begun(machine)
    records = _say(machine, "a1", "a2", "a3")
    machine.wait_for("delivery", queued=0)
    machine.service.kill()
    Path(f"{machine.state}/journals/business.db-wal").unlink()
    machine.service.start()
    records += _say(machine, "b1")
    _approved_and_settled(hub, machine, records)


def test_a_killed_hub_whose_log_was_taken_away_does_not_start_and_does_once_it_is_back(
        hub: Hub, machine: Machine, tmp_path: Path) -> None:
    _begun(machine)
    records = _say(machine, "a1", "a2")
    machine.wait_for("delivery", queued=0)
    machine.service.stop()
    hub.service.kill()
    log = hub.state / "hub.db-wal"
    shutil.move(log, tmp_path / "quarantine")
    with pytest.raises(DemoFailed, match=r"hub\.db is not whole: hub\.db-wal is gone, with .* put it back from where it went"):
        hub.service.start()
    shutil.move(tmp_path / "quarantine", log)
    hub.service.start()
    _until(lambda: _in_ledger(hub) == sorted(records))
    assert " 0 of them damage" in command_here(hub.state, "verify")


@pytest.mark.parametrize("way", ["restore", "reopen"])
def test_a_hub_comes_back_where_its_log_is_gone_for_good(hub: Hub, machine: Machine, tmp_path: Path, way: str) -> None:
    """Invariant 5: its machines send again what it lacks then."""
    _begun(machine)
    records = _say(machine, "a1", "a2")
    machine.wait_for("delivery", queued=0)
    command_here(hub.state, "backup", str(tmp_path / "backup.db"))
    hub.service.stop()  # so the file knows the machine; of a log it would be forgotten
    hub.service.start()
    records += _say(machine, "a3")
    machine.wait_for("delivery", queued=0)
    hub.service.kill()
    (hub.state / "hub.db-wal").unlink()
    if way == "reopen":
        (hub.state / "hub.db-shm").unlink()
    file = [str(tmp_path / "backup.db")] if way == "restore" else []
    command_here(hub.state, way, *file, "--by", "周敏", "--reason", "日志丢失")
    hub.service.start()
    _until(lambda: _in_ledger(hub) == sorted(records))
