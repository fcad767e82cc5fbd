"""Figures as they are printed and written to build/bench.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """`ratio` is value ÷ floor where a floor makes sense."""

    value: float
    unit: str
    floor: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None


def publish(figures: dict[str, Figure], path: Path) -> None:
    """Print a table; keep what other benchmarks wrote there before."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, one in figures.items():
        kept[name] = {"value": one.value, "unit": one.unit, "floor": one.floor, "ratio": one.ratio}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{'figure':<32}{'value':>14} {'unit':<12}{'floor':>14}{'ratio':>8}")
    for name, one in figures.items():
        floor = f"{one.floor:,.2f}" if one.floor else "-"
        ratio = f"{one.ratio:.2f}" if one.ratio else "-"
        print(f"{name:<32}{one.value:>14,.2f} {one.unit:<12}{floor:>14}{ratio:>8}")
