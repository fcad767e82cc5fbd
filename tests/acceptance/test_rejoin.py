"""A machine that cannot go on with its journal: its counter goes on, a person approves, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.city import Hub, Machine
from deploy.demo.processes import Caller, DemoFailed, command
from edge.alarms import Alarms
from edge.channel import HubChannel, held_over
from edge.identity import load_identity
from edge.settlement import all_settled
from edge.state import StateFolder
from edge.tls_pair import load_pair
from hub.ledger.reader import LedgerReader
from security.clock import SystemClock
from security.durable_sqlite import open_readonly
from security.record import CarriedRecord, parse_record
from tests.hub.commands import command_here

WAIT_MAX_S = 60.0


def _transaction(caller: str) -> dict[str, object]:
    return {"id": caller, "item": "003-01", "channel": "counter", "operator": "李芳",
            "resident": {"name": "王秀英", "id_number": "11010519491231002X"}, "documents": ["resident-id-card"]}


def _say(machine: Machine, *callers: str, status: int = 201) -> list[str]:
    """The records' ids. What is answered with 503 is said again, as a counter program does it."""
    until = time.monotonic() + WAIT_MAX_S
    answers = []
    for caller in callers:
        answers.append(machine.counter.call("POST", "/v1/transactions", _transaction(caller)))
        while answers[-1][0] == 503 and time.monotonic() < until:
            time.sleep(0.1)
            answers[-1] = machine.counter.call("POST", "/v1/transactions", _transaction(caller))
    assert [answer[0] for answer in answers] == [status] * len(callers), answers
    return [answer[1]["record"] for answer in answers]


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_MAX_S
    while not condition():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.2)


def _status(machine: Machine) -> dict[str, Any]:
    try:
        return machine.status()
    except OSError:  # the door opens again in a moment, with another journal behind it
        return {"line": {"diagnosis": "", "hint": ""}, "queued": -1}


def _diagnosis(machine: Machine) -> str:
    return str(_status(machine)["line"]["diagnosis"])


def _ledger(reader: Caller) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = reader.call("GET", "/v1/sites/A01/ledger?limit=1000")[1]["rows"]
    return rows


def _approve(hub: Hub, request: int) -> None:
    command_here(hub.state, "approvals", "approve", str(request), "--by", "周敏", "--reason", "现场核实")


def _settled(machine: Machine) -> bool:
    return (StateFolder(machine.state).current.business.carried.exists() and _diagnosis(machine) == "connected"
            and _status(machine)["queued"] == 0)


def _check(hub: Hub, expected: list[str]) -> None:
    """Each transaction once, and a ledger without a finding."""
    reader = hub.reader()
    _until(lambda: len(_ledger(reader)) >= len(expected))
    time.sleep(1)  # a double would come late
    assert sorted(row["record"] for row in _ledger(reader)) == sorted(expected)
    assert " 0 of them damage" in command_here(hub.state, "verify")


