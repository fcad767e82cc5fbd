"""Running a service until the system asks it to stop: cancelling is the only stop signal."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine


def until_signal(service: Coroutine[None, None, None]) -> None:
    """Run `service`; SIGTERM and SIGINT cancel it. What it raises by itself is raised here."""
    asyncio.run(_run(service))


async def _run(service: Coroutine[None, None, None]) -> None:
    task = asyncio.ensure_future(service)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if task.cancelled():
        return
    try:
        task.result()
    except BaseExceptionGroup as group:
        raise _only_cause(group) from group


def _only_cause(error: BaseException) -> BaseException:
    """One task that failed is one error; several stay a group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
