"""Reading files that SQLite may have open in this process, without taking its locks from it.

POSIX locks belong to a process: closing any descriptor of a file drops all locks that the process has on that file
(https://www.sqlite.org/howtocorrupt.html, section 2.2). The next program that looks at the journal would then take itself for the
only one, and cut the index under the agent's feet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """A descriptor for os.pread: SQLite's own where it has the file open, which must stay so inside. Raises OSError."""
    held = _held(path)
    descriptor = os.open(path, os.O_RDONLY) if held is None else held
    try:
        yield descriptor
    finally:
        if held is None:
            os.close(descriptor)


def _held(path: Path) -> int | None:
    wanted = path.stat()
    for entry in DESCRIPTORS.iterdir():
        try:
            found = os.fstat(int(entry.name))
        except OSError:  # closed meanwhile
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return int(entry.name)
    return None
