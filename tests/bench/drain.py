"""100,000 transactions from a full journal to the hub's last commit: two processes, mutual TLS, sealed, signed, fsync."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil

from deploy.demo.city import Hub, Machine
from hub.ledger.writer import COMMIT_MAX_RECORDS
from tests.bench.figures import Figure
from tests.bench.floors import rows_per_second
from tests.bench.prefilled import Saved, fill, prepare

FLOOR_ROWS_A_COMMIT = (500, COMMIT_MAX_RECORDS)
POLL_S = 0.002
DRAIN_MAX_S = 60.0
_ESTABLISHED = "01"


def one_run(hub: Hub, machine: Machine, count: int) -> dict[str, float]:
    """The clock starts when the edge's connection stands, before its TLS handshake, and ends at the last commit."""
    hub.service.start()
    with closing(sqlite3.connect(f"file:{hub.state / 'hub.db'}?mode=ro", uri=True)) as ledger, \
            ThreadPoolExecutor(1) as starting:
        wanted = _size(ledger) + count
        started = starting.submit(machine.service.start)
        _wait(lambda: _connected(hub.work_port))
        began = time.perf_counter()
        hub_process, edge_process = psutil.Process(hub.service.pid), psutil.Process(machine.service.pid)
        cpu = _cpu(hub_process), _cpu(edge_process)
        _wait(lambda: _size(ledger) >= wanted)
        seconds = time.perf_counter() - began
        started.result()
        result = {
            "rate": count / seconds, "stored": _stored_bytes(ledger),
            "hub_cpu": _cpu(hub_process) - cpu[0], "edge_cpu": _cpu(edge_process) - cpu[1],
            "hub_rss": peak_mb(hub_process.pid), "edge_rss": peak_mb(edge_process.pid),
        }
    machine.service.stop()
    hub.service.stop()
    return result


def _wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + DRAIN_MAX_S
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not drained in {DRAIN_MAX_S:.0f} s; read the logs in the work folder")
        time.sleep(POLL_S)


def _connected(port: int) -> bool:
    lines = [line for name in ("tcp", "tcp6")  # gRPC listens on mapped addresses, too
             for line in Path(f"/proc/net/{name}").read_text(encoding="ascii").splitlines()[1:]]
    return any(local.endswith(f":{port:04X}") and state == _ESTABLISHED
               for local, _, state in (line.split()[1:4] for line in lines))


def _size(ledger: sqlite3.Connection) -> int:
    return int(ledger.execute("SELECT size FROM ledger_head").fetchone()[0])


def _stored_bytes(ledger: sqlite3.Connection) -> int:
    """What is stored of a record, without the database's own overhead."""
    query = """SELECT sum(40 + length(sizes) + length(digests) + length(leaves) + length(signatures) + length(payloads))
               / sum(count) FROM runs"""
    return int(ledger.execute(query).fetchone()[0])


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def peak_mb(pid: int) -> float:
    """Peak resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def drain(folder: Path, runs: int, count: int) -> dict[str, Figure]:
    """Runs and floors in turn, on copies of one full journal, after one run to warm up."""
    hub, machine = prepare(folder)
    machine.connect_to(hub.work_port)  # not through the counting line, which takes its share of the machine
    fill(machine, count)
    saved = Saved(folder, hub, machine)
    results = []
    for number in range(runs + 1):
        saved.restore()
        result = one_run(hub, machine, count)
        result["floor"] = max(rows_per_second(folder / "floor.db", count, int(result["stored"]), size)
                              for size in FLOOR_ROWS_A_COMMIT)
        print(f"drain {number}: {result['rate']:,.0f}/s, floor {result['floor']:,.0f}/s, "
              f"ratio {result['rate'] / result['floor']:.2f}, hub {result['hub_cpu']:.2f} s, "
              f"edge {result['edge_cpu']:.2f} s", flush=True)
        results += [result] if number else []

    def median(name: str) -> float:
        return statistics.median(one[name] for one in results)

    return {
        "drain": Figure(median("rate"), "records/s", median("floor")),
        "drain_hub_cpu": Figure(median("hub_cpu"), "s"), "drain_edge_cpu": Figure(median("edge_cpu"), "s"),
        "drain_hub_rss": Figure(median("hub_rss"), "MB"), "drain_edge_rss": Figure(median("edge_rss"), "MB"),
        "drain_stored": Figure(median("stored"), "B/record"),
    }
