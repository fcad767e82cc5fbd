"""The tree as files: C2SP tlog-tiles (https://c2sp.org/tlog-tiles), 256 hashes a tile, levels of 8.

Tile n of level L holds the roots of complete subtrees of 256^L leaves, the n * 256th and those after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from security.tree import HASH_BYTES, Frontier, parents, split_hashes

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_BYTES
CACHE_MAX_TILES = 64

# The hashes of tile (level, n), one after the other, as many as there are.
TileSource = Callable[[int, int], bytes]


class TileMissing(LookupError):
    """A tile that is not there, or too short for what the tree's size says it holds."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A row to write: 1 to 256 hashes, one after the other. It replaces a shorter one of the same level and n."""

    level: int
    n: int
    hashes: bytes


def tile_width(level: int, n: int, size: int) -> int:
    """How many hashes tile (level, n) holds in a tree of `size` leaves: 0 (no such tile) to 256."""
    return min(max((size >> level * TILE_HEIGHT) - n * TILE_WIDTH, 0), TILE_WIDTH)


def tiles_of(size: int) -> Iterator[tuple[int, int, int]]:
    """(level, n, width) of every tile of a tree of `size` leaves, from the leaves up."""
    level = 0
    while hashes := size >> level * TILE_HEIGHT:
        for n in range(-(-hashes // TILE_WIDTH)):
            yield level, n, tile_width(level, n, size)
        level += 1


@dataclass(frozen=True)
class TileReader:
    """`node` of a tree that is stored in tiles. Tiles only grow, so what was read once stays true."""

    tile: TileSource
    _cache: dict[tuple[int, int], bytes] = field(default_factory=dict, repr=False, compare=False)

    def node(self, level: int, index: int) -> bytes:
        """Root of the complete subtree of 2^level leaves at `index`. Raises TileMissing when the tiles end before it."""
        tile_level, above = divmod(level, TILE_HEIGHT)
        n, start = divmod(index << above, TILE_WIDTH)
        row = self._hashes(tile_level, n, start, start + (1 << above))
        for _ in range(above):
            row = parents(row)
        return row[0]

    def _hashes(self, level: int, n: int, start: int, end: int) -> list[bytes]:
        held = self._cache.get((level, n), b"")
        if len(held) < end * HASH_BYTES:
            held = self.tile(level, n)
            if len(held) < end * HASH_BYTES:
                raise TileMissing(f"tile {n} of level {level} has {len(held)} bytes, {end * HASH_BYTES} are needed; "
                                  "check the tiles against the ledger")
            self._remember(level, n, held)
        return split_hashes(held[start * HASH_BYTES:end * HASH_BYTES])

    def _remember(self, level: int, n: int, held: bytes) -> None:
        if len(self._cache) >= CACHE_MAX_TILES:
            self._cache.pop(next(iter(self._cache)))
        self._cache[level, n] = held


@dataclass(frozen=True, slots=True)
class OpenTiles:
    """Where a tree grows: its size and the hashes of the incomplete tile of each level (empty where none is)."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        widths = _open_widths(self.size)
        if [len(joined) for joined in self.hashes] != [width * HASH_BYTES for width in widths]:
            raise TileMissing(f"the incomplete tiles are not those of {self.size} leaves; check the tiles against the ledger")

    @classmethod
    def read(cls, size: int, tile: TileSource) -> OpenTiles:
        """From stored tiles that may have grown further. Raises TileMissing when they have not grown so far."""
        widths = _open_widths(size)
        rows = (tile(level, size >> (level + 1) * TILE_HEIGHT)[:width * HASH_BYTES] if width else b""
                for level, width in enumerate(widths))
        return cls(size, tuple(rows))

    def extended(self, leaf_hashes: Sequence[bytes]) -> tuple[OpenTiles, list[Tile]]:
        """After these leaves; and each tile that has changed, in the order of writing: levels up, n up."""
        size = self.size + len(leaf_hashes)
        rows, changed, run = list[bytes](), list[Tile](), list(leaf_hashes)
        for level in range(len(_open_widths(size))):
            held = self.hashes[level] if level < len(self.hashes) else b""
            row = held + b"".join(run)
            if run:
                first = self.size >> (level + 1) * TILE_HEIGHT
                changed += [Tile(level, first + start // TILE_BYTES, row[start:start + TILE_BYTES])
                            for start in range(0, len(row), TILE_BYTES)]
            whole = len(row) // TILE_BYTES * TILE_BYTES
            run = _tile_roots(split_hashes(held) + run if whole else [])
            rows.append(row[whole:])
        return OpenTiles(size, tuple(rows)), changed

    def frontier(self) -> Frontier:
        """The right edge of the same tree; its `root()` is what a checkpoint signs."""
        edges = (Frontier().extended(split_hashes(joined)).hashes for joined in reversed(self.hashes))
        return Frontier(self.size, tuple(hash_ for edge in edges for hash_ in edge))


def _open_widths(size: int) -> list[int]:
    levels = -(-size.bit_length() // TILE_HEIGHT)
    return [size >> level * TILE_HEIGHT & TILE_WIDTH - 1 for level in range(levels)]


def _tile_roots(row: list[bytes]) -> list[bytes]:
    """Of the complete tiles in a row of hashes that begins with a tile."""
    del row[len(row) // TILE_WIDTH * TILE_WIDTH:]
    for _ in range(TILE_HEIGHT):
        row = parents(row)
    return row
