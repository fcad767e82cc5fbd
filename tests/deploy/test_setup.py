"""The set-up scripts, run as they are, in a small checkout of which nothing has to be fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installed import needs

ROOT = Path(__file__).resolve().parents[2]
SETUP_MAX_S = 100


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Makefile and scripts of this one; requirements and project are empty."""
    shutil.copytree(ROOT / "deploy" / "setup", tmp_path / "deploy" / "setup")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    for name in ("requirements/build.txt", "requirements/all.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    return tmp_path


def run(folder: Path, *command: str, **environment: str) -> str:
    """What it printed; the project is empty, so that the last step may fail."""
    done = subprocess.run(command, cwd=folder, env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, **environment},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=SETUP_MAX_S)
    return done.stdout


def test_an_environment_whose_making_was_interrupted_is_made_anew(checkout: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True)
    said = run(checkout, "deploy/setup/venv.sh", ".venv")
    assert "No module named pip" not in said
    assert "Making" in said
    subprocess.run([checkout / ".venv/bin/python", "-m", "pip", "--version"], check=True, capture_output=True)


def test_once_pyscard_can_be_built_setup_builds_what_it_left_out(checkout: Path) -> None:
    can_build = subprocess.run([ROOT / "deploy/setup/can_build_pyscard.sh"], env={**os.environ, "PYTHON": sys.executable},
                               check=False)
    needs("gcc libc6-dev python3-dev libpcsclite-dev", there=can_build.returncode == 0)
    tools = checkout / "tools"
    tools.mkdir()
    (tools / "gcc").symlink_to("/bin/false")  # a compiler that compiles nothing
    assert "leaving out pyscard" in run(checkout, "deploy/setup/venv.sh", ".venv", PATH=f"{tools}:/usr/bin:/bin")
    (checkout / ".venv/.ready").touch()
    setup = ("make", "--old-file=machine", f"PYTHON={sys.executable}", "setup")
    assert "Installing Python packages" not in run(checkout, *setup, PATH=f"{tools}:/usr/bin:/bin")
    assert "Installing Python packages" in run(checkout, *setup)
    assert not (checkout / ".venv/.without-pyscard").exists()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH on which there is no apt-get, and of the tools only what is put there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "id").symlink_to("/usr/bin/id")
    return tools


def machine(tools: Path, python: str) -> str:
    return run(ROOT, "/bin/sh", "deploy/setup/machine.sh", PATH=str(tools), PYTHON=python)


def test_without_what_makes_an_environment_setup_does_not_speak_of_going_on(bare: Path) -> None:
    without_venv = bare / "python"
    without_venv.write_text("#!/bin/sh\nexit 1\n")
    without_venv.chmod(0o755)
    said = machine(bare, str(without_venv))
    assert "apt-get install python3-venv" in said
    assert "Going on" not in said
    assert "Going on" in machine(bare, sys.executable), "without a compiler it does"


def test_a_card_service_outside_an_ordinary_users_path_is_not_called_missing(bare: Path) -> None:
    needs("pcscd", there=Path("/usr/sbin/pcscd").exists())
    said = machine(bare, sys.executable)
    assert "gcc" in said
    assert "pcscd" not in said
