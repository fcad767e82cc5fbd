"""Invariant 1, seen from the kernel: at the moment of each promise nothing is left that only memory holds.

A child does everything that is promised to be durable; a library before it notes each write, sync and rename. SQLite's shared
memory is no promise: it is made anew after a crash; a rollback journal is gone once a database has its name.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acknowledging import ACKNOWLEDGED
from tests.soak.native import compiled

ROOT = Path(__file__).resolve().parents[1]
CHILD_MAX_S = 60

_CALL = re.compile(r"\d+ (\w+) (\S*)")


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, Path]]:
    """Of the child, in order: name, and the file as it lies in the folder."""
    folder = tmp_path_factory.mktemp("durable")
    (folder / "state").mkdir()
    library = compiled("faults", folder)
    environment = {**os.environ, "LD_PRELOAD": str(library), "SOAK_FAULT_FOLDER": str(folder / "state"),
                   "SOAK_FAULT_LOG": str(folder / "calls")}
    subprocess.run([sys.executable, "-m", "tests.acknowledging", folder / "state"], cwd=ROOT, env=environment, check=True,
                   timeout=CHILD_MAX_S)
    lines = (folder / "calls").read_text(encoding="utf-8").splitlines()
    return [(found[1], Path(found[2].lstrip("/") or ".")) for found in map(_CALL.fullmatch, lines) if found]


def _until(calls: list[tuple[str, Path]], name: str) -> Iterator[tuple[str, Path]]:
    for call, path in calls:
        if path == Path(name):
            return
        yield call, path
    raise AssertionError(f"{name} was never acknowledged")


def _lost(calls: Iterator[tuple[str, Path]]) -> set[str]:
    """What a power cut would take: bytes of files, and names in folders."""
    unsynced: set[str] = set()
    for call, path in calls:
        if call.startswith("rename"):
            half_written = f"bytes of {path.with_name(f'.{path.name}.new')}"
            assert half_written not in unsynced, f"{path} got its name before its bytes were on disk"
            unsynced.add(f"the name {path} in {path.parent}")
        elif call.endswith("sync"):
            unsynced = {one for one in unsynced if one != f"bytes of {path}" and not one.endswith(f" in {path}")}
        elif not path.name.endswith(("-shm", "-journal")) and str(path) not in ACKNOWLEDGED:
            unsynced.add(f"bytes of {path}")
    return unsynced


@pytest.mark.parametrize("name", ACKNOWLEDGED)
def test_nothing_that_is_promised_is_in_memory_only(calls: list[tuple[str, Path]], name: str) -> None:
    assert _lost(_until(calls, name)) == set()


def test_the_look_at_the_kernel_sees_what_it_should(calls: list[tuple[str, Path]]) -> None:
    """The high-water mark stands before the checkpoint's row, and each promise was preceded by its own writes."""
    seen = [path.name for call, path in calls if call == "rename"]
    assert {"high-water.note", "made.db", "made.key", "made.toml", "backup.db"} <= set(seen)
    before = {str(path) for _, path in _until(calls, "hub")}
    assert {"business.db-wal", "hub.db-wal"} <= before
