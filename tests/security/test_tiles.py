"""Tiles hold the same tree: whatever is written in runs can be read at every size it ever had."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from security.proofs import check_consistency, check_inclusion, consistency_proof, inclusion_proof
from security.tiles import CACHE_MAX_TILES, TILE_BYTES, OpenTiles, TileMissing, TileReader, tile_width, tiles_of
from security.tree import EMPTY_ROOT, Frontier, node_hash
from tests.security import rfc6962

LEAVES = rfc6962.leaves(70_000)
MARKS = [0, 1, 2, 255, 256, 257, 511, 512, 3_000, 65_535, 65_536, 65_537, 65_792, 70_000]
Rows = dict[tuple[int, int], bytes]


class Table:
    """Rows of tiles as a database keeps them, and how often each was asked for."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.asked: list[tuple[int, int]] = []

    def tile(self, level: int, n: int) -> bytes:
        self.asked.append((level, n))
        return self.rows.get((level, n), b"")


def _grown(table: Table, open_tiles: OpenTiles, end: int) -> OpenTiles:
    open_tiles, changed = open_tiles.extended(LEAVES[open_tiles.size:end])
    for tile in changed:
        held = table.rows.get((tile.level, tile.n), b"")
        assert tile.hashes.startswith(held), "a tile only grows"
        assert len(tile.hashes) > len(held)
        table.rows[tile.level, tile.n] = tile.hashes
    return open_tiles


@pytest.fixture(scope="module")
def table() -> Table:
    table, open_tiles = Table(), OpenTiles()
    for _, end in pairwise(MARKS):
        open_tiles = _grown(table, open_tiles, end)
    return table


def test_what_is_written_at_each_size_is_what_the_size_says_no_more_and_no_less() -> None:
    table, open_tiles, frontier = Table(), OpenTiles(), Frontier()
    for start, end in pairwise(MARKS):
        open_tiles, frontier = _grown(table, open_tiles, end), frontier.extended(LEAVES[start:end])
        assert {at: len(row) for at, row in table.rows.items()} == {
            (level, n): 32 * width for level, n, width in tiles_of(end)}
        assert open_tiles.frontier() == frontier
        assert OpenTiles.read(end, table.tile) == open_tiles


def test_the_hashes_in_the_tiles_are_those_of_the_tree(table: Table) -> None:
    assert table.rows[0, 0] == b"".join(LEAVES[:256])
    assert table.rows[0, 273] == b"".join(LEAVES[69_888:])
    assert table.rows[1, 0] == b"".join(rfc6962.root(LEAVES[start:start + 256]) for start in range(0, 65_536, 256))
    assert table.rows[2, 0] == rfc6962.root(LEAVES[:65_536])
    assert (2, 1) not in table.rows
    assert sorted({level for level, _ in table.rows}) == [0, 1, 2]


