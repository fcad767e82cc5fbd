"""The demo as a person starts, disturbs and ends it: real processes, in a copy of this checkout."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.installed import needs_program

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


def _as_from_a_terminal() -> None:
    for number in (signal.SIGINT, signal.SIGHUP):  # who runs the tests in the background has these ignored
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def demo(checkout: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    command = (*DEMO, *getattr(request, "param", ()))
    with subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True, preexec_fn=_as_from_a_terminal) as running:  # noqa: PLW1509 - it only calls signal()
        yield running
        with suppress(ProcessLookupError):  # nothing is left, as it should be
            os.killpg(running.pid, signal.SIGKILL)


def told(demo: subprocess.Popen[str], words: str) -> list[str]:
    """Wait until the story has come to these words; the test's own ceiling bounds it. Returns what was told until then."""
    assert demo.stdout is not None
    lines: list[str] = []
    for line in demo.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"never told: {words}")


def test_a_second_demo_leaves_the_first_ones_city_alone(checkout: Path, demo: subprocess.Popen[str]) -> None:
    told(demo, "[2/11]")
    second = subprocess.run(DEMO, cwd=checkout, capture_output=True, text=True, check=False, timeout=END_MAX_S)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == "A demo is running here; end it with Ctrl-C first.\n"
    assert (checkout / "build/demo/hub").is_dir()
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=END_MAX_S)


@pytest.mark.parametrize(
    ("send", "number"),
    [(os.killpg, signal.SIGINT), (os.killpg, signal.SIGHUP), (os.kill, signal.SIGTERM)],
    ids=["Ctrl-C", "terminal closed", "SIGTERM to the demo alone"],
)
def test_however_the_demo_is_ended_nothing_of_it_stays(demo: subprocess.Popen[str], send, number: int) -> None:
    told(demo, "[4/11]")
    city = psutil.Process(demo.pid).children(recursive=True)
    assert len(city) >= 3, "a hub and two agents, and a card service where there is one"
    send(demo.pid, number)
    _, errors = demo.communicate(timeout=END_MAX_S)
    assert (demo.returncode, errors) == (130, "\nThe demo was ended; nothing of it runs any more.\n")
    _, left = psutil.wait_procs(city, timeout=END_MAX_S)
    assert [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("demo", [("--stay",)], indirect=True)
def test_what_a_staying_demo_prints_can_be_pasted(checkout: Path, demo: subprocess.Popen[str]) -> None:
    needs_program("curl", "curl")
    commands = checkout / ".venv/bin"
    commands.mkdir(parents=True)
    for name in ("edge", "hub"):
        (commands / f"suozhan-{name}").write_text(f'#!/bin/sh\nexec {sys.executable} -m {name}.command "$@"\n')
        (commands / f"suozhan-{name}").chmod(0o755)
    lines = told(demo, "Running until Ctrl-C")
    assert "--stay" not in "".join(lines)
    lines = told(demo, "/v1/feed") + told(demo, "/v1/state") + told(demo, "/v1/state")
    pasted = "".join(line for line in lines if not line.startswith(" "))
    said = subprocess.run(["sh", "-eu"], input=pasted, cwd=checkout, capture_output=True, text=True, check=True)
    assert said.stderr == ""
    assert said.stdout.count('"entries"') == 1
    assert said.stdout.count('"catalogue":true') == 2  # both doors have answered
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=END_MAX_S)
    assert demo.returncode == 130
