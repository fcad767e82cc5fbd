"""Rounds: each with a number, a seed, a folder and ports of its own; played several at a time, counted, and told."""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.soak.result import Result
from tests.soak.world import Ports, Template

JOBS = 2


@dataclass(frozen=True)
class Rounds:
    """Which rounds of a campaign: all, so many of them, or one alone; `template`: one that is made already."""

    count: int | None = None
    only: int | None = None
    jobs: int = JOBS
    template: Template | None = None

    def of(self, total: int, seed: int) -> list[int]:
        """Of rounds that are numbered from 0; fewer than all are drawn by the seed."""
        if self.only is not None:
            return [self.only]
        if self.count is None or self.count >= total:
            return list(range(total))
        return sorted(Random(seed).sample(range(total), self.count))


@dataclass(frozen=True)
class Round:
    """One of them. `random` depends on the campaign's seed and the number alone."""

    number: int
    random: Random
    folder: Path
    ports: Ports
    template: Template


@dataclass(frozen=True)
class Outcome:
    """Of what was played: records that were checked, and what else was counted."""

    records: int
    rounds: int = 1
    counted: Mapping[str, int] = field(default_factory=dict)


Play = Callable[[Round], Outcome]


class Campaign:
    """Plays rounds and adds up. A round that raises is a finding; its folder is kept, and the others go on."""

    def __init__(self, name: str, broke: str, folder: Path, seed: int, rounds: Rounds) -> None:
        self._name, self._broke, self._seed = name, broke, seed
        self._folder = folder
        self._jobs = rounds.jobs
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._ports: queue.SimpleQueue[Ports] = queue.SimpleQueue()
        self._counted: Tally[str] = Tally()
        self._findings: list[str] = []
        self._notes: list[str] = []
        self._rounds = self._records = 0
        self._template = rounds.template

    def play(self, numbers: Sequence[int], one: Play, label: str = "round") -> None:
        template = self._template or Template(self._folder / "template")
        if self._template is None:
            template.make()
            self._template = template
        while self._ports.qsize() < self._jobs:
            self._ports.put(Ports.free())
        with ThreadPoolExecutor(self._jobs) as workers:
            for done in [workers.submit(self._one, number, one, template, label) for number in numbers]:
                done.result()

    def _one(self, number: int, one: Play, template: Template, label: str) -> None:
        folder = self._folder / f"{label}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        ports = self._ports.get()
        began = time.monotonic()
        try:
            outcome = one(Round(number, Random(f"{self._seed}:{self._name}:{number}"), folder, ports, template))
        except Exception as error:  # noqa: BLE001 - whatever went wrong in a round is what the campaign looks for
            self._add(Outcome(0), f"{label} {number}: {type(error).__name__}: {error}".replace("\n", " / "))
        else:
            self._add(outcome)
            shutil.rmtree(folder)
        finally:
            self._ports.put(ports)
        self._tell(label, number, time.monotonic() - began)

    def _add(self, outcome: Outcome, finding: str = "") -> None:
        with self._lock:
            self._rounds += outcome.rounds
            self._records += outcome.records
            self._counted.update(outcome.counted)
            if finding:
                self._findings.append(finding)
                print(f"  FINDING {finding}", flush=True)

    def _tell(self, label: str, number: int, seconds: float) -> None:
        print(f"  {self._name} {label} {number}, seed {self._seed}: {seconds:.1f} s; so far {self._rounds} rounds, "
              f"{self._records:,} records checked, {len(self._findings)} findings", flush=True)

    def find(self, finding: str) -> None:
        """What no single round could see."""
        self._add(Outcome(0, 0), finding)

    def note(self, text: str) -> None:
        """For the table."""
        self._notes.append(text)

    def counted(self, what: str) -> int:
        return self._counted[what]

    def result(self) -> Result:
        shutil.rmtree(self._folder / "template", ignore_errors=True)
        return Result(self._name, self._rounds, self._broke, self._records, tuple(self._findings), self._seed,
                      round(time.monotonic() - self._began, 1), dict(sorted(self._counted.items())), tuple(self._notes))
