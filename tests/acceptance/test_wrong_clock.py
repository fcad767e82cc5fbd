"""A machine that boots in 1970: it takes work, learns the time that the hub signed, and reconnects when its clock is set."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.city import Hub, Machine
from deploy.demo.processes import Service, command

SOURCE = Path(__file__).with_name("clock_shift.c")
BACK_MAX_S = 15  # left alone, it may ask again after twenty
TRANSACTION = {
    "item": "003-01", "channel": "counter", "operator": "李芳", "documents": ["resident-id-card"],
    "resident": {"name": "王秀英", "id_number": "11010519491231002X"}}


@pytest.fixture
def shift(tmp_path: Path, machine: Machine) -> Iterator[Path]:
    """The file that moves this machine's clock."""
    library, shift = tmp_path / "clock_shift.so", tmp_path / "shift"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"], check=True)
    _set(shift, 0)
    machine.service = Service("edge", machine.state, machine.log, {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)})
    yield shift
    machine.stop()


def _set(shift: Path, seconds: int) -> None:
    beside = shift.with_suffix(".new")
    beside.write_text(str(seconds))
    beside.replace(shift)


def _wait_for(machine: Machine, diagnosis: str) -> str:
    """Its hint for the counter."""
    until = time.monotonic() + 60
    while (line := machine.status()["line"])["diagnosis"] != diagnosis:
        assert time.monotonic() < until, line
        time.sleep(0.2)
    return str(line["hint"])


def test_a_clock_that_begins_in_1970_is_found_out_and_set(hub: Hub, machine: Machine, shift: Path) -> None:
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    machine.service.stop()
    _set(shift, 60 - int(time.time()))
    machine.service.start()
    hint = _wait_for(machine, "wrong-clock")
    assert time.strftime("%Y-%m-%d", time.gmtime()) in hint
    status, _ = machine.counter.call("POST", "/v1/transactions", {"id": "in-1970", **TRANSACTION})
    assert status == 201
    state = machine.status()
    assert state["queued"] >= 1
    assert state["line"]["state"] == "unreachable"
    said = command("edge", machine.state, "status")
    assert "this machine's clock is wrong: it says 1970-01-01" in said
    assert "generation 0" in said
    _set(shift, 0)
    began = time.monotonic()
    machine.wait_for("return", connected=True, queued=0)
    assert time.monotonic() - began < BACK_MAX_S
    _wait_for(machine, "connected")
    assert "Traceback" not in machine.log.read_text(encoding="utf-8")


def test_a_clock_that_jumps_ten_years_ahead_under_way_neither_renews_nor_loses_the_open_line(
        hub: Hub, machine: Machine, shift: Path) -> None:
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    ends_ms = machine.status()["certificate_ends_ms"]
    _set(shift, 10 * 365 * 24 * 3600)
    time.sleep(2)
    assert machine.status()["line"]["state"] == "connected"
    machine.line.cut()
    machine.line.restore()
    _wait_for(machine, "wrong-clock")
    _set(shift, 0)
    machine.wait_for("return", connected=True)
    assert machine.status()["certificate_ends_ms"] == ends_ms
