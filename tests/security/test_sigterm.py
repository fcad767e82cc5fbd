"""A command that is asked to end clears away first, however often it is asked, and ends as a shell tells it."""

from __future__ import annotations

import signal
import subprocess
import sys

from security.sigterm import cleared_away

COMMAND = """
import signal
from security.sigterm import cleared_away

with cleared_away():
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.raise_signal(signal.SIGTERM)
        print("cleared away")
"""


def test_a_command_that_is_asked_to_end_twice_clears_away_and_says_that_it_was_asked() -> None:
    done = subprocess.run([sys.executable, "-c", COMMAND], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, "cleared away\n", "")


def test_behind_it_the_signal_does_what_it_did() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with cleared_away():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
