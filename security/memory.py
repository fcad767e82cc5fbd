"""The memory of a process that runs for months: neither what it has freed nor what it has dropped lies about."""

from __future__ import annotations

import ctypes
import gc
import resource

ARENAS_MAX = 2
_M_ARENA_MAX = -8  # of malloc.h; mallopt(3)


def few_arenas() -> None:
    """Before any thread is started. glibc gives each new one a heap of its own, up to eight a core, and what is freed in one
    serves no other: a hub of twenty threads kept growing with each connection.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # another C library has other ways
        mallopt(_M_ARENA_MAX, ARENAS_MAX)


def leave_no_core() -> None:
    """Whatever crashes this process, as a library of the card service may: no file is left of its memory, in which the data of
    residents are, and the keys that seal them.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def leave_start_alone() -> None:
    """Once a service is ready: what it has loaded by then stays, and is looked through no more.

    CPython looks through old objects only when a quarter as many have come (gcmodule.c, `long_lived_pending`). Beside all that
    was loaded, the cycles that each connection leaves would lie about for thousands of connections.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # the quarter is of what this one finds: next to nothing
