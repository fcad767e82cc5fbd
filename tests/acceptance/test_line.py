"""A pulled cable: nobody tells the agent, and it has to notice by itself."""

from __future__ import annotations

import time

from deploy.demo.city import Hub, Machine

NOTICE_MAX_S = 5.0


def test_a_silent_cut_is_noticed_within_five_seconds_and_heals_by_itself(hub: Hub, machine: Machine) -> None:
    machine.service.start()
    machine.pair()
    machine.wait_for("connection", connected=True, catalogue=True)
    machine.line.freeze()
    began = time.monotonic()
    machine.wait_for("notice of the cut", connected=False)
    noticed = time.monotonic() - began
    assert noticed <= NOTICE_MAX_S
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
