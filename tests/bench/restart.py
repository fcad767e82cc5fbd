"""An agent with a million undelivered records: ready for new work, and how it looks when it idles."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import psutil

from tests.bench.figures import Figure
from tests.bench.prefilled import fill, prepare

IDLE_S = 20.0


def restart(folder: Path, runs: int, records: int) -> dict[str, Figure]:
    """Without a line, so that nothing is delivered meanwhile."""
    hub, machine = prepare(folder)
    hub.service.start()
    machine.service.start()
    machine.pair()
    machine.wait_for("catalogue", catalogue=True)
    time.sleep(1)
    process = psutil.Process(machine.service.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(IDLE_S)
    idle_cpu = (sum(process.cpu_times()[:2]) - before) / IDLE_S * 100
    idle_rss = process.memory_info().rss / 2**20
    machine.service.stop()
    hub.service.stop()
    fill(machine, records)
    seconds = []
    for number in range(runs):
        began = time.perf_counter()
        machine.service.start()
        status, answer = machine.counter.call("POST", "/v1/transactions", {
            "id": f"after-{number}", "item": "003-01", "channel": "counter", "operator": "李芳",
            "resident": {"name": "王秀英", "id_number": "11010519491231002X"}, "documents": ["resident-id-card"]})
        assert status == 201, answer
        seconds.append(time.perf_counter() - began)
        machine.service.stop()
    return {"restart": Figure(statistics.median(seconds), "s"), "idle_rss": Figure(idle_rss, "MB"),
            "idle_cpu": Figure(idle_cpu, "% of a core")}
