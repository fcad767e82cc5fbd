"""One agent, or one command that begins a journal, in one folder: two writers of one journal would fork it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.start import AlreadyRunning


@contextmanager
def agent_lock(path: Path) -> Iterator[None]:
    """The kernel lets go when we die. Raises AlreadyRunning."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(f"another suozhan-edge works in {path.parent}; stop it first") from error
        yield
