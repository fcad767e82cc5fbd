"""A machine that enrolled before it had a journal of events has one as soon as it has a line; nobody visits it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import pytest

import edge.enrol
from deploy.demo.city import Hub, Machine
from edge.alarms import Alarms
from edge.identity import load_identity
from edge.state import IdentityFolder, StateFolder
from hub.ledger.reader import LedgerReader
from security.clock import SystemClock
from security.record import parse_record

WAIT_MAX_S = 60.0


def _of_before(journals: Mapping[str, UUID]) -> dict[str, str]:
    return {"journal": str(journals["business"]), "events": ""}


def _kinds(hub: Hub, journal: UUID) -> list[str]:
    with LedgerReader(hub.state / "hub.db") as ledger:
        return [parse_record(one.payload).kind for one in ledger.feed(0, 10**6, 10**9) if one.journal == journal]


def test_a_machine_from_before_gets_its_second_journal_over_the_line(
        hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.service.start()
    machine = Machine(tmp_path, hub, "A01", "窗口9")
    state = StateFolder(machine.state)
    with monkeypatch.context() as before:
        before.setattr(IdentityFolder, "journals", property(lambda self: (self.business,)))
        before.setattr(edge.enrol, "named", _of_before)
        edge.enrol.enrol(state, hub.command("invite", "A01"), "窗口9")
    (tmp_path / "readers").mkdir(exist_ok=True)
    machine.configure("simulated", tmp_path / "readers", {})
    assert set(load_identity(state.identity).journals) == {"business"}
    try:
        machine.service.start()
        until = time.monotonic() + WAIT_MAX_S
        while "events" not in load_identity(state.identity).journals and time.monotonic() < until:
            time.sleep(0.1)
        events = load_identity(state.identity).journals["events"]
        Alarms(state.alarms, SystemClock()).raise_alarm("history", "what somebody has to look at", "提示")
        while "alarm" not in _kinds(hub, events) and time.monotonic() < until:
            time.sleep(0.1)
        assert "alarm" in _kinds(hub, events)
        _, known = hub.reader().call("GET", "/v1/edges")
        assert sorted(one["name"] for one in known[0]["journals"]) == ["business", "events"], json.dumps(known)
        assert "alarm" not in _kinds(hub, load_identity(state.identity).journals["business"])
    finally:
        machine.stop()
