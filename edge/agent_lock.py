"""One agent, or one command that begins a journal, in one folder: two writers of one journal would fork it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.start import AlreadyRunning


def agent_works(path: Path) -> bool:
    """Whether somebody holds the lock. Writes nothing: also where the disk was made read-only under an agent that works."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def agent_lock(path: Path) -> Iterator[None]:
    """The kernel lets go when we die. Raises AlreadyRunning."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"another suozhan-edge works in {path.parent}; stop it first") from error
        yield