def test_leaves_one_at_a_time_write_only_the_tiles_that_changed() -> None:
    table, open_tiles = Table(), OpenTiles()
    for size in range(1, 600):
        before = dict(table.rows)
        open_tiles = _grown(table, open_tiles, size)
        changed = {at for at, row in table.rows.items() if before.get(at) != row}
        assert changed == {(0, (size - 1) // 256)} | ({(1, 0)} if size % 256 == 0 else set())
        assert open_tiles.frontier().root() == rfc6962.root(LEAVES[:size])


def test_nothing_is_written_for_no_leaves() -> None:
    open_tiles, _ = OpenTiles().extended(LEAVES[:300])
    assert open_tiles.extended([]) == (open_tiles, [])
    assert OpenTiles().extended([]) == (OpenTiles(), [])
    assert OpenTiles().frontier().root() == EMPTY_ROOT


def test_every_past_size_is_read_out_of_tiles_that_have_grown(table: Table) -> None:
    for size in [*MARKS, 12_345, 65_600]:
        whole = Frontier().extended(LEAVES[:size])
        assert Frontier.read(size, TileReader(table.tile).node) == whole
        assert OpenTiles.read(size, table.tile).frontier() == whole


def test_a_tree_goes_on_from_what_was_read_of_it(table: Table) -> None:
    again, open_tiles = Table(), OpenTiles.read(3_000, table.tile)
    open_tiles, changed = open_tiles.extended(LEAVES[3_000:])
    again.rows = {at: table.rows[at] for at in [(0, n) for n in range(3_000 // 256)]} | {
        (tile.level, tile.n): tile.hashes for tile in changed}
    assert again.rows == table.rows


def test_proofs_come_out_of_tiles(table: Table) -> None:
    random, node = Random(3), TileReader(table.tile).node
    for _ in range(60):
        size = random.choice([*MARKS[1:], random.randrange(1, 70_001)])
        index, old = random.randrange(size), random.randrange(size + 1)
        root = Frontier.read(size, node).root()
        check_inclusion(LEAVES[index], index, size, inclusion_proof(index, size, node), root)
        check_consistency(old, Frontier.read(old, node).root(), size, root, consistency_proof(old, size, node))


def test_a_node_may_stand_anywhere_in_a_tile(table: Table) -> None:
    node = TileReader(table.tile).node
    for level, index in ((0, 69_999), (3, 1_000), (7, 545), (8, 272), (9, 135), (15, 1), (16, 0)):
        assert node(level, index) == rfc6962.root(LEAVES[index << level:(index + 1) << level])
    assert node(16, 0) == node_hash(node(15, 0), node(15, 1))


@pytest.mark.parametrize(("level", "index"), [(0, 70_000), (0, 70_143), (0, 10**9), (4, 4_375), (8, 273), (16, 1), (17, 0),
                                              (24, 0)])
def test_a_subtree_that_is_not_complete_is_missing(table: Table, level: int, index: int) -> None:
    with pytest.raises(TileMissing, match="check the tiles"):
        TileReader(table.tile).node(level, index)


def test_a_tile_is_read_once_and_again_only_when_it_has_grown() -> None:
    table, reader = Table(), None
    reader = TileReader(table.tile)
    open_tiles = _grown(table, OpenTiles(), 100)
    for index in range(100):
        assert reader.node(0, index) == LEAVES[index]
    assert table.asked == [(0, 0)]
    _grown(table, open_tiles, 200)
    assert [reader.node(0, index) for index in (99, 150, 199)] == [LEAVES[index] for index in (99, 150, 199)]
    assert table.asked == [(0, 0)] * 2


def test_a_reader_holds_a_bounded_number_of_tiles(table: Table) -> None:
    reader = TileReader(table.tile)
    for n in range(273):
        reader.node(0, n * 256)
    assert len(reader._cache) == CACHE_MAX_TILES


def test_tiles_that_are_too_short_for_their_size_are_named(table: Table) -> None:
    with pytest.raises(TileMissing, match="70001 leaves"):
        OpenTiles.read(70_001, table.tile)
    short = dict(table.rows) | {(1, 1): table.rows[1, 1][:-32]}
    with pytest.raises(TileMissing, match="70000 leaves"):
        OpenTiles.read(70_000, lambda level, n: short[level, n])
    for hashes in ((), (bytes(31),), (bytes(32), bytes(32)), (bytes(64),)):
        with pytest.raises(TileMissing):
            OpenTiles(1, hashes)


@pytest.mark.parametrize(("level", "n", "size", "width"), [
    (0, 0, 0, 0), (0, 0, 1, 1), (0, 0, 256, 256), (0, 1, 256, 0), (0, 1, 257, 1), (1, 0, 255, 0), (1, 0, 256, 1),
    (1, 0, 70_000, 256), (1, 1, 70_000, 17), (2, 0, 70_000, 1), (3, 0, 70_000, 0)])
def test_a_tile_is_as_wide_as_the_tree_has_hashes_for_it(level: int, n: int, size: int, width: int) -> None:
    assert tile_width(level, n, size) == width


def test_the_tiles_of_the_specification_s_example() -> None:
    """A tree of 70,000 leaves, from the text of C2SP tlog-tiles."""
    tiles = list(tiles_of(70_000))
    assert tiles[:273] == [(0, n, 256) for n in range(273)]
    assert tiles[273:] == [(0, 273, 112), (1, 0, 256), (1, 1, 17), (2, 0, 1)]
    assert TILE_BYTES == 8192
