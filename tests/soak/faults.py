"""One fault at each call that writes, in turn, at the edge, at the hub and in a backup; then recovery and a full check.

The calls of a small piece of work are counted first. Then each of them fails once with EIO, once with ENOSPC, and each
write is once cut short; all others work. A process that lives through that has to go on by itself.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter as Tally
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.processes import CHECKOUT
from tests.soak.check import Broken, Check, wait_until_drained
from tests.soak.counter import Counter
from tests.soak.native import compiled
from tests.soak.result import Result
from tests.soak.rounds import Campaign, Outcome, Round, Rounds
from tests.soak.victims import SUBMISSIONS, VICTIMS, Faulty
from tests.soak.world import World

NAME = "faults"
BROKE = "each write, fsync, truncation and rename in turn: EIO, ENOSPC, short writes; edge, hub and backup"
KINDS = ("EIO", "ENOSPC", "SHORT")
WRITES = ("write", "pwrite64", "writev")
MET_MIN = 0.8
TRACED = ("write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate", "rename", "renameat", "renameat2", "pwritev")
TRACED_MAX_S = 60.0
_CALL = re.compile(r"\d+ +(\w+)\((.*)")


@dataclass(frozen=True)
class Fault:
    """The `at`-th call of the victim fails; 0: none does."""

    victim: str
    at: int = 0
    kind: str = ""

    def put_before(self, library: Path, log: Path) -> Faulty:
        return lambda folder: {
            "LD_PRELOAD": str(library), "SOAK_FAULT_FOLDER": str(folder), "SOAK_FAULT_LOG": str(log),
            "SOAK_FAULT_AT": str(self.at), "SOAK_FAULT_KIND": self.kind}


def run(folder: Path, seed: int, rounds: Rounds) -> Result:
    campaign = Campaign(NAME, BROKE, folder, seed, rounds)
    library = compiled("faults", folder)
    plans: list[Fault] = []
    campaign.play(range(len(VICTIMS)), lambda one: _count(one, library, plans), "count")
    if rounds.only is None:
        campaign.play([0], lambda one: _nothing_missed(one, library), "strace")
    plans.sort(key=lambda fault: (fault.victim, fault.at, fault.kind))
    chosen = rounds.of(len(plans), seed)
    campaign.play(chosen, lambda one: _round(one, library, plans[one.number]))
    if len(chosen) == len(plans) and campaign.counted("faults met") < MET_MIN * len(plans):
        campaign.find("many faults were met by nobody: the work is not what was counted")
    return campaign.result()


def _count(one: Round, library: Path, plans: list[Fault]) -> Outcome:
    victim = list(VICTIMS)[one.number]
    log = one.folder / "calls"
    with World(one.template, one.folder, one.ports) as world:
        VICTIMS[victim](world, Counter(world), Fault(victim).put_before(library, log))
    calls = [line.split()[1] for line in log.read_text(encoding="utf-8").splitlines()]
    plans += [Fault(victim, at, kind) for at, call in enumerate(calls, 1) for kind in KINDS
              if kind != "SHORT" or call in WRITES]
    return Outcome(0, 0, {f"calls of {victim}": len(calls)})


def _nothing_missed(one: Round, library: Path) -> Outcome:
    """Whether the library counts what the kernel is asked: one backup under strace, which knows nothing of libc."""
    log, traced = one.folder / "calls", one.folder / "traced"
    with World(one.template, one.folder, one.ports) as world:
        environment = Fault("backup").put_before(library, log)(one.folder)
        # `env` within strace: what is put before the traced process is not put before strace.
        subprocess.run(
            ["strace", "-f", "-y", "-o", traced, "-e", f"trace={','.join(TRACED)}", "env",
             *(f"{name}={value}" for name, value in environment.items()), sys.executable, "-m", "hub.command",
             "--state", world.hub_state, "backup", one.folder / "backup.db"],
            cwd=CHECKOUT, check=True, capture_output=True, timeout=TRACED_MAX_S)
    seen = Tally(call.group(1) for call in map(_CALL.match, traced.read_text(encoding="utf-8", errors="replace").splitlines())
                 if call and str(one.folder) in call.group(2) and str(log) not in call.group(2))
    counted = Tally(line.split()[1].removesuffix("64") for line in log.read_text(encoding="utf-8").splitlines())
    if (ours := sum(counted.values())) != (theirs := sum(seen.values())):
        raise Broken([f"strace sees {theirs} calls {dict(seen)}, the library counts {ours} {dict(counted)}"])
    return Outcome(0, 0, {"calls of a backup, by strace and by us": theirs})


def _round(one: Round, library: Path, fault: Fault) -> Outcome:
    log = one.folder / "calls"
    with World(one.template, one.folder, one.ports) as world:
        counter, check = Counter(world), Check(world)
        ended = VICTIMS[fault.victim](world, counter, fault.put_before(library, log))
        check.now(counter.said)
        world.stop()
        world.with_environment()
        world.start()
        counter.submit(SUBMISSIONS + 1 - len(counter.said))
        wait_until_drained(world)
        check.now(counter.said, drained=True)
        world.stop()
        assert not counter.wrong, counter.wrong[:5]
    met = log.exists() and "!" in log.read_text(encoding="utf-8")
    counted: Tally[str] = Tally({"faults met": int(met)})
    if met:
        counted[f"{fault.victim} {ended}"] += 1
    return Outcome(check.records, 1, counted)
