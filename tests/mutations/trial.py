"""Each mutation in a copy of the tree: its tests are green without it, and every one of them red with it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.mutations.checkout import ROOT, Checkout
from tests.mutations.mutation import Mutation, MutationStale

FAILED_TESTS = 1  # pytest's exit code where tests ran and some failed; 2 and more: they could not run


@dataclass(frozen=True, slots=True)
class Outcome:
    """`missed`: tests that stayed green; `trouble`: why nothing is proved ("" if all is well)."""

    mutation: Mutation
    missed: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def caught(self) -> bool:
        return not self.missed and not self.trouble


def check_sources(mutations: Sequence[Mutation]) -> None:
    """Raises MutationStale, which names each mutation that no longer fits."""
    stale = []
    for one in mutations:
        try:
            one.applied(ROOT)
        except MutationStale as error:
            stale.append(str(error))
    if stale:
        raise MutationStale("\n".join(stale))


def green(folder: Path, mutations: Sequence[Mutation]) -> str:
    """Runs every test that is named once, on the sources as they are. "" or what is wrong."""
    checkout = Checkout(folder)
    checkout.make()
    run = checkout.run(sorted({test for one in mutations for test in one.caught_by}))
    return run.tail if run.code else ""


def outcomes(folder: Path, mutations: Sequence[Mutation], jobs: int) -> Iterator[Outcome]:
    """As they become known."""
    free: SimpleQueue[Checkout] = SimpleQueue()
    for number in range(jobs):
        checkout = Checkout(folder / str(number))
        checkout.make()
        free.put(checkout)

    def tried(mutation: Mutation) -> Outcome:
        checkout = free.get()
        try:
            return _tried(checkout, mutation)
        finally:
            free.put(checkout)

    with ThreadPoolExecutor(jobs) as threads:
        for done in as_completed([threads.submit(tried, one) for one in mutations]):
            yield done.result()


def _tried(checkout: Checkout, mutation: Mutation) -> Outcome:
    try:
        with checkout.holding(mutation.applied(checkout.root)):
            run = checkout.run(mutation.caught_by)
    except subprocess.TimeoutExpired:
        return Outcome(mutation, trouble="the tests did not come to an end")
    if run.code not in {0, FAILED_TESTS}:
        return Outcome(mutation, trouble=run.tail)
    return Outcome(mutation, tuple(test for test in mutation.caught_by if test not in run.red))
