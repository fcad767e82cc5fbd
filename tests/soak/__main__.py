"""`python -m tests.soak [names] [--seed N] [--rounds N] [--round K]`; without names, the whole campaign."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tests.soak import bitflip, clock, cuts, devices, faults, full, kill, messages, nonsense, power
from tests.soak.page import with_results
from tests.soak.result import keep, read, table
from tests.soak.rounds import JOBS, Rounds

CHECKOUT = Path(__file__).resolve().parents[2]
CAMPAIGNS = {module.NAME: module for module in (kill, messages, power, faults, full, bitflip, clock, nonsense,
                                                     cuts, devices)}


def main() -> int:
    options = _options()
    found = options.build.absolute() / "soak.json"
    if options.table:
        _write_table(found)
        return 0
    seed = int.from_bytes(os.urandom(4), "big") if options.seed is None else options.seed
    findings = 0
    for name in options.names or CAMPAIGNS:
        print(f"{name}, seed {seed}: {CAMPAIGNS[name].BROKE}", flush=True)
        result = CAMPAIGNS[name].run(options.build.absolute() / "soak" / name, seed,
                                     Rounds(options.rounds, options.round, options.jobs))
        if options.round is None:
            keep(result, found)
        print(table([result]), flush=True)
        findings += len(result.findings)
    print(f"{findings} findings; folders of rounds with one are kept in {options.build}/soak" if findings else "no findings")
    return min(findings, 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak")
    parser.add_argument("names", nargs="*", choices=[*CAMPAIGNS, []], help="which; all without a name")
    parser.add_argument("--seed", type=int, help="of every random choice; drawn and shown without one")
    parser.add_argument("--rounds", type=int, help="fewer than all")
    parser.add_argument("--round", type=int, help="this one alone")
    parser.add_argument("--jobs", type=int, default=JOBS, help="rounds at a time")
    parser.add_argument("--build", type=Path, default=CHECKOUT / "build", help="where soak.json and the work folders go")
    parser.add_argument("--table", action="store_true", help="write docs/soak.md from soak.json, and play nothing")
    return parser.parse_args()


def _write_table(found: Path) -> None:
    results = {one.campaign: one for one in read(found)}
    page = CHECKOUT / "docs" / "soak.md"
    ordered = [results[name] for name in CAMPAIGNS if name in results]
    page.write_text(with_results(page.read_text(encoding="utf-8"), ordered), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
