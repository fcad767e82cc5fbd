"""A service that is asked to stop, beside threads that nobody can cancel."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

STOP_MAX_S = 10
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
    with subprocess.Popen([sys.executable, "-c", SERVICE.format(request.param)], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize(("service", "said"), [(0.2, "ready\nclosed\ndone\n"), (60, "ready\nclosed\n")], indirect=["service"])
def test_a_thread_that_goes_on_for_minutes_keeps_no_process_from_stopping(service: subprocess.Popen[str], said: str) -> None:
    """Invariant 11: what it does may be cut off anywhere."""
    assert service.stdout is not None
    first = service.stdout.readline()
    asked_s = time.monotonic()
    service.send_signal(signal.SIGTERM)
    rest, _ = service.communicate(timeout=2 * STOP_MAX_S)
    assert (service.returncode, first + rest) == (0, said)
    assert time.monotonic() - asked_s < STOP_MAX_S
