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
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class _Held:
    """A descriptor, and how many are reading by it."""

    descriptor: int
    readers: int = 0


_held: dict[tuple[int, int], _Held] = {}  # by device and inode, which a descriptor keeps from being given to another file
_alone = threading.Lock()


@contextmanager
def reading(path: Path) -> Iterator[int]:
    """A descriptor for os.pread, of this process's own and open while the file has a name: the last connection removes an index.
    One that SQLite or another reader has may be closed, and its number given to another file, in the middle of reading. Raises
    OSError.
    """
    with _alone:
        _let_go()
        held = _descriptor(path)
        held.readers += 1
    try:
        yield held.descriptor
    finally:
        with _alone:
            held.readers -= 1


def _descriptor(path: Path) -> _Held:
    found = path.stat()
    if held := _held.get((found.st_dev, found.st_ino)):
        return held
    descriptor = os.open(path, os.O_RDONLY)
    opened = os.fstat(descriptor)
    # Where the file was exchanged since `stat`, and that one is held, this one stays open: to close it would take SQLite's locks.
    return _held.setdefault((opened.st_dev, opened.st_ino), _Held(descriptor))


def let_go(folder: Path) -> None:
    """Before its file system is unmounted. Nobody in this process may have a database of it open. Raises OSError."""
    with _alone:
        _let_go(folder.stat().st_dev)


def _let_go(device: int | None = None) -> None:
    for key, held in list(_held.items()):
        if not held.readers and (key[0] == device or not os.fstat(held.descriptor).st_nlink):
            os.close(_held.pop(key).descriptor)
