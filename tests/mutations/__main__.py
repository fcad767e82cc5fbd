"""`python -m tests.mutations [parts of names] [--jobs N] [--table]`: which guards are noticed once they are gone."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.mutations.checkout import ROOT
from tests.mutations.doors import DOORS
from tests.mutations.guards import GUARDS
from tests.mutations.mutation import Mutation, MutationStale
from tests.mutations.named import NAMED
from tests.mutations.page import keep, read, table, write
from tests.mutations.peers import PEERS
from tests.mutations.scans import SCANS
from tests.mutations.trial import Outcome, check_sources, green, outcomes

JOBS = 2
GROUPS = {"The twelve that the campaign names": NAMED, "Other guards": GUARDS,
          "The door, and strangers before it": DOORS, "Scans": SCANS,
          "Failures of comparable systems (docs/peers.md)": PEERS}


def main() -> int:
    options = _options()
    found = options.build.absolute() / "mutations.json"
    mutations = [one for group in GROUPS.values() for one in group if any(part in one.name for part in options.parts)]
    try:
        check_sources(mutations)
    except MutationStale as error:
        print(error)
        return 2
    if options.table:
        _write_table(found)
        return 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        if trouble := green(Path(folder) / "green", mutations):
            print(f"{trouble}\nThe tests have to be green without any mutation; mend them first")
            return 2
        done = []
        for one in outcomes(Path(folder), mutations, options.jobs):
            print(_line(one), flush=True)
            done.append(one)
    keep(done, found)
    survived = [one for one in done if not one.caught]
    print(f"{len(done)} mutations, {len(survived)} not caught")
    return min(len(survived), 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutations")
    parser.add_argument("parts", nargs="*", default=[""], help="of the names of those to try; all without one")
    parser.add_argument("--jobs", type=int, default=JOBS, help="mutations at a time")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="where mutations.json goes")
    parser.add_argument("--table", action="store_true", help="write the table of docs/mutations.md from it, and try nothing")
    return parser.parse_args()


def _line(one: Outcome) -> str:
    if one.caught:
        return f"caught     {one.mutation.name}"
    why = one.trouble or "stayed green: " + ", ".join(one.missed)
    return f"NOT CAUGHT {one.mutation.name}: {why}"


def _write_table(found: Path) -> None:
    tried = read(found)
    write(ROOT / "docs" / "mutations.md", "\n\n".join(_section(title, group, tried) for title, group in GROUPS.items()))


def _section(title: str, group: Sequence[Mutation], tried: dict[str, bool]) -> str:
    rows = [Outcome(one, () if tried[one.name] else one.caught_by) for one in group if one.name in tried]
    return f"### {title}\n\n{table(rows)}"


if __name__ == "__main__":
    sys.exit(main())
