"""A log of ours as other people's tools find it: entries, tiles and a signed checkpoint, in files."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.checkpoint import Checkpoint, origin_of
from security.note import NoteKey
from security.signer import Ed25519Signer
from security.tile_files import CHECKPOINT_PATH, TilePath, bundle_of
from security.tiles import TILE_WIDTH, OpenTiles, TileReader, tile_width
from security.tree import leaf_hash_of

ORIGIN = origin_of(UUID(int=11), 1)
SIGNER = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
KEY = NoteKey(ORIGIN, SIGNER.public_key)


@dataclass(frozen=True)
class Log:
    """Of made-up entries."""

    entries: list[bytes]
    tiles: dict[tuple[int, int], bytes]
    checkpoint: Checkpoint
    note: bytes

    def reader(self) -> TileReader:
        return TileReader(lambda level, n: self.tiles.get((level, n), b""))

    def write(self, folder: Path) -> None:
        """In the standard's paths."""
        size = len(self.entries)
        put(folder, CHECKPOINT_PATH, self.note)
        for (level, n), hashes in self.tiles.items():
            put(folder, str(TilePath(level, n, tile_width(level, n, size))), hashes)
        for n in range(-(-size // TILE_WIDTH)):
            bundle = self.entries[n * TILE_WIDTH:(n + 1) * TILE_WIDTH]
            put(folder, str(TilePath(None, n, len(bundle))), bundle_of(bundle))


def put(folder: Path, path: str, data: bytes) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)


def log_of(size: int) -> Log:
    """Of `size` entries, signed by SIGNER."""
    entries = [sha256(number.to_bytes(8, "big")).digest() * (number % 5) for number in range(size)]
    open_tiles, changed = OpenTiles().extended([leaf_hash_of(entry) for entry in entries])
    checkpoint = Checkpoint(ORIGIN, size, open_tiles.frontier().root())
    return Log(entries, {(tile.level, tile.n): tile.hashes for tile in changed}, checkpoint, checkpoint.signed(SIGNER))
