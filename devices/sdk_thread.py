"""A thread of its own for calls that may block, so that waiting is bounded and cancelling always returns."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
SLICES = 4  # of a wait: a machine that stood still meanwhile has spent one of them, not all


class SdkThread:
    """Runs calls one after the other. A call that overran its limit keeps the thread busy until it returns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._overrun: Future[Any] | None = None

    @property
    def stuck(self) -> bool:
        """True while a call that overran its limit has not returned. Ask only when no `call` is waited for."""
        return self._overrun is not None and not self._overrun.done()

    async def call(self, call: Callable[[], T], limit_s: float) -> T:
        """Run `call` in the thread and wait for it at most `limit_s`; raises TimeoutError after that."""
        done = self.post(call)
        try:
            async with asyncio.timeout(limit_s):  # wait_for would swallow a cancelling that meets the end of the call
                return await asyncio.wrap_future(done)
        finally:
            self._overrun = done

    async def finish(self, call: Callable[[], T], limit_s: float) -> bool:
        """Like `call`, but the call is made even when the wait ends before its turn; False when it did."""
        done = self.post(call)
        self._overrun = done
        waited = asyncio.wrap_future(done)
        for _ in range(SLICES):
            if (await asyncio.wait([waited], timeout=limit_s / SLICES))[0]:
                break
        return done.done()

    def post(self, call: Callable[[], T]) -> Future[T]:
        """Run `call` after all calls before it, without waiting."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        done: Future[T] = Future()
        self._jobs.put((call, done))
        return done

    async def stop(self, limit_s: float) -> bool:
        """Let the thread end after the calls already given; False when it did not within `limit_s`.

        A thread stuck in an SDK cannot be ended. It is a daemon thread, so it holds up nothing.
        """
        if self._thread is None:
            return True
        last = self.post(lambda: None)
        self._jobs.put(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await asyncio.wrap_future(last)
            self._thread.join(limit_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, done = job
            if not done.set_running_or_notify_cancel():
                continue
            try:
                done.set_result(call())
            except (SystemExit, GeneratorExit, StopIteration) as error:  # they mean something else to whoever waits
                done.set_exception(RuntimeError(f"{type(error).__name__} in an SDK"))
            except BaseException as error:  # noqa: BLE001 - carried to the caller, who sees it raised
                done.set_exception(error)
