"""The table of docs/mutations.md: what is written between its two marks; the rest of the page is written by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.mutations.trial import Outcome

BEGIN, END = "<!-- table: python -m tests.mutations --table -->", "<!-- end of the table -->"


def keep(outcomes: Sequence[Outcome], path: Path) -> None:
    """Replaces what earlier runs said of the same mutations; the others stay."""
    rows = read(path) | {one.mutation.name: one.caught for one in outcomes}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, bool]:
    """Whether each mutation was caught when it was tried last; {} without a file."""
    rows: dict[str, bool] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return rows


def table(outcomes: Sequence[Outcome]) -> str:
    """Markdown."""
    rows = ["| mutation | file | caught by | verdict |", "| --- | --- | --- | --- |"]
    for one in outcomes:
        files = ", ".join(dict.fromkeys(f"`{change.file}`" for change in one.mutation.changes))
        tests = "<br>".join(f"`{_short(test)}`" for test in one.mutation.caught_by)
        rows.append(f"| {one.mutation.name} | {files} | {tests} | {'caught' if one.caught else '**survived**'} |")
    return "\n".join(rows)


def _short(test: str) -> str:
    file, _, function = test.partition("::")
    return f"{file.removeprefix('tests/')}: {function.removeprefix('test_')}"


def write(page: Path, text: str) -> None:
    """Puts the tables between the marks. Raises ValueError when the page has lost them."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has lost the marks of its table; put them back: {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
