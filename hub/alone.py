"""Who may work on a hub's folder beside whom, by locks of the kernel, which lets go when we die.

One program at a time where two would contradict each other: `run`, `init`, `restore` and `reopen`. And none of the commands while
`restore` or `reopen` puts another database in the place of the one that they would open.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.state import BadConfig, HubState


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Raises BadConfig when another one works there."""
    with _locked(folder, fcntl.LOCK_EX, f"another suozhan-hub (run, init, restore or reopen) works in {folder}; stop it first"):
        yield


@contextmanager
def undisturbed(state: HubState) -> Iterator[None]:
    """Alone, and without any command that has the database open. Raises BadConfig."""
    with alone(state.root), _locked(state.keys, fcntl.LOCK_EX, (
            f"a command of suozhan-hub works in {state.root}; let it end, and try again")):
        yield


@contextmanager
def beside_others(state: HubState) -> Iterator[None]:
    """For a command: the database stays where it is. Raises BadConfig."""
    with _locked(state.keys, fcntl.LOCK_SH, f"suozhan-hub restore or reopen works in {state.root}; try again when it has ended"):
        yield


@contextmanager
def _locked(folder: Path, kind: int, busy: str) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BadConfig(busy) from error
        yield
    finally:
        os.close(descriptor)
