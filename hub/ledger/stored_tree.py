"""What the database says of the tree, read for an auditor: it may be damaged, so nothing of it is taken for granted."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from security.durable_sqlite import open_durable, open_readonly, transaction
from security.tiles import TILE_HEIGHT, TILE_WIDTH
from security.tree import SIZE_MAX_LEAVES

STRAYS_MAX = 100

_SIZE = "SELECT size FROM tree_head"
_TILE = "SELECT hashes FROM tiles WHERE level = ? AND n = ? AND typeof(hashes) = 'blob'"  # a flipped bit makes a text of it
_STRAYS = "SELECT level, n FROM tiles WHERE level = ? AND n >= ? LIMIT ?"
_STRAY_LEVELS = "SELECT level, n FROM tiles WHERE level < 0 OR level >= ? LIMIT ?"
_EPOCHS = "SELECT epoch, CASE typeof(statement) WHEN 'text' THEN statement END FROM epochs ORDER BY epoch"
_CHECKPOINTS = "SELECT epoch, size, CASE typeof(note) WHEN 'text' THEN note END FROM checkpoints ORDER BY size, epoch"


@dataclass(frozen=True, slots=True)
class StoredNote:
    """A signed note as it is stored, and what its row says of it. `size` is None for an epoch's statement."""

    epoch: int
    size: int | None
    note: bytes


@dataclass(frozen=True, slots=True)
class TreeSnapshot:
    """All of one moment. `growing`: the tiles that were not full then, by level and n (b"" where none was); `strays`: tiles
    that a tree of this size does not have.
    """

    size: int
    growing: dict[tuple[int, int], bytes]
    strays: list[tuple[int, int]]
    epochs: list[StoredNote]
    checkpoints: list[StoredNote]


class StoredTree:
    """`with StoredTree(path) as tree`. Opening never creates. One thread at a time."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self._path = path
        self._readonly = readonly

    def __enter__(self) -> StoredTree:
        self._db = open_readonly(self._path) if self._readonly else open_durable(self._path)
        self._db.text_factory = bytes
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._db.close()

    def tile(self, level: int, n: int) -> bytes:
        """The hashes of a tile, b"" when there is none, or something that is no hashes."""
        row = self._db.execute(_TILE, (level, n)).fetchone()
        return bytes(row[0]) if row else b""

    def snapshot(self) -> TreeSnapshot:
        """Beside a hub that goes on writing."""
        self._db.execute("BEGIN")
        try:
            (size,) = self._db.execute(_SIZE).fetchone() or (0,)
            size = size if isinstance(size, int) and 0 <= size <= SIZE_MAX_LEAVES else 0
            growing = {(level, n): self.tile(level, n) for level, n in _growing(size)}
            epochs = [StoredNote(epoch, None, note or b"") for epoch, note in self._db.execute(_EPOCHS)]
            checkpoints = [StoredNote(epoch, size, note or b"") for epoch, size, note in self._db.execute(_CHECKPOINTS)]
            return TreeSnapshot(size, growing, self._strays(size), epochs, checkpoints)
        finally:
            self._db.execute("COMMIT")

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """BEGIN IMMEDIATE … COMMIT, or nothing."""
        with transaction(self._db):
            yield self._db

    def _strays(self, size: int) -> list[tuple[int, int]]:
        levels = _levels(size)
        found = self._db.execute(_STRAY_LEVELS, (levels, STRAYS_MAX)).fetchall()
        for level in range(levels):
            width = -(-(size >> level * TILE_HEIGHT) // TILE_WIDTH)
            found += self._db.execute(_STRAYS, (level, width, STRAYS_MAX)).fetchall()
        return [(level, n) for level, n in found]


def _levels(size: int) -> int:
    return -(-size.bit_length() // TILE_HEIGHT)


def _growing(size: int) -> list[tuple[int, int]]:
    return [(level, size >> (level + 1) * TILE_HEIGHT) for level in range(_levels(size))]

