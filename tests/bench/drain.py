"""100,000 transactions from a full journal to the hub's last commit: two processes, mutual TLS, sealed, signed, fsync."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import statistics
import time
from pathlib import Path
from random import Random

import psutil

import security.sealing
from deploy.demo.city import Hub, Machine
from edge.drafts import Draft
from edge.identity import load_identity
from edge.journal import Journal, JournalLimits
from edge.state import StateFolder
from hub.ledger.writer import COMMIT_MAX_RECORDS
from security.clock import SystemClock
from security.signer import Ed25519Signer
from tests.bench.bodies import body
from tests.bench.figures import Figure
from tests.bench.floors import rows_per_second

FLOOR_ROWS_A_COMMIT = (500, COMMIT_MAX_RECORDS)
TCP_HEADER_BYTES = 40  # IPv4 and TCP of each full segment; acknowledgements ride on data
SEGMENT_BYTES = 1448
POLL_S = 0.005
DRAIN_MAX_S = 300.0


def prepare(folder: Path) -> tuple[Hub, Machine]:
    """A hub and an enrolled machine, both stopped."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    hub = Hub(folder)
    hub.init()
    hub.command("site", "add", "A01", "--name", "古魏镇服务所", "--kind", "office")
    hub.command("catalogue", "publish")
    hub.service.start()
    machine = Machine(folder, hub, "A01", "窗口1")
    (folder / "readers").mkdir()
    machine.enrol("simulated", folder / "readers", {})
    hub.service.stop()
    return hub, machine


async def fill(machine: Machine, count: int) -> None:
    """Through the journal itself, as the door would."""
    state = StateFolder(machine.state)
    identity = load_identity(state.identity)
    random = Random(7)
    journal = Journal(state.journal, Ed25519Signer.load(state.record_key), bytes.fromhex(identity.hub_sealing_key),
                      SystemClock(), JournalLimits(reserve_bytes=0))
    async with journal:
        for start in range(0, count, 1_000):
            await asyncio.gather(*[journal.submit(Draft(f"b{number}", "transaction", body(random)))
                                   for number in range(start, min(start + 1_000, count))])


def _ledger_size(hub: Hub) -> int:
    database = sqlite3.connect(f"file:{hub.state / 'hub.db'}?mode=ro", uri=True)
    try:
        return int(database.execute("SELECT size FROM ledger_head").fetchone()[0])
    finally:
        database.close()


def _stored_bytes(hub: Hub) -> int:
    database = sqlite3.connect(f"file:{hub.state / 'hub.db'}?mode=ro", uri=True)
    sizes = database.execute("SELECT avg(length(payload) + length(signature) + length(digest) + length(leaf) + 24) "
                             "FROM entries").fetchone()
    database.close()
    return int(sizes[0])


def one_run(hub: Hub, machine: Machine, count: int) -> dict[str, float]:
    """From the edge's start to the hub's last commit; the clock starts when the first records are committed."""
    hub.service.start()
    before = _ledger_size(hub)
    machine.service.start()
    hub_process, edge_process = psutil.Process(hub.service.pid), psutil.Process(machine.service.pid)
    cpu = sum(hub_process.cpu_times()[:2]), sum(edge_process.cpu_times()[:2])
    until = time.monotonic() + DRAIN_MAX_S
    began, first = 0.0, 0
    while (size := _ledger_size(hub)) < before + count:
        now = time.perf_counter()
        if size > before and not began:
            began, first = now, size
        if time.monotonic() > until:
            raise TimeoutError(f"{size - before} of {count} records arrived in {DRAIN_MAX_S:.0f} s; read {hub.log}")
        time.sleep(POLL_S)
    seconds = time.perf_counter() - began
    result = {
        "rate": (before + count - first) / seconds,
        "hub_cpu": sum(hub_process.cpu_times()[:2]) - cpu[0], "edge_cpu": sum(edge_process.cpu_times()[:2]) - cpu[1],
        "hub_rss": _peak_mb(hub_process.pid), "edge_rss": _peak_mb(edge_process.pid),
        "wire": machine.line.bytes_relayed / count,
    }
    machine.service.stop()
    hub.service.stop()
    return result


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


def drain(folder: Path, runs: int, count: int) -> dict[str, Figure]:
    """Runs and floors in turn, on copies of one full journal. One warm-up run tells the stored size."""
    hub, machine = prepare(folder)
    asyncio.run(fill(machine, count))
    saved = folder / "saved"
    _copy(hub.state, saved / "hub")
    _copy(machine.state, saved / "edge")
    results, floors = [], []
    for number in range(runs + 1):
        _copy(saved / "hub", hub.state)
        _copy(saved / "edge", machine.state)
        machine.line.bytes_relayed = 0
        os.sync()
        result = one_run(hub, machine, count)
        stored = _stored_bytes(hub)
        floor = max(rows_per_second(folder / "floor.db", count, stored, size) for size in FLOOR_ROWS_A_COMMIT)
        print(f"drain {number}: {result['rate']:,.0f}/s, floor {floor:,.0f}/s, ratio {result['rate'] / floor:.2f}")
        if number:
            results.append(result)
            floors.append(floor)

    def median(name: str) -> float:
        return statistics.median(one[name] for one in results)

    wire = median("wire")
    return {
        "drain": Figure(median("rate"), "records/s", statistics.median(floors)),
        "drain_hub_cpu": Figure(median("hub_cpu"), "s"), "drain_edge_cpu": Figure(median("edge_cpu"), "s"),
        "drain_hub_peak": Figure(median("hub_rss"), "MB"), "drain_edge_peak": Figure(median("edge_rss"), "MB"),
        "stored_bytes": Figure(stored, "B/record"),
        "wire_bytes": Figure(wire + wire / SEGMENT_BYTES * TCP_HEADER_BYTES, "B/record"),
    }


def wire_without_dictionary(folder: Path, count: int) -> dict[str, Figure]:
    """The same bodies, compressed each for itself."""
    hub, machine = prepare(folder)
    default = security.sealing.DataKey.__init__.__kwdefaults__
    shipped = default["dictionary"]
    default["dictionary"] = security.sealing.NO_DICTIONARY
    try:
        asyncio.run(fill(machine, count))
    finally:
        default["dictionary"] = shipped
    wire = one_run(hub, machine, count)["wire"]
    return {"wire_bytes_without_dictionary": Figure(wire + wire / SEGMENT_BYTES * TCP_HEADER_BYTES, "B/record")}
