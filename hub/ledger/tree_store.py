"""The transparency log in SQLite: tiles, epochs, signed checkpoints. Synchronous; one instance per thread of use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from uuid import UUID

from hub.ledger.runs import HASH_BYTES, Damaged
from security.chain import leaf_entry
from security.durable_sqlite import open_durable, open_readonly, transaction
from security.tiles import Tile
from security.tree import SIZE_MAX_LEAVES, split_hashes

STEP_MAX_LEAVES = 32_768
CHECKPOINTS_KEPT = 10_000

_LEAVES = "SELECT idx, count, leaves FROM runs WHERE idx >= ? ORDER BY idx"
_TILE = "SELECT hashes FROM tiles WHERE level = ? AND n = ?"
_WRITE_TILE = "INSERT INTO tiles VALUES (?, ?, ?) ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes"
_LAST_IN = """
SELECT r.idx, r.first, r.count, r.arrived_ms FROM runs r JOIN journals j ON j.ref = r.journal
WHERE j.journal = ? AND r.first + r.count - 1 > ? AND r.idx < ? ORDER BY r.first DESC LIMIT 1
"""
_ENTRIES = """
SELECT r.idx, r.first, r.count, r.arrived_ms, r.sizes, r.digests, r.signatures, j.journal, j.key_id
FROM runs r JOIN journals j ON j.ref = r.journal
WHERE r.idx >= (SELECT coalesce(max(idx), 0) FROM runs WHERE idx <= ?) AND r.idx < ? ORDER BY r.idx
"""
_EPOCHS = "SELECT CASE typeof(statement) WHEN 'text' THEN statement ELSE '' END FROM epochs ORDER BY epoch"
_NEWEST = "SELECT note FROM checkpoints WHERE epoch = ? AND size <= ? ORDER BY size DESC LIMIT 1"
_THIN = """
DELETE FROM checkpoints WHERE epoch = ? AND size <= (
    SELECT size FROM checkpoints WHERE epoch = ? ORDER BY size DESC LIMIT 1 OFFSET ?)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a journal's record stands in the tree."""

    position: int
    index: int
    arrived_ms: int


class TreeStore:
    """`with TreeStore(path) as store`. Opening never creates."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self._path = path
        self._readonly = readonly

    def __enter__(self) -> TreeStore:
        self._db = open_readonly(self._path) if self._readonly else open_durable(self._path)
        self._db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")  # damage is told where it is read
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._db.close()

    # ---- tiles ----

    def size(self) -> int:
        """Leaves that the tiles cover."""
        return int(self._db.execute("SELECT size FROM tree_head").fetchone()[0])

    def tile(self, level: int, n: int) -> bytes:
        """The hashes of a tile, b"" when there is none."""
        row = self._db.execute(_TILE, (level, n)).fetchone()
        return bytes(row[0]) if row else b""

    def leaves(self, after: int) -> list[bytes]:
        """The next leaf hashes behind the first `after`, whole runs, about STEP_MAX_LEAVES. Raises Damaged."""
        found: list[bytes] = []
        for index, count, leaves in self._db.execute(_LEAVES, (after,)):
            if index != after + len(found) or len(leaves) != HASH_BYTES * count:
                raise Damaged(f"the leaves behind index {after + len(found)} are not what they say")
            found += split_hashes(leaves)
            if len(found) >= STEP_MAX_LEAVES:
                break
        return found

    def write(self, tiles: Sequence[Tile], size: int) -> None:
        """Tiles and the size that they make, in one commit."""
        with transaction(self._db):
            self._db.executemany(_WRITE_TILE, [(tile.level, tile.n, tile.hashes) for tile in tiles])
            self._db.execute("UPDATE tree_head SET size = ?", (size,))

    def entry_bundle(self, first: int, count: int) -> list[bytes]:
        """What the leaf hashes are of: `count` entries from index `first`. They say nothing about a resident."""
        found: list[bytes] = []
        end = first + count
        for index, start, number, arrived_ms, sizes, digests, signatures, journal, key_id in self._db.execute(
                _ENTRIES, (first, end)):
            lengths = [int.from_bytes(sizes[at:at + 4], "big") for at in range(4 * number, 8 * number, 4)]
            at = sum(lengths[:max(first - index, 0)])
            for offset in range(max(first - index, 0), min(end - index, number)):
                signature = signatures[at:at + lengths[offset]]
                at += lengths[offset]
                found.append(leaf_entry(key_id, journal, start + offset,
                                       digests[HASH_BYTES * offset:HASH_BYTES * (offset + 1)], signature, arrived_ms))
        return found

    def newest_place(self, journal: UUID, after: int, size: int) -> Place | None:
        """The newest record of a journal behind position `after` that a tree of `size` leaves holds."""
        row = self._db.execute(_LAST_IN, (journal.bytes, after, size)).fetchone()
        if row is None:
            return None
        index, first, count, arrived_ms = row  # a tree ends where a run ends
        return Place(first + count - 1, index + count - 1, arrived_ms)

    # ---- epochs and checkpoints ----

    def epochs(self) -> list[str]:
        """The statements of all epochs, the first one first; [] before the log has begun."""
        return [row[0] for row in self._db.execute(_EPOCHS)]

    def newest_epoch(self) -> int:
        """Its number; 0 before the log has begun. There may be fewer statements: a restore can lose some for good."""
        return int(self._db.execute("SELECT coalesce(max(epoch), 0) FROM epochs").fetchone()[0])

    def add_epoch(self, epoch: int, statement: str) -> None:
        with transaction(self._db):
            self._db.execute("INSERT INTO epochs VALUES (?, ?)", (epoch, statement))

    def checkpoint(self, epoch: int, size_max: int = SIZE_MAX_LEAVES) -> str:
        """The newest one of at most this size, as it was signed; "" when there is none."""
        row = self._db.execute(_NEWEST, (epoch, size_max)).fetchone()
        return str(row[0]) if row else ""

    def add_checkpoint(self, epoch: int, size: int, note: str, signed_ms: int) -> None:
        with transaction(self._db):
            self._db.execute("INSERT OR IGNORE INTO checkpoints VALUES (?, ?, ?, ?)", (epoch, size, note, signed_ms))
            self._db.execute(_THIN, (epoch, epoch, CHECKPOINTS_KEPT))

