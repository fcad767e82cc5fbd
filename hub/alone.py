"""Who may work on a hub's folder beside whom, by locks of the kernel, which lets go when we die.

One program at a time where two would contradict each other: `run`, `init`, `restore` and `reopen`. And none of the commands while
`restore` or `reopen` puts another database in the place of the one that they would open.
"""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hub.state import BadConfig, HubState

KERNEL_LOCKS = Path("/proc/locks")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Raises BadConfig when another one works there."""
    with _locked(folder, fcntl.LOCK_EX, f"another suozhan-hub (run, init, restore or reopen) works in {folder}", "stop it first"):
        yield


@contextmanager
def undisturbed(state: HubState) -> Iterator[None]:
    """Alone, and without any command that has the database open. Raises BadConfig."""
    with alone(state.root), _locked(
            state.keys, fcntl.LOCK_EX, f"a command of suozhan-hub works in {state.root}",
            "let it end, or stop a long verify with Ctrl-C (--resume goes on with it later), and try again"):
        yield


@contextmanager
def beside_others(state: HubState) -> Iterator[None]:
    """For a command: the database stays where it is. Raises BadConfig."""
    with _locked(
            state.keys, fcntl.LOCK_SH, f"suozhan-hub restore or reopen works in {state.root}", "try again when it has ended"):
        yield


@contextmanager
def _locked(folder: Path, kind: int, busy: str, then: str) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holders = ", ".join(_holders(descriptor)) or "pgrep -af suozhan-hub shows it"
            raise BadConfig(f"{busy} ({holders}); {then}") from error
        yield
    finally:
        os.close(descriptor)


def _holders(descriptor: int) -> Iterator[str]:
    """Who has locked that file, by the kernel's word (proc_locks(5)); nobody where it does not say so: in another container."""
    file = os.fstat(descriptor)
    locked = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    lines = KERNEL_LOCKS.read_text().splitlines() if KERNEL_LOCKS.exists() else []
    for _number, kind, *_modes, process, where, _start, _end in map(str.split, lines):
        if (kind, where) == ("FLOCK", locked):
            with suppress(OSError):  # it has just ended
                words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
                yield f"process {process}: {shlex.join(words[:-1])}"
