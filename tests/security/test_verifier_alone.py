"""`suozhan-verify` on a machine that has nothing of ours but `proto` and `security`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hub.evidence.selection import Selection
from tests.hub.evidence.city import City

ROOT = Path(__file__).resolve().parents[2]

# What `python -m security.verifier` does, with a look at what was loaded.
_RUN = """
import runpy, sys

class NotInstalled:  # where this test runs, all of it is
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"hub", "edge", "devices", "deploy", "tests"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled())
try:
    runpy.run_module("security.verifier", run_name="__main__", alter_sys=True)
finally:
    ours = {name.split(".")[0] for name in sys.modules} & {"hub", "edge", "devices", "deploy", "tests", "security", "proto"}
    assert ours == {"security", "proto"}, ours
    servers = {"grpc", "fastapi", "sqlalchemy", "uvicorn", "structlog"} & set(sys.modules)
    assert not servers, servers
"""


class Auditor:
    """A folder with a copy of two packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for package in ("proto", "security"):
            shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))

    def verify(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONIOENCODING": "utf-8"}
        return subprocess.run([sys.executable, "-c", _RUN, *arguments], cwd=self.folder, env=environment, capture_output=True,
                              text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Auditor:
    return Auditor(tmp_path_factory.mktemp("auditor"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, City]:
    """A file, the pin that goes with it, and the hub it is of."""
    city = City(tmp_path_factory.mktemp("city"))
    machine = city.machine()
    city.append(machine, 5)
    city.publish()
    file, report = city.export("evidence.bundle", Selection(machine.journal, 2, 4))
    assert report.exporter is not None
    return file, report.exporter.pin.hex(), city


def test_an_honest_bundle_is_told_from_one_with_a_changed_byte(auditor: Auditor, bundle: tuple[Path, str, City],
                                                               tmp_path: Path) -> None:
    file, pin, _ = bundle
    done = auditor.verify(str(file), "--pin", pin)
    assert (done.returncode, done.stderr) == (0, "")
    assert "PROVED: all 4 records" in done.stdout
    assert "the one that you gave" in done.stdout
    spoilt = bytearray(file.read_bytes())
    spoilt[spoilt.rindex(b'{"entry"') + 50] ^= 1
    (tmp_path / "spoilt.bundle").write_bytes(spoilt)
    done = auditor.verify(str(tmp_path / "spoilt.bundle"), "--pin", pin)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("NOT PROVED, first at line ")
    assert ", position 4" in done.stdout.splitlines()[0]
    assert "Signature over the whole file: DOES NOT HOLD" in done.stdout
    assert "take nothing below as proved" in done.stdout


def test_without_a_pin_it_is_printed_to_be_compared(auditor: Auditor, bundle: tuple[Path, str, City]) -> None:
    file, pin, _ = bundle
    done = auditor.verify(str(file))
    assert done.returncode == 0
    assert done.stdout.startswith("PROVED, if the pin of the root below is the right one: all 4 records")
    assert f"pin {pin}\n    NOT CHECKED" in done.stdout
    done = auditor.verify(str(file), "--pin", "00" * 32)
    assert (done.returncode, "another hub made this" in done.stdout) == (1, True)


def test_the_key_of_the_log_can_be_given(auditor: Auditor, bundle: tuple[Path, str, City]) -> None:
    file, pin, _ = bundle
    said = json.loads(auditor.verify(str(file), "--json").stdout)
    key = said["header"]["log_key"]
    done = auditor.verify(str(file), "--json", "--log-key", key, "--pin", pin)
    said = json.loads(done.stdout)
    assert (done.returncode, said["proved"], said["root"]["checked"], said["log_key_checked"]) == (0, True, True, True)


@pytest.mark.parametrize("arguments", [("--pin", "xyz"), ("--pin", "00"), ("--log-key", "a+b+c")])
def test_what_is_mistyped_is_said_in_a_line(auditor: Auditor, bundle: tuple[Path, str, City], arguments: tuple[str, str]) -> None:
    done = auditor.verify(str(bundle[0]), *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert arguments[0] in done.stderr


def test_a_file_that_is_not_there_is_a_line(auditor: Auditor, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.bundle", tmp_path):
        done = auditor.verify(str(path))
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("suozhan-verify: ")
        assert len(done.stderr.splitlines()) == 1
