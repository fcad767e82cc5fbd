"""One program at a time where two would contradict each other: `run`, `init`, `restore` and `reopen` of one hub."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.state import BadConfig


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """The kernel lets go when we die. Raises BadConfig when another one works there."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadConfig(f"another suozhan-hub (run, init, restore or reopen) works in {folder}; stop it first") from error
        yield
    finally:
        os.close(descriptor)