def test_a_cloned_disk_is_found_out_and_both_machines_go_on_without_losing_a_transaction(
        hub: Hub, machine: Machine, tmp_path: Path) -> None:
    """Invariants 2, 3 and 5."""
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    records = _say(machine, "a1", "a2")
    machine.wait_for("delivery", queued=0)
    machine.service.stop()
    shutil.copytree(machine.state, tmp_path / "copy")
    machine.service.start()
    records += _say(machine, "b1", "b2", "b3")
    machine.wait_for("delivery", queued=0)
    machine.service.stop()

    # The copy works without a line for a while, and comes on it then.
    machine.state.rename(tmp_path / "original")
    (tmp_path / "copy").rename(machine.state)
    hub.service.stop()
    machine.service.start()
    records += _say(machine, "c1", "c2", "c3", "c4", "c5")
    hub.service.start()
    _until(lambda: _diagnosis(machine) == "rejoining" and "第 1 号" in _status(machine)["line"]["hint"])
    records += _say(machine, "d1")  # the counter never waits for the approval
    assert _say(machine, "c1", status=200) == [records[5]]  # what was said before is known
    assert "journal-forked" in command_here(hub.state, "alarms")
    _approve(hub, 1)
    _until(lambda: _settled(machine))
    _check(hub, records)
    machine.service.stop()

    # The original finds its identity revoked, and takes the same way.
    machine.state.rename(tmp_path / "copied")
    (tmp_path / "original").rename(machine.state)
    machine.service.start()
    records += _say(machine, "e1")
    _until(lambda: _diagnosis(machine) == "revoked")
    machine.service.stop()
    said = command("edge", machine.state, "rejoin", "--reason", "the disk was copied")
    assert "Request 2 waits at the hub" in said
    assert "Request 2 waits" in command("edge", machine.state, "rejoin")  # safe to repeat
    machine.service.start()
    records += _say(machine, "e2")
    _approve(hub, 2)
    _until(lambda: _settled(machine))
    _check(hub, records)
    assert "has rejoined already" in command("edge", machine.state, "rejoin")


def test_a_restored_backup_of_a_machine_goes_on_in_a_new_journal(hub: Hub, machine: Machine, tmp_path: Path) -> None:
    """Invariants 2, 3 and 5: what was written on the restored disk is carried over, what the hub holds is not doubled."""
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    records = _say(machine, "a1")
    machine.wait_for("delivery", queued=0)
    machine.service.stop()
    shutil.copytree(machine.state, tmp_path / "backup")
    machine.service.start()
    records += _say(machine, "b1", "b2", "b3", "b4")
    machine.wait_for("delivery", queued=0)
    machine.service.stop()
    shutil.rmtree(machine.state)
    (tmp_path / "backup").rename(machine.state)
    machine.service.start()
    records += _say(machine, "c1")
    _until(lambda: _diagnosis(machine) == "rejoining")
    _until(lambda: "rejoin" in command_here(hub.state, "approvals"))
    _approve(hub, 1)
    _until(lambda: _settled(machine))
    _check(hub, records)


def test_an_invitation_is_an_approval_and_serves_where_the_old_keys_are_gone(hub: Hub, machine: Machine) -> None:
    """Invariant 9."""
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    records = _say(machine, "a1")
    machine.wait_for("delivery", queued=0)
    hub.service.stop()
    records += _say(machine, "a2")
    machine.service.stop()
    (machine.state / "keys" / "tls.key").unlink()
    hub.service.start()
    plain, old = hub.command("invite", "A01"), load_identity(StateFolder(machine.state).identity).edge
    with pytest.raises(DemoFailed, match=f"suozhan-hub invite SITE --replaces {old}"):
        command("edge", machine.state, "rejoin", plain, "--reason", "the TLS key is gone")
    assert not StateFolder(machine.state).successors.exists()
    token = hub.command("invite", "A01", "--replaces", old)
    said = command("edge", machine.state, "rejoin", token, "--reason", "the TLS key is gone")
    assert said.startswith("Admitted as ")
    assert "there is nothing left to do" in command("edge", machine.state, "rejoin", token, "--reason", "the TLS key is gone")
    machine.service.start()
    _until(lambda: _settled(machine))
    _check(hub, records)


