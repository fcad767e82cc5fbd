"""A pulled cable: nobody tells the agent, and it has to notice by itself."""

from __future__ import annotations

import time

from deploy.demo.city import Hub, Machine
from edge.channel import KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS
from tests.bench.prefilled import fill

NOTICE_MAX_MS = 5_000
NOTICED_MAX_S = 15.0  # on a machine that stands still, too; without the keepalive it takes minutes
SLOW_BYTES_A_SECOND = 16_000
BACKLOG = 600
STREAMS = 3
WAIT_MAX_S = 60.0


def _connected(machine: Machine) -> int:
    """How often a stream came to be so."""
    return machine.log.read_text(encoding="utf-8").count("state=connected")


def test_a_silent_cut_is_noticed_within_five_seconds_and_heals_by_itself(hub: Hub, machine: Machine) -> None:
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    machine.line.freeze()
    began = time.monotonic()
    machine.wait_for("notice of the cut", connected=False)
    noticed = time.monotonic() - began
    assert noticed <= NOTICED_MAX_S
    assert KEEPALIVE_MS + KEEPALIVE_TIMEOUT_MS < NOTICE_MAX_MS
    status, _ = machine.counter.call("POST", "/v1/transactions", {
        "id": "offline", "item": "003-01", "channel": "counter", "operator": "李芳",
        "resident": {"name": "王秀英", "id_number": "11010519491231002X"}, "documents": ["resident-id-card"]})
    assert status == 201
    machine.line.restore()
    machine.wait_for("healing", connected=True, queued=0)


def test_a_hub_that_restarts_is_found_again(hub: Hub, machine: Machine) -> None:
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    hub.service.kill()
    machine.wait_for("notice", connected=False)
    hub.service.start()
    machine.wait_for("return", connected=True)


def test_a_slow_line_is_not_taken_for_a_cut_one(hub: Hub, machine: Machine) -> None:
    """A morning's work over 128 kbit/s: it takes its time, and is sent once."""
    fill(machine, BACKLOG)
    machine.line.slow_down(SLOW_BYTES_A_SECOND)
    machine.service.start()
    machine.pair()
    machine.wait_for("delivery", connected=True, queued=0)
    until = time.monotonic() + WAIT_MAX_S
    while _connected(machine) < STREAMS and time.monotonic() < until:
        time.sleep(0.1)
    assert _connected(machine) == STREAMS
    assert machine.line.bytes_relayed < 2 * BACKLOG * 300
