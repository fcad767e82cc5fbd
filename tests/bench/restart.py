"""An agent with a million undelivered records: ready for new work, and how it looks when it idles."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import psutil

from deploy.demo.city import Hub, Machine
from devices.simulated.folder import ReaderFolder
from tests.bench.drain import one_run, peak_mb
from tests.bench.figures import Figure
from tests.bench.prefilled import fill, prepare

IDLE_S = 20.0
SETTLE_S = 1.0
READER = "Bench Reader 00"


def restart(folder: Path, runs: int, records: int) -> dict[str, Figure]:
    """Idle beside its hub; then a backlog and no line, so that nothing is delivered meanwhile."""
    hub, machine = prepare(folder)
    ReaderFolder(folder / "readers").plug(READER)
    rss, cpu = _idle(hub, machine)
    fill(machine, records)
    seconds, peaks = [], []
    for number in range(runs):
        began = time.perf_counter()
        machine.service.start()
        status, answer = machine.counter.call("POST", "/v1/transactions", {
            "id": f"after-{number}", "item": "003-01", "channel": "counter", "operator": "李芳",
            "resident": {"name": "王秀英", "id_number": "11010519491231002X"}, "documents": ["resident-id-card"]})
        assert status == 201, answer
        seconds.append(time.perf_counter() - began)
        peaks.append(peak_mb(machine.service.pid))
        machine.service.stop()
    machine.connect_to(hub.work_port)
    drained = one_run(hub, machine, records)
    return {
        "restart": Figure(statistics.median(seconds), "s"), "restart_rss": Figure(statistics.median(peaks), "MB"),
        "restart_drain_edge_rss": Figure(drained["edge_rss"], "MB"),
        "idle_rss": Figure(rss, "MB"), "idle_cpu": Figure(cpu, "% of a core"),
    }


def _idle(hub: Hub, machine: Machine) -> tuple[float, float]:
    hub.service.start()
    machine.service.start()
    machine.pair()
    machine.wait_for("catalogue", catalogue=True)
    time.sleep(SETTLE_S)
    process = psutil.Process(machine.service.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(IDLE_S)
    cpu = (sum(process.cpu_times()[:2]) - before) / IDLE_S * 100
    rss = process.memory_info().rss / 2**20
    machine.service.stop()
    hub.service.stop()
    return rss, cpu
