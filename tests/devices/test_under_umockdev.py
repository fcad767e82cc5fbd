"""Runs what needs devices that this machine has not, in a process of its own: a preload library must be there at its start."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.devices.testbed.machine import SYSTEM_PYTHON, preloaded
from tests.installed import needs

ROOT = Path(__file__).resolve().parents[2]
RUN_MAX_S = 100
BINDING = 'import gi; gi.require_version("UMockdev", "1.0"); from gi.repository import UMockdev'


@pytest.mark.skipif(preloaded(), reason="runs in the process that this very test starts")
@pytest.mark.parametrize(
    "tests",
    ["test_driver_contract.py", "testbed/test_wedge_scanner.py", "testbed/test_discovery.py"],
)
def test_under_umockdev(tests: str) -> None:
    wrapper = shutil.which("umockdev-wrapper")
    binding = subprocess.run([SYSTEM_PYTHON, "-c", BINDING], check=False, capture_output=True)
    needs("umockdev gir1.2-umockdev-1.0 python3-gi", there=wrapper is not None and not binding.returncode)
    command = [wrapper, sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    ran = subprocess.run(
        [*command, str(Path("tests/devices") / tests)], cwd=ROOT, check=False, capture_output=True, text=True, timeout=RUN_MAX_S
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
