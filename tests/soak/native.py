"""The two libraries that are put before a process (LD_PRELOAD), compiled where they are needed."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

SECOND_NS = 1_000_000_000


def compiled(name: str, folder: Path) -> Path:
    """`name`.c of this package as a library in `folder`. Raises CalledProcessError, and gcc has said why."""
    library = folder / f"{name}.so"
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", library, source, "-ldl"], check=True)
    return library


class MovedClock:
    """A wall clock that processes started with `environment` see; `move` lets it jump while they run."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.environment = {"LD_PRELOAD": str(library), "SOAK_CLOCK_FILE": str(file)}
        self.move(0)

    def move(self, seconds: float) -> None:
        """So far from this machine's own clock."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", int(seconds * SECOND_NS)))
