"""How much memory of its own a process takes, and whether that grows."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path


def anonymous_kb(pid: int) -> int:
    """What no file holds: heap, stacks, arenas. Of proc(5), smaps_rollup."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1])
    raise ValueError(f"smaps_rollup of process {pid} says nothing of anonymous memory")


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Least squares: how much y grows with x."""
    return statistics.linear_regression([x for x, _ in samples], [y for _, y in samples]).slope


def step(samples: Sequence[tuple[float, float]]) -> float:
    """The same from the medians of the first and the last quarter, which one burst does not move."""
    quarter = max(len(samples) // 4, 1)
    first, last = samples[:quarter], samples[-quarter:]
    rise = statistics.median(y for _, y in last) - statistics.median(y for _, y in first)
    return rise / (statistics.median(x for x, _ in last) - statistics.median(x for x, _ in first))
