"""The mutations still fit the sources, and the tests that they name are there: a list that has rotted proves nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutations.__main__ import GROUPS
from tests.mutations.checkout import ROOT
from tests.mutations.mutation import Mutation, MutationStale, mutation
from tests.mutations.page import BEGIN, END, write
from tests.mutations.trial import check_sources

MUTATIONS = [one for group in GROUPS.values() for one in group]


def _functions(file: Path) -> set[str]:
    return {node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


def test_every_mutation_fits_the_sources() -> None:
    check_sources(MUTATIONS)
    assert len({one.name for one in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("one", MUTATIONS, ids=lambda one: one.name)
def test_the_tests_that_catch_it_are_there(one: Mutation) -> None:
    assert one.caught_by
    for test in one.caught_by:
        file, _, function = test.partition("::")
        assert function in _functions(ROOT / file), f"{test} is gone: name the test that catches {one.name!r} now"


def test_every_failure_of_a_peer_has_a_mutation() -> None:
    assert {one.peer for one in MUTATIONS if one.peer} == set(range(1, 16))


def test_a_mutation_that_does_not_fit_is_named() -> None:
    stale = mutation("a guard", "security/tree.py", "no such text", "", "tests/security/test_tree.py::test")
    often = mutation("another", "security/tree.py", "return", "", "tests/security/test_tree.py::test")
    with pytest.raises(MutationStale, match=r"a guard: .* 0 times[^\n]*\nanother: .* times"):
        check_sources([stale, often])


def test_the_table_goes_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        write(page, "| new |")
    assert page.read_text() == f"before\n{BEGIN}\n\n| new |\n\n{END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="put them back"):
        write(page, "x")
