"""The demo as a person starts, disturbs and ends it: real processes, in a copy of this checkout."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("deploy", "devices", "edge", "hub", "proto", "security")
DEMO = (sys.executable, "-m", "deploy.demo")
END_MAX_S = 40


@pytest.fixture
def checkout() -> Iterator[Path]:
    """The demo's folder is its checkout's. A short path: sockets lie in it."""
    with tempfile.TemporaryDirectory() as folder:
        for package in PACKAGES:
            shutil.copytree(ROOT / package, Path(folder) / package, ignore=shutil.ignore_patterns("__pycache__"))
        yield Path(folder)


@pytest.fixture
def demo(checkout: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(DEMO, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        yield running
        if running.poll() is None:
            running.kill()


def told(demo: subprocess.Popen[str], step: str) -> None:
    """Wait until the story has come to `step`; the test's own ceiling bounds it."""
    assert demo.stdout is not None
    assert any(step in line for line in demo.stdout)


def test_a_second_demo_leaves_the_first_ones_city_alone(checkout: Path, demo: subprocess.Popen[str]) -> None:
    told(demo, "[2/9]")
    second = subprocess.run(DEMO, cwd=checkout, capture_output=True, text=True, check=False, timeout=END_MAX_S)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == "A demo is running here; end it with Ctrl-C first.\n"
    assert (checkout / "build/demo/hub").is_dir()
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=END_MAX_S)
