"""A service that is asked to stop, beside threads that nobody can cancel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

import security.until_signal
from security.until_signal import until_signal

STOP_MAX_S = 30
SERVICE = """
import asyncio, time
from security.until_signal import until_signal

async def service():
    try:
        work = asyncio.to_thread(time.sleep, {})
        print("ready", flush=True)
        await asyncio.gather(work, asyncio.Event().wait())
    finally:
        print("closed")

until_signal(service())
print("done")
"""


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # as a service's output is
    with subprocess.Popen([sys.executable, "-c", SERVICE.format(request.param)], env=buffered, stdout=subprocess.PIPE,
                          text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(("service", "said"), [(0.2, "ready\nclosed\ndone\n"), (100, "ready\nclosed\n")], indirect=["service"])
def test_a_thread_that_goes_on_for_minutes_keeps_no_process_from_stopping(service: subprocess.Popen[str], said: str) -> None:
    """Invariant 11: what it does may be cut off anywhere."""
    assert service.stdout is not None
    first = service.stdout.readline()
    asked_s = time.monotonic()
    service.send_signal(signal.SIGTERM)
    rest, _ = service.communicate(timeout=2 * STOP_MAX_S)
    assert (service.returncode, first + rest) == (0, said)
    assert time.monotonic() - asked_s < STOP_MAX_S


async def _failing(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("wrapped", [0, 1, 3])
def test_one_task_that_fails_is_one_error_however_it_was_started(wrapped: int) -> None:
    cause = PermissionError("the one that somebody acts on")
    error: Exception = cause
    for _ in range(wrapped):
        error = ExceptionGroup("tasks", [error])
    with pytest.raises(PermissionError) as caught:
        until_signal(_failing(error))
    assert caught.value is cause


def test_several_tasks_that_fail_are_all_told() -> None:
    both = [PermissionError("one"), ValueError("other")]
    with pytest.raises(ExceptionGroup) as caught:
        until_signal(_failing(ExceptionGroup("tasks", [ExceptionGroup("more tasks", both)])))
    assert list(caught.value.exceptions) == both


def test_before_a_service_starts_a_thread_its_heaps_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    async def service() -> None:
        done.append("service")

    monkeypatch.setattr(security.until_signal, "few_arenas", lambda: done.append("few arenas"))
    until_signal(service())
    assert done == ["few arenas", "service"]
