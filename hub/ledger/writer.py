"""Group commit at the hub: what comes from many edges shares one commit; nobody is answered before it (invariant 1)."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hub.ledger.append_rule import Accept
from hub.ledger.metrics import IngestMetrics
from hub.ledger.runs import Arrival
from hub.ledger.store import Appended, Ledger
from hub.outage import Outage

COMMIT_MAX_RECORDS = 8_000
WAITING_MAX_ARRIVALS = 256
MARKS_POLL_S = 2.0
QUIET_S = 0.05


class LedgerUnavailable(Exception):
    """The commit failed; the edge keeps its records and tries again."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    arrival: Arrival
    done: asyncio.Future[Appended]


class LedgerWriter:
    """The one task that appends to the ledger in this process: `await writer.append(arrival)` while `run()` runs."""

    def __init__(self, path: Path, metrics: IngestMetrics) -> None:
        self._path = path
        self._metrics = metrics
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(WAITING_MAX_ARRIVALS)
        self._marks_changed = asyncio.Event()
        self._committed_s = float("-inf")

    async def append(self, arrival: Arrival) -> asyncio.Future[Appended]:
        """Queue an arrival; the future ends at its commit. Waits while the queue is full: that is the back-pressure."""
        done: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Waiting(arrival, done))
        return done

    async def quiet(self, patience_s: float) -> None:
        """Until nothing has been committed for a moment, but no longer than `patience_s`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s
        while (wait_s := min(self._committed_s + QUIET_S, until) - loop.time()) > 0:
            await asyncio.sleep(wait_s)

    def marks_changed(self) -> asyncio.Event:
        """Set when another process (a backup) has changed the database. A hint: read after it."""
        return self._marks_changed

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._commit_groups())
            tasks.create_task(self._watch_marks())

    async def _commit_groups(self) -> None:
        # Leaving waits for the thread's last commit before the ledger is closed.
        with Ledger(self._path) as ledger, ThreadPoolExecutor(1, "ledger-writer") as thread:
            await self._commit_for_ever(ledger, thread)

    async def _commit_for_ever(self, ledger: Ledger, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            group = [await self._queue.get()]
            records = len(group[0].arrival.run)
            while records < COMMIT_MAX_RECORDS and not self._queue.empty():
                group.append(self._queue.get_nowait())
                records += len(group[-1].arrival.run)
            try:
                results = await loop.run_in_executor(thread, ledger.append, [waiting.arrival for waiting in group])
            except sqlite3.Error as error:
                for waiting in group:
                    _fail(waiting.done, LedgerUnavailable(f"the ledger could not commit: {error}"))
                continue
            self._committed_s = loop.time()
            for waiting, result in zip(group, results, strict=True):
                if isinstance(result.verdict, Accept):
                    self._metrics.records.inc(len(waiting.arrival.run) - result.verdict.skip)
                if not waiting.done.done():
                    waiting.done.set_result(result)

    async def _watch_marks(self) -> None:
        marks: dict[bytes, int] = {}
        seen, outage = marks, Outage("backup marks")
        while True:
            with outage:
                marks = await asyncio.to_thread(_marks, self._path)
            if marks != seen:
                seen = marks
                changed, self._marks_changed = self._marks_changed, asyncio.Event()
                changed.set()
            await asyncio.sleep(MARKS_POLL_S)


def _marks(path: Path) -> dict[bytes, int]:
    with Ledger(path) as ledger:
        return ledger.marks()


def _fail(done: asyncio.Future[Appended], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
        done.exception()
