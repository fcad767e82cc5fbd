"""`python -m tests.bench [drain] [wire] [submit] [restart] [tree] [proof] [verify] [devices]`; without names, all of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.bench.devices import devices
from tests.bench.drain import drain
from tests.bench.figures import publish
from tests.bench.ledger import proof, tree, verify
from tests.bench.restart import restart
from tests.bench.submit import submit
from tests.bench.wire import wire

BUILD = Path(__file__).resolve().parents[2] / "build"
NAMES = ("drain", "wire", "submit", "restart", "tree", "proof", "verify", "devices")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="which; all without a name")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--records", type=int, default=100_000, help="of a drain")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="of a restart")
    parser.add_argument("--ledger", type=int, default=1_000_000, help="records of tree and verify")
    parser.add_argument("--leaves", type=int, default=10_000_000, help="of a proof's tree")
    parser.add_argument("--build", type=Path, default=BUILD, help="where bench.json and the work folders go")
    options = parser.parse_args()
    folder = options.build.absolute() / "bench"
    for name in options.names or NAMES:
        match name:
            case "drain":
                figures = drain(folder / name, options.runs, options.records)
            case "wire":
                figures = wire(folder / name, options.runs, options.records)
            case "submit":
                figures = submit(folder / name, options.runs)
            case "tree":
                figures = tree(folder / name, options.ledger)
            case "proof":
                figures = proof(folder / name, options.leaves)
            case "verify":
                figures = verify(folder / name, options.runs, options.ledger)
            case "devices":
                figures = devices(folder / name)
            case _:
                figures = restart(folder / name, options.runs, options.backlog)
        publish(figures, folder.with_suffix(".json"))


if __name__ == "__main__":
    main()
