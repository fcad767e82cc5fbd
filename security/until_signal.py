"""Running a service until the system asks it to stop: cancelling is the only stop signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor

from security.memory import few_arenas

THREADS_MAX_S = 5.0  # that they get when all else has ended


def until_signal(service: Coroutine[None, None, None]) -> None:
    """Run `service`; SIGTERM and SIGINT cancel it. What it raises by itself is raised here."""
    few_arenas()
    asyncio.run(_run(service))


async def _run(service: Coroutine[None, None, None]) -> None:
    loop, threads = asyncio.get_running_loop(), ThreadPoolExecutor()
    loop.set_default_executor(threads)
    task = asyncio.ensure_future(service)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if task.cancelled():
        _end(threads)
        return
    try:
        task.result()
    except BaseExceptionGroup as group:
        raise _only_cause(group) from group


def _end(threads: ThreadPoolExecutor) -> None:
    """No thread can be cancelled, and to read a large damaged journal takes minutes: it is cut off, as by a
    crash (invariant 11)."""
    ending = threading.Thread(target=threads.shutdown, daemon=True)
    ending.start()
    ending.join(THREADS_MAX_S)
    if ending.is_alive():
        sys.stdout.flush()
        os._exit(0)


def _only_cause(error: BaseException) -> BaseException:
    """One task that failed is one error; several stay a group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
