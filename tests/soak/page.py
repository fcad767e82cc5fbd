"""docs/soak.md: its words are written by hand, its table by `--table` from build/soak.json."""

from __future__ import annotations

from collections.abc import Sequence

from tests.soak.result import Result, table

BEGIN, END = "<!-- results: python -m tests.soak --table -->\n", "<!-- end of results -->"


def with_results(text: str, results: Sequence[Result]) -> str:
    """The page with this table in the place of the last one. A finding is shown in full."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    findings = "".join(f"- {one.campaign}: {finding}\n" for one in results for finding in one.findings)
    return before + BEGIN + table(results) + "\n" + (f"\n{findings}" if findings else "") + END + after
