"""A folder for what must never lie on a disk: in memory, ours alone, and gone with the process that made it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108


@contextmanager
def memory_folder(purpose: str, parent: Path = MEMORY) -> Iterator[Path]:
    """Removed at the end; what a killed process left of the same purpose is removed at the beginning. Raises OSError."""
    prefix = f"suozhan-{purpose}-"
    for left in parent.glob(f"{prefix}*"):
        if not Path("/proc", left.name.removeprefix(prefix).split("-")[0]).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
