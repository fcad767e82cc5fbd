"""Reading files that SQLite may have open in this process, without taking its locks from it.

POSIX locks belong to a process: closing any descriptor of a file drops all locks that the process has on that file
(https://www.sqlite.org/howtocorrupt.html, section 2.2). The next program that looks at the journal would then take itself for the
only one, and cut the index under the agent's feet.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_held: dict[tuple[int, int], int] = {}  # by device and inode, which a descriptor keeps from being given to another file
_alone = threading.Lock()


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """A descriptor for os.pread, of this process's own and open until it ends: a journal's files are few. One that SQLite or
    another reader has may be closed, and its number given to another file, in the middle of reading. Raises OSError.
    """
    with _alone:
        found = path.stat()
        descriptor = _held.get((found.st_dev, found.st_ino))
        if descriptor is None:
            descriptor = os.open(path, os.O_RDONLY)
            opened = os.fstat(descriptor)
            _held[opened.st_dev, opened.st_ino] = descriptor
    yield descriptor
