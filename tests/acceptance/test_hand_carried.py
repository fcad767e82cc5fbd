"""A machine that no longer reaches the line: its records go to the hub in a file, and it comes back later, with real commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo.city import Hub, Machine
from deploy.demo.processes import CHECKOUT, DemoFailed, command
from tests.acceptance.test_rejoin import _approve, _check, _ledger, _say, _settled, _until
from tests.hub.commands import command_here


def _import(hub: Hub, file: Path, code: int = 0) -> str:
    arguments = ["--state", str(hub.state), "import", str(file), "--by", "周敏", "--reason", "线路中断"]
    done = subprocess.run([sys.executable, "-m", "hub.command", *arguments], cwd=CHECKOUT, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_damaged_machine_without_a_line_delivers_by_hand_and_comes_back_on_line(
        hub: Hub, machine: Machine, tmp_path: Path) -> None:
    """Invariants 2, 3, 5 and 11: a damaged journal, a successor that the hub has never heard of, a hub that runs meanwhile."""
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    records = _say(machine, "a1")
    machine.wait_for("delivery", queued=0)
    hub.service.stop()  # for the machine, the line is gone
    records += _say(machine, *[f"b{number}" for number in range(40)])
    with pytest.raises(DemoFailed, match="stop it first"):
        command("edge", machine.state, "export", str(tmp_path / "file"))
    machine.service.stop()
    with (machine.state / "journals" / "business.db").open("r+b") as journal:
        journal.write(b"\0" * 100)  # the first page: without it SQLite reads nothing at all
    machine.service.start()
    records += _say(machine, "c1", "c2")
    machine.service.stop()

    file = tmp_path / "file"
    told = command("edge", machine.state, "export", str(file))
    assert "of 4 journals" in told
    assert "LOST" not in told

    # By hand, into a hub that runs; the key that it has never seen waits for a person.
    hub.service.start()
    told = _import(hub, file, code=2)
    assert "request 1 waits" in told
    _check(hub, records[:-2])
    _approve(hub, 1)
    assert "All of the file has arrived." in _import(hub, file)
    _check(hub, records)
    assert re.search(r"0 were appended", _import(hub, file))

    # The line is back: the machine rejoins with the keys that are known here already, and says nothing twice.
    machine.service.start()
    _until(lambda: "rejoin" in command_here(hub.state, "approvals"))
    _approve(hub, 2)
    _until(lambda: _settled(machine))
    records += _say(machine, "d1")
    machine.wait_for("delivery", queued=0)
    _check(hub, records)
    assert len(_ledger(hub.reader())) == len(records)


def test_a_stopped_machine_in_order_delivers_by_hand_and_goes_on(hub: Hub, machine: Machine, tmp_path: Path) -> None:
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    records = _say(machine, "a1")
    machine.wait_for("delivery", queued=0)
    machine.line.cut()
    machine.wait_for("the cut", connected=False)
    records += _say(machine, "b1", "b2")
    machine.service.stop()
    command("edge", machine.state, "export", str(tmp_path / "file"))
    assert "All of the file has arrived." in _import(hub, tmp_path / "file")
    _check(hub, records)
    changed = tmp_path / "changed"
    data = bytearray((tmp_path / "file").read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    refused = _import(hub, changed, code=1)
    assert "nothing was taken" in refused
    assert len(refused.splitlines()) == 1
    machine.line.restore()
    machine.service.start()
    machine.wait_for("delivery", connected=True, queued=0)
    records += _say(machine, "c1")
    machine.wait_for("delivery", queued=0)
    _check(hub, records)