def test_a_damaged_page_stops_no_counter_and_what_is_whole_is_delivered(hub: Hub, machine: Machine) -> None:
    """Invariants 3 and 11."""
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    records = _say(machine, "a1")
    machine.wait_for("delivery", queued=0)
    hub.service.stop()
    records += _say(machine, *[f"b{number}" for number in range(60)])
    machine.service.stop()
    journal = machine.state / "journals" / "business.db"
    with journal.open("r+b") as file:
        file.write(b"\0" * 100)  # the first page: without it SQLite reads nothing at all
    machine.service.start()
    records += _say(machine, "c1")
    assert _say(machine, "b7", status=200) == [records[8]]
    hub.service.start()
    _until(lambda: "rejoin" in command_here(hub.state, "approvals"))
    _approve(hub, 1)
    _until(lambda: _settled(machine))
    _check(hub, records)
    settled = json.loads(StateFolder(machine.state).current.business.carried.read_bytes())
    assert settled["lost"] == 0
    digest = bytes.fromhex(settled["digest"])
    assert asyncio.run(_asked(machine, settled["common"], digest)) == (settled["common"], True)
    assert asyncio.run(_asked(machine, settled["common"], bytes(32))) == (settled["common"], False)


def test_a_damaged_journal_of_events_ends_in_a_successor_that_carries_both(hub: Hub, machine: Machine) -> None:
    """Invariants 2, 3 and 5: nothing is wrong with business, and its records go on with the machine."""
    state = StateFolder(machine.state)
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    records = _say(machine, "a1")
    machine.wait_for("delivery", queued=0)
    hub.service.stop()
    records += _say(machine, "b1", "b2")
    Alarms(state.alarms, SystemClock()).raise_alarm("history", "what nobody has heard of yet", "提示")
    _until(lambda: "alarm" in _kinds(state.events.db))
    machine.service.stop()
    noted = _kinds(state.events.db)
    with state.events.db.open("r+b") as file:
        file.write(b"\0" * 100)
    machine.service.start()
    records += _say(machine, "c1")
    assert _say(machine, "b1", status=200) == [records[1]]
    hub.service.start()
    _until(lambda: "rejoin" in command_here(hub.state, "approvals"))
    _approve(hub, 1)
    _until(lambda: _settled(machine) and all_settled(state, state.current))
    _check(hub, records)
    with LedgerReader(hub.state / "hub.db") as ledger:
        events = ledger.journal(load_identity(state.current.identity).journals["events"])
        contents = [parse_record(one.payload).content for one in ledger.entries(events, 0)]
    carried = [parse_record(one.payload) for one in contents if isinstance(one, CarriedRecord)]
    assert [one.kind for one in carried] == noted
    assert {one.journal for one in carried} == {events.predecessor}


def _kinds(journal: Path) -> list[str]:
    """Of the records that the hub has not acknowledged."""
    with closing(open_readonly(journal)) as db:
        rows = db.execute("SELECT payload FROM envelopes WHERE position > (SELECT position FROM standing) ORDER BY position")
        return [parse_record(payload).kind for (payload,) in rows]


async def _asked(machine: Machine, position: int, digest: bytes) -> tuple[int, bool]:
    """What the hub holds of the machine's first journal, as its agent asks it."""
    state = StateFolder(machine.state)
    identity = load_identity(state.current.identity)
    pair = load_pair(state.current, identity)
    async with HubChannel(identity.work_address, identity.root.encode(), lambda: pair) as channel:
        return await held_over(channel)(load_identity(state.identity).journals["business"], position, digest)


def test_a_second_damage_before_anybody_approved_the_first_loses_nothing_either(hub: Hub, machine: Machine) -> None:
    """Invariants 3 and 11: each identity speaks for the next, and all their journals are carried into the last."""
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    records = _say(machine, "a1")
    machine.wait_for("delivery", queued=0)
    hub.service.stop()
    records += _say(machine, "b1", "b2")
    for caller in ("c1", "d1"):
        machine.service.stop()
        with StateFolder(machine.state).current.business.db.open("r+b") as file:
            file.write(b"\0" * 100)
        machine.service.start()
        records += _say(machine, caller)
    assert len(StateFolder(machine.state).identities()) == 3
    hub.service.start()
    for request in (1, 2):
        _until(lambda request=request: f"第 {request} 号" in str(_status(machine)["line"]["hint"]))
        _approve(hub, request)
    _until(lambda: _settled(machine))
    _check(hub, records)
