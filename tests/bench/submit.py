"""One durable transaction, straight into the journal and through the door, against one FULL commit."""

from __future__ import annotations

import asyncio
import http.client
import json
import statistics
import time
from pathlib import Path
from random import Random

from deploy.demo.city import Machine
from edge.drafts import Draft
from tests.bench.bodies import body
from tests.bench.figures import Figure
from tests.bench.floors import commit_seconds
from tests.bench.prefilled import open_journal, prepare

SUBMISSIONS = 1_000
THROUGHPUT = 4_000
CALLERS = (1, 8, 64)
ROW_BYTES = 400


async def _journal(machine: Machine, name: str) -> tuple[list[float], dict[int, float]]:
    random = Random(11)
    async with open_journal(machine) as journal:
        took = []
        for number in range(SUBMISSIONS):
            draft = Draft(f"{name}-{number}", "transaction", body(random))
            began = time.perf_counter()
            await journal.submit(draft)
            took.append(time.perf_counter() - began)
        rates = {}
        for callers in CALLERS:
            async def caller(which: int, callers: int = callers) -> None:
                for number in range(THROUGHPUT // callers):
                    await journal.submit(Draft(f"{name}-{callers}-{which}-{number}", "transaction", body(random)))

            began = time.perf_counter()
            await asyncio.gather(*[caller(which) for which in range(callers)])
            rates[callers] = THROUGHPUT / (time.perf_counter() - began)
    return sorted(took), rates


def _door(machine: Machine, name: str) -> list[float]:
    token = machine.counter._token
    connection = http.client.HTTPConnection("127.0.0.1", machine.door_port)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    took = []
    for number in range(SUBMISSIONS):
        text = json.dumps({
            "id": f"{name}-{number}", "item": "003-01", "channel": "counter", "operator": "李芳",
            "resident": {"name": "王秀英", "id_number": "11010519491231002X"}, "documents": ["resident-id-card"]})
        began = time.perf_counter()
        connection.request("POST", "/v1/transactions", text, headers)
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - began)
        assert answer.status == 201, answer.status
    connection.close()
    return sorted(took)


def submit(folder: Path, runs: int) -> dict[str, Figure]:
    """Floor, journal and door in turn."""
    hub, machine = prepare(folder)
    samples: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        samples.setdefault(name, []).append(value)

    for run in range(runs):
        floor = commit_seconds(folder / "floor.db", SUBMISSIONS, ROW_BYTES)
        took, rates = asyncio.run(_journal(machine, f"j{run}"))
        hub.service.start()
        machine.service.start()
        machine.pair()
        machine.wait_for("catalogue", catalogue=True, queued=0)
        door = _door(machine, f"d{run}")
        machine.service.stop()
        hub.service.stop()
        for name, values in (("floor", floor), ("journal", took), ("door", door)):
            note(f"{name}_p50", values[len(values) // 2] * 1e6)
            note(f"{name}_p99", values[len(values) * 99 // 100] * 1e6)
        for callers, rate in rates.items():
            note(f"rate_{callers}", rate)
    middle = {name: statistics.median(values) for name, values in samples.items()}
    figures = {f"submit_{way}_{place}": Figure(middle[f"{way}_{place}"], "µs", middle[f"floor_{place}"])
               for way in ("journal", "door") for place in ("p50", "p99")}
    return figures | {f"submit_{callers}_callers": Figure(middle[f"rate_{callers}"], "records/s", middle["rate_1"])
                      for callers in CALLERS}
