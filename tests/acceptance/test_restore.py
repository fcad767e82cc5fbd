"""A hub that comes back from a backup, by its commands and with a real machine (invariants 2, 3 and 6)."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.demo.city import Hub, Machine
from deploy.demo.processes import Caller, DemoFailed, command
from edge.receipt_store import ReceiptStore
from edge.state import StateFolder
from tests.hub.commands import command_here

WAIT_MAX_S = 60.0  # a machine asks again after up to 20 s, and that may meet gRPC's own pause


def _transaction(caller: str) -> dict[str, object]:
    return {"id": caller, "item": "003-01", "channel": "counter", "operator": "李芳",
            "resident": {"name": "王秀英", "id_number": "11010519491231002X"}, "documents": ["resident-id-card"]}


def _deliver(machine: Machine, *callers: str) -> None:
    for caller in callers:
        assert machine.counter.call("POST", "/v1/transactions", _transaction(caller))[0] == 201
    machine.wait_for("delivery", queued=0)


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_MAX_S
    while not condition():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.2)


def _receipts(machine: Machine) -> list[tuple[int, int]]:
    """(epoch, position) of each, in order."""
    store = ReceiptStore(StateFolder(machine.state).current.business.db)
    return sorted((one.epoch, one.position) for one in store.after(0))


def _items(reader: Caller) -> int:
    return len(reader.call("GET", "/v1/sites/A01/ledger?limit=1000")[1]["rows"])


def _start(machine: Machine) -> None:
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)


def test_a_restored_hub_says_so_and_gets_again_what_its_machines_hold(hub: Hub, machine: Machine, tmp_path: Path) -> None:
    _start(machine)
    _deliver(machine, "a1", "a2")
    backup = tmp_path / "backup.db"
    hub.command("backup", str(backup))
    _deliver(machine, "b1", "b2")
    hub.command("catalogue", "publish")  # a version that the backup does not know
    _until(lambda: (1, 5) in _receipts(machine))  # position 1 is the data key
    with pytest.raises(DemoFailed, match="stop it first"):
        hub.command("restore", str(backup), "--by", "周敏", "--reason", "disk failure")
    hub.service.stop()
    with pytest.raises(DemoFailed, match="--by and --reason"):
        hub.command("restore", str(backup), "--by", " ", "--reason", "x")
    said = hub.command("restore", str(backup), "--by", "周敏", "--reason", "disk failure")
    assert said.startswith("Epoch 2 has ")
    assert list(hub.state.glob("before-restore-*-hub.db"))
    hub.service.start()
    machine.wait_for("connection", connected=True)
    reader = hub.reader()
    _until(lambda: _items(reader) == 4)
    _deliver(machine, "c1")
    _until(lambda: _receipts(machine)[-1][0] == 2)
    assert "hub-restored" in command("edge", machine.state, "alarms")
    hub.command("catalogue", "publish")
    _until(lambda: "catalogue" in str(reader.call("GET", "/v1/edges")[1]) and "2." in str(
        reader.call("GET", "/v1/edges")[1][0]["resources"]))
    assert " 0 of them damage" in command_here(hub.state, "verify")
    assert "No open alarms" in command_here(hub.state, "alarms")


def test_a_database_that_was_put_back_by_hand_is_noticed_and_signs_nothing_until_somebody_says_so(
        hub: Hub, machine: Machine, tmp_path: Path) -> None:
    _start(machine)
    _deliver(machine, "a1")
    backup = tmp_path / "backup.db"
    hub.command("backup", str(backup))
    _deliver(machine, "b1")
    _until(lambda: (1, 3) in _receipts(machine))  # so the hub has signed what the backup lacks
    hub.service.stop()
    for ending in ("", "-wal", "-shm"):
        (hub.state / f"hub.db{ending}").unlink(missing_ok=True)
    shutil.copy(backup, hub.state / "hub.db")
    mark = (hub.state / "high-water.note").read_bytes()
    hub.service.start()  # records go on
    reader = hub.reader()
    _until(lambda: _items(reader) == 2)
    _until(lambda: "log-halted" in command_here(hub.state, "alarms"))
    assert (hub.state / "high-water.note").read_bytes() == mark
    hub.service.stop()
    assert hub.command("reopen", "--by", "周敏", "--reason", "put back by hand").startswith("Epoch 2")
    hub.service.start()
    _until(lambda: bool(_receipts(machine)) and _receipts(machine)[-1][0] == 2)
    assert " 0 of them damage" in command_here(hub.state, "verify")


@pytest.mark.timeout(240)
def test_a_machine_that_the_backup_does_not_know_works_on_and_a_revoked_one_does_not(
        hub: Hub, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The hub's own decisions are sent again by nobody: it keeps them beside the database."""
    hub.command("backup", str(tmp_path / "before.db"))
    machine: Machine = request.getfixturevalue("machine")
    _start(machine)
    _deliver(machine, "a1")  # which it keeps: it is in no backup
    hub.service.stop()
    said = hub.command("restore", str(tmp_path / "before.db"), "--by", "周敏", "--reason", "disk failure")
    assert "of site A01 is enrolled" in said
    hub.service.start()
    reader = hub.reader()
    _until(lambda: _items(reader) == 1)
    _deliver(machine, "b1")
    assert "certificate-adopted" in command_here(hub.state, "alarms")
    hub.command("backup", str(tmp_path / "after.db"))
    edge = reader.call("GET", "/v1/edges")[1][0]["edge"]
    hub.command("revoke", edge, "--by", "李芳", "--reason", "stolen")
    hub.service.stop()
    said = hub.command("restore", str(tmp_path / "after.db"), "--by", "周敏", "--reason", "once more")
    assert f"machine {edge} is revoked, by 李芳: stolen" in said
    hub.service.start()
    _until(lambda: machine.status()["line"]["diagnosis"] == "revoked")
