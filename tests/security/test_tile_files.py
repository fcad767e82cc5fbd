"""The files of a log, by the names that other people's tools ask for (C2SP tlog-tiles)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.chain import leaf_entry, leaf_hash
from security.tile_files import BadBundle, BadTilePath, TilePath, bundle_of, entries_of
from security.tiles import tiles_of
from security.tree import leaf_hash_of

EXAMPLES = [
    ("tile/0/000", TilePath(0, 0)),
    ("tile/0/000.p/1", TilePath(0, 0, 1)),
    ("tile/1/x001/234.p/255", TilePath(1, 1234, 255)),
    ("tile/0/x001/x234/067", TilePath(0, 1234067)),  # the number of the specification's example
    ("tile/63/000.p/1", TilePath(63, 0, 1)),
    ("tile/entries/999", TilePath(None, 999)),
    ("tile/entries/x001/000.p/7", TilePath(None, 1000, 7)),
]
NO_TILES = [
    "", "tile", "tile/0", "tile/0/", "/tile/0/000", "tile/0/000/", "tile/0/000\n", " tile/0/000", "tile/0/000 ", "Tile/0/000",
    "tile/00/000", "tile/01/000", "tile/64/000", "tile/-1/000", "tile/+1/000", "tile/x/000", "tile/100/000",
    "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000", "tile/0/x000/000", "tile/0/x000/x001/000", "tile/0/001/000",
    "tile/0/x1/000", "tile/0/X001/000", "tile/0/x0001/000", "tile/0/x001//000", "tile/0/../000", "tile/0/٠٠٠", "tile/0/000.p",
    "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/01", "tile/0/000.p/256", "tile/0/000.p/-1", "tile/0/000.p/1000",
    "tile/0/000.p/1/", "tile/0/000.P/1", "tile/0/000.p/1.p/1", "tile/data/000", "tile/Entries/000", "tile/entries/0/000",
    "tile/7/001", "tile/8/000x", "tile/8/001", "tile/0/x099/x999/x999/x999/x999/x999/999", "tile/0/%30%30%30", "checkpoint",
    "tile/0/x" + "1" * 5000,
]


@pytest.mark.parametrize(("text", "path"), EXAMPLES)
def test_a_path_is_written_and_read_as_specified(text: str, path: TilePath) -> None:
    assert str(path) == text
    assert TilePath.parse(text) == path


@pytest.mark.parametrize("text", NO_TILES)
def test_anything_else_names_no_tile(text: str) -> None:
    with pytest.raises(BadTilePath, match="names no tile"):
        TilePath.parse(text)


@given(st.none() | st.integers(0, 5), st.integers(0, 10**9), st.integers(1, 256))
def test_each_tile_has_one_path(level: int | None, n: int, width: int) -> None:
    path = TilePath(level, n, width)
    if path.possible():
        assert TilePath.parse(str(path)) == path


@given(st.text("tile/0123456789xp.entris", max_size=40))
def test_each_path_names_one_tile(text: str) -> None:
    try:
        path = TilePath.parse(text)
    except BadTilePath:
        return
    assert str(path) == text


def test_the_largest_tree_has_paths_for_its_last_tiles() -> None:
    assert TilePath(0, (2**63 - 1) // 256, 255).possible()
    assert TilePath.parse(str(TilePath(0, (2**63 - 1) // 256, 255)))
    assert not TilePath(0, 2**55).possible()
    assert len({str(TilePath(*tile)) for tile in tiles_of(70_000)}) == 277


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_entries_come_out_of_a_bundle_as_they_went_in(entries: list[bytes]) -> None:
    assert entries_of(bundle_of(entries), len(entries)) == entries


def test_a_bundle_is_lengths_and_entries() -> None:
    assert bundle_of([b"a", b"", b"bc" * 200]) == b"\0\1a" + b"\0\0" + b"\x01\x90" + b"bc" * 200
    assert entries_of(bundle_of([bytes(65_535)]), 1) == [bytes(65_535)]
    with pytest.raises(OverflowError):
        bundle_of([bytes(65_536)])


@pytest.mark.parametrize(("bundle", "count"), [(b"", 1), (b"\0", 1), (b"\0\1", 1), (b"\0\1ab", 1), (b"\0\1a\0", 1), (b"\0\1a", 0),
                                               (b"\0\1a", 2), (b"\0\1a\0\2b", 2), (b"\xff\xffa", 1)])
def test_a_bundle_that_is_cut_or_holds_another_number_is_refused(bundle: bytes, count: int) -> None:
    with pytest.raises(BadBundle, match="fetch it again"):
        entries_of(bundle, count)


def test_the_entry_of_a_record_hashes_to_its_leaf() -> None:
    record = (bytes([1]) * 32, bytes([2]) * 16, 2**62, bytes([3]) * 32, bytes([4]) * 64, 1_700_000_000_000)
    entry = leaf_entry(*record)
    assert len(entry) == 144
    assert leaf_hash_of(entry) == leaf_hash(*record)
