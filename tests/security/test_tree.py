"""The tree is RFC 6962's, however its leaves arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.tree import EMPTY_ROOT, Frontier, leaf_hash_of, node_hash, parents, split_hashes
from tests.security import rfc6962

LEAVES = rfc6962.leaves(1100)


def test_the_empty_tree_and_the_two_kinds_of_hashes_are_those_of_the_rfc() -> None:
    assert rfc6962.root([]) == EMPTY_ROOT
    # Of the vectors that Certificate Transparency's first implementation published.
    assert leaf_hash_of(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    left, right = leaf_hash_of(b""), leaf_hash_of(b"\0")
    assert node_hash(left, right).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert parents([left, right]) == [node_hash(left, right)]


def test_a_frontier_has_the_root_of_the_rfc_at_every_size() -> None:
    frontier = Frontier()
    for size in range(300):
        assert frontier.root() == rfc6962.root(LEAVES[:size])
        frontier = frontier.extended(LEAVES[size:size + 1])


@given(st.lists(st.integers(0, 1100), max_size=12))
def test_it_does_not_matter_in_which_runs_the_leaves_arrive(cuts: list[int]) -> None:
    frontier = Frontier()
    for start, end in pairwise([0, *sorted(cuts), 1100]):
        frontier = frontier.extended(LEAVES[start:end])
        assert frontier.size == end
    assert frontier == Frontier().extended(LEAVES)
    assert frontier.root() == ROOT


ROOT = rfc6962.root(LEAVES)


def test_a_frontier_survives_being_kept() -> None:
    for size in (0, 1, 2, 255, 256, 1023, 1100):
        frontier = Frontier().extended(LEAVES[:size])
        assert Frontier.from_bytes(size, frontier.to_bytes()) == frontier
        assert len(frontier.to_bytes()) == 32 * size.bit_count()


def test_a_frontier_of_a_past_size_is_read_out_of_a_tree_that_has_grown() -> None:
    node = rfc6962.nodes(LEAVES)
    for size in (0, 1, 2, 3, 255, 256, 257, 700, 1100):
        assert Frontier.read(size, node) == Frontier().extended(LEAVES[:size])


@pytest.mark.parametrize(("size", "joined"), [(1, b""), (0, bytes(32)), (3, bytes(32)), (1, bytes(31)), (1, bytes(33)),
                                              (2, bytes(64)), (-1, bytes(32))])
def test_what_is_no_right_edge_of_its_size_is_refused(size: int, joined: bytes) -> None:
    with pytest.raises(ValueError, match=r"begin anew|get them again"):
        Frontier.from_bytes(size, joined)


def test_a_frontier_takes_only_hashes_of_32_bytes() -> None:
    with pytest.raises(ValueError, match="begin anew"):
        Frontier(1, (bytes(31),))
    with pytest.raises(ValueError, match="begin anew"):
        Frontier(3, (bytes(40), bytes(24)))


def test_hashes_are_split_only_where_they_come_out_even() -> None:
    assert split_hashes(bytes(64)) == [bytes(32), bytes(32)]
    with pytest.raises(ValueError, match="63 bytes"):
        split_hashes(bytes(63))
    with pytest.raises(ValueError, match="zip"):
        parents([bytes(32)])
