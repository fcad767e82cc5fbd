"""The commands while they still load, which takes half a second: nothing is done yet."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.spine import CEILING_S

# Ctrl-C at the moment in which the command's own module is looked for.
STOPPED = """
import signal, sys
from {package}.__main__ import main

class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "{package}.command":
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in the background has it ignored
sys.meta_path.insert(0, Impatient())
main()
"""


@pytest.mark.parametrize("package", ["edge", "hub", "security.verifier"])
def test_a_command_that_is_stopped_while_it_loads_ends_without_a_traceback(package: str) -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED.format(package=package)], capture_output=True, text=True, check=False,
                          timeout=CEILING_S)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
