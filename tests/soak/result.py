"""What a campaign found: one row of build/soak.json and of the table in docs/soak.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

HEADING = ("campaign", "rounds", "what was broken", "records checked", "findings", "seed", "seconds")


@dataclass(frozen=True)
class Result:
    """`counted` are figures of the campaign's own, such as how many kills hit a drain; `notes` what else there is to say."""

    campaign: str
    rounds: int
    broke: str
    records: int
    findings: Sequence[str]
    seed: int
    seconds: float
    counted: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


def keep(result: Result, path: Path) -> None:
    """Replace the row of this campaign; the others stay."""
    rows = {one.campaign: one for one in read(path)} | {result.campaign: result}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(one) for one in rows.values()], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> list[Result]:
    """What earlier campaigns found; none without a file."""
    return [Result(**row) for row in json.loads(path.read_text(encoding="utf-8"))] if path.exists() else []


def table(results: Sequence[Result]) -> str:
    """Markdown."""
    rows = [HEADING, ("---", "--:", "---", "--:", "--:", "--:", "--:")]
    rows += [(one.campaign, f"{one.rounds:,}", _broke(one), f"{one.records:,}", str(len(one.findings)), str(one.seed),
              f"{one.seconds:,.0f}") for one in results]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _broke(result: Result) -> str:
    told = [*(f"{what}: {number:,}" for what, number in result.counted.items()), *result.notes]
    return f"{result.broke} ({'; '.join(told)})" if told else result.broke
