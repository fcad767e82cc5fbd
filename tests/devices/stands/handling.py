"""One handling of a device on its stand, and what the driver may leave behind: nothing, and nobody's data in a log."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from devices.contract import DeviceError, Driver, Reading
from tests.devices.stands.stand import Presented, Stand
from tests.devices.testbed.machine import preloaded

READ_MAX_S = 20.0
END_MAX_S = 10.0  # cancelling, letting go
PROBE_MAX_S = 20.0
PAUSE_S, PAUSES = 0.02, 10
TAKEN_MAX_S = 0.2  # one that hangs is not taken at all
LEFT_MAX_S = 30.0
POLL_S = 0.02
THREADS_OF_THE_LOOP = "asyncio_"
NUMBER = re.compile(r"\d+")

Build = Callable[[], AbstractAsyncContextManager[Stand]]


def on(build: Build, act: Callable[[Stand], Awaitable[None]]) -> None:
    async def with_stand() -> None:
        with logged() as log:
            async with nothing_left_behind(), build() as one:
                await act(one)
                secrets = one.secrets
            assert not [secret for secret in secrets if secret in "\n".join(log)], "a person's data are in the log"

    asyncio.run(with_stand())


async def read_once(one: Stand, driver: Driver[Any], present: Callable[[], Awaitable[None]] | None = None) -> Reading[Any]:
    """What a person presents, read, and the device let go in time."""
    present = present or one.present
    before = one.presented in (Presented.BEFORE, Presented.ALWAYS)
    if before:
        await present()
    async with asyncio.timeout(READ_MAX_S):
        async with driver:
            reading = asyncio.create_task(driver.read())
            if not before:
                await pause()
                await present()
            given = await reading
            read_at = time.monotonic()
    assert time.monotonic() - read_at < END_MAX_S, "it does not let go"
    await one.take_back()
    return given


async def pause() -> None:
    """A moment for what goes on beside this. In parts: of a machine that stands still it loses one of them only."""
    for _ in range(PAUSES):
        await asyncio.sleep(PAUSE_S)


async def under_way(driver: Driver[Any]) -> asyncio.Task[Reading[Any]]:
    """A reading of a device that was taken, where it lets itself be taken."""
    taken = asyncio.Event()

    async def hold() -> Reading[Any]:
        async with driver:
            taken.set()
            return await driver.read()

    reading, waiting = asyncio.create_task(hold()), asyncio.create_task(taken.wait())
    await asyncio.wait([reading, waiting], timeout=TAKEN_MAX_S, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    await pause()
    return reading


async def probed(one: Stand) -> None:
    """Whatever it says of a device that hangs, it says it."""
    _, late = await asyncio.wait([asyncio.create_task(one.driver().probe())], timeout=PROBE_MAX_S)
    assert not late, "the probe has not ended"


async def ended(task: asyncio.Task[Any]) -> BaseException | None:
    """How it ended, within the time that anyone has to wait at most; None for a reading, or when it was cancelled."""
    done, _ = await asyncio.wait([task], timeout=READ_MAX_S)
    assert done, "it has not ended"
    return None if task.cancelled() else task.exception()


async def given_up(task: asyncio.Task[Any]) -> None:
    """Cancelling returns at once, and gives nothing."""
    before = time.monotonic()
    task.cancel()
    error = await ended(task)
    assert time.monotonic() - before < END_MAX_S, "it does not let go"
    assert task.cancelled(), f"it was cancelled and ended otherwise: {error!r}"


async def back(one: Stand) -> None:
    """A device that woke up may have to be left alone for a moment; nobody has to restart anything."""
    last_try = time.monotonic() + READ_MAX_S
    while True:
        try:
            reading = await read_once(one, one.driver())
        except DeviceError:
            if time.monotonic() > last_try:
                raise
            await pause()
        else:
            assert reading.kind == one.kind
            return


@contextmanager
def logged() -> Iterator[list[str]]:
    """All that is logged meanwhile, of any level."""
    lines: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    listener, root = Listener(), logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(listener)


@asynccontextmanager
async def nothing_left_behind() -> AsyncIterator[None]:
    """No thread, task, handle or process; looked at only where all went well otherwise."""
    before = held()
    yield
    last_look = time.monotonic() + LEFT_MAX_S
    while left := held() - before:
        assert time.monotonic() < last_look, f"left behind: {dict(left)}"
        await asyncio.sleep(POLL_S)


def held() -> Counter[str]:
    """How many of what this process holds at the moment; numbers left out, as a stand may start its service anew."""
    threads = [f"thread {one.name}" for one in threading.enumerate() if not one.name.startswith(THREADS_OF_THE_LOOP)]
    tasks = [f"task {one.get_name()}" for one in asyncio.all_tasks()]
    return Counter(NUMBER.sub("", one) for one in (*threads, *tasks, *_handles(), *_processes()))


def _handles() -> Iterator[str]:
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # such as the one by which this folder is read
            target = str(link.readlink())
            if not (preloaded() and target.startswith("socket:")):  # umockdev's own, which it leaves when a node is gone
                yield f"handle {target}"


def _processes() -> Iterator[str]:
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError):  # of a thread that ended
            yield from ("process" for _ in file.read_text().split())
