"""A copy of the working tree in which sources may be spoilt."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEST_MAX_S = 60
RUN_MAX_S = 600

_RED = re.compile(r"^FAILED (\S+?)(?:\[.*)?(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """What pytest said: its exit code, the test functions of which a case failed, and the end of its output."""

    code: int
    red: frozenset[str]
    tail: str


class Checkout:
    """One copy, for one run of pytest at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def make(self) -> None:
        listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True,
                                text=True, check=True)
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, self.root / name)
        subprocess.run(["git", "init", "-q"], cwd=self.root, check=True)  # tests of the house ask it for the files

    @contextmanager
    def holding(self, texts: Mapping[str, str]) -> Iterator[None]:
        """With these files changed, until the end."""
        before = {name: (self.root / name).read_text(encoding="utf-8") for name in texts}
        try:
            self._write(texts)
            yield
        finally:
            self._write(before)

    def _write(self, texts: Mapping[str, str]) -> None:
        for name, text in texts.items():
            (self.root / name).write_text(text, encoding="utf-8")

    def run(self, tests: Sequence[str]) -> Run:
        """Raises TimeoutExpired."""
        # Without bytecode: a file that is changed twice in a second would be taken for the old one.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=line", "-p", "no:cacheprovider", f"--timeout={TEST_MAX_S}"]
        done = subprocess.run([*command, *tests], cwd=self.root, env=environment, capture_output=True, text=True,
                              timeout=RUN_MAX_S, check=False)
        return Run(done.returncode, frozenset(_RED.findall(done.stdout)), (done.stdout + done.stderr)[-2_000:])
