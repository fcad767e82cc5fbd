"""The tree, built again from the leaves of the ledger's rows, beside what is stored of it and what was signed over it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hub.ledger.findings import Finding
from hub.ledger.high_water import HighWater
from hub.ledger.signed_roots import LogKey, SignedRoot, SignedRoots
from hub.ledger.stored_tree import StoredTree, TreeSnapshot
from security.tiles import TILE_BYTES, TILE_HEIGHT, TILE_WIDTH, OpenTiles, Tile, TileMissing, TileReader, TileSource
from security.tree import HASH_BYTES, Frontier

KEPT_MAX_TILES = 16_384  # of 8 KiB each: where more are damaged, a backup is the way
MEND = "the hub goes on when it is mended; stop it and run: suozhan-hub verify --mend-tiles"


class TreeCheck:
    """Given the leaves of each row in the ledger's order. `begin` is the tree of what an earlier check has gone over; without
    `signed` only tiles are compared.
    """

    def __init__(self, stored: TreeSnapshot, tile: TileSource, signed: SignedRoots | None, begin: OpenTiles) -> None:
        self._stored = stored
        self._tile = tile
        self._signed = signed
        self.tiles = begin
        ordered = signed.ordered() if signed else []
        self._ahead = [root for root in reversed(ordered) if root.size >= begin.size]  # the next one last
        self._waiting: list[bytes] = []
        self._lost = False
        self._contradicted = False
        self.vouched = -1  # the largest size of which the root is the one that was signed
        self._sound = True  # nothing but tiles is wrong
        self._damaged_tiles = 0
        self.damaged: list[Tile] = []  # as they should be

    @property
    def size(self) -> int:
        """Leaves that were given; never more than the stored tree has."""
        return self.tiles.size + len(self._waiting)

    def begun(self) -> list[Finding]:
        """What can be said before the first leaf."""
        found = [Finding(f"tile {n} of level {level}", f"a tree of {self._stored.size} leaves has no such tile; {MEND}")
                 for level, n in self._stored.strays]
        if self._signed is not None:
            found += self._signed.findings
            # An earlier check has seen the checkpoints up to here, but perhaps not this mark, or an epoch.
            for root in self._signed.statements:
                found += self._compared(root, self._read_root(root.size)) if root.size < self.tiles.size else []
        return found + self._signed_here()

    def add(self, index: int, leaves: Sequence[bytes], doubtful: Collection[int] = ()) -> None:
        """Of a row that begins at `index`. What is missing before it, and what stands in the row at `doubtful` offsets, is taken
        from the tiles: so a damage is told once, and the signed root says whether they are right.
        """
        if self.size == index and not doubtful and index + len(leaves) <= self._stored.size:
            self._waiting += leaves
            return
        self._sound = self._sound and not doubtful and self.size >= min(index, self._stored.size)
        while self.size < min(index, self._stored.size) and not self._lost:
            held = self._held(self.size)
            self._lost = not held
            self._waiting += [held] if held else []
        if not self._lost:
            hashes = [(self._held(index + at) if at in doubtful else b"") or leaf for at, leaf in enumerate(leaves)]
            self._waiting += hashes[max(self.size - index, 0):][:self._stored.size - self.size]

    def settle(self) -> list[Finding]:
        """What the leaves show that were given since."""
        found: list[Finding] = []
        waiting, self._waiting = self._waiting, []
        at = 0
        while at < len(waiting):
            until = len(waiting)
            if self._ahead:
                until = min(until, at + self._ahead[-1].size - self.tiles.size)
            self.tiles, changed = self.tiles.extended(waiting[at:until])
            found += [one for tile in changed if len(tile.hashes) == TILE_BYTES for one in self._same(tile, self._tile)]
            found += self._signed_here()
            at = until
        return found

    def ended(self) -> list[Finding]:
        """What can be said behind the last leaf."""
        found = self.settle()
        if self.tiles.size < self._stored.size:
            self._sound = False
            reason = f"it covers {self._stored.size} entries, and cannot be built again behind {self.tiles.size} of them"
            return [*found, Finding("tree", reason)]
        for level, hashes in enumerate(self.tiles.hashes):
            tile = Tile(level, self.tiles.size >> (level + 1) * TILE_HEIGHT, hashes)
            found += self._same(tile, self._growing_then) if hashes else []
        for root in reversed(self._ahead):
            self._sound = False
            found.append(Finding(root.where, f"the stored tree ends at {self._stored.size} entries, {root.size} were signed"))
        return found

    @property
    def mendable(self) -> int:
        """How many tiles are wrong, if nothing else is, and the leaves give the root that was signed."""
        whole = self._sound and self.vouched > 0 and self._damaged_tiles == len(self.damaged)
        return len(self.damaged) + len(self.strays()) if whole else 0

    def strays(self) -> list[tuple[int, int]]:
        """Level and n of tiles that should not be there."""
        return self._stored.strays

    def _growing_then(self, level: int, n: int) -> bytes:
        return self._stored.growing[level, n]

    def _held(self, index: int) -> bytes:
        """The leaf hash that the tiles have there; b"" when they have none."""
        if index >= self._stored.size:
            return b""
        n, at = divmod(index, TILE_WIDTH)
        held = self._tile(0, n)[HASH_BYTES * at:HASH_BYTES * (at + 1)]
        return held if len(held) == HASH_BYTES else b""

    def _same(self, tile: Tile, stored: TileSource) -> list[Finding]:
        if stored(tile.level, tile.n) == tile.hashes:
            return []
        self._damaged_tiles += 1
        if len(self.damaged) < KEPT_MAX_TILES:
            self.damaged.append(tile)
        return [Finding(f"tile {tile.n} of level {tile.level}", f"is not what the leaves below it give; {MEND}")]

    def _signed_here(self) -> list[Finding]:
        found: list[Finding] = []
        while self._ahead and self._ahead[-1].size == self.tiles.size:
            found += self._compared(self._ahead.pop(), self.tiles.frontier().root())
        return found

    def _compared(self, signed: SignedRoot, root: bytes) -> list[Finding]:
        if root == signed.root:
            self.vouched, self._contradicted = max(self.vouched, signed.size), False
            return []
        self._sound = False
        if self._contradicted and signed.where.startswith("checkpoint"):  # each one behind it says the same
            return []
        self._contradicted = True
        return [Finding(signed.where, f"the first {signed.size} entries of this ledger are not those that were signed")]

    def _read_root(self, size: int) -> bytes:
        try:
            return Frontier.read(size, TileReader(self._tile).node).root()
        except TileMissing:
            return b""


def tree_check(tree: StoredTree, log: LogKey | None, mark: HighWater | None, begin: OpenTiles | None = None) -> TreeCheck:
    """Over what is stored now. Without `log` what was signed is not compared; without `mark` (a backup) no high-water mark."""
    marked = mark.read() if mark is not None else b""  # before the snapshot, which then has all that it speaks of
    snapshot = tree.snapshot()
    signed = SignedRoots(snapshot, log, mark, marked) if log is not None else None
    return TreeCheck(snapshot, tree.tile, signed, begin or OpenTiles())
