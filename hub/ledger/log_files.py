"""The ledger's tree as the files of C2SP tlog-tiles, as far as the newest checkpoint covers it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hub.ledger.transparency import Published
from hub.ledger.tree_store import TreeStore
from security.note import NoteKey
from security.tile_files import TilePath, bundle_of
from security.tiles import TILE_WIDTH, TileMissing, tile_width
from security.tree import HASH_BYTES


class LogHalted(Exception):
    """Nothing is published now: the log has not begun, or has found its database to be another one."""


class LogFiles:
    """`published` is the newest checkpoint, None when there is none to be shown. Synchronous; call it in a thread."""

    def __init__(self, path: Path, log_key: bytes, published: Callable[[], Published | None]) -> None:
        self._path = path
        self._log_key = log_key
        self._published = published

    def checkpoint(self) -> Published:
        """Raises LogHalted."""
        published = self._published()
        if published is None:
            raise LogHalted("the hub signs no checkpoints now; suozhan-hub alarms says why")
        return published

    def key(self, origin: str) -> NoteKey:
        """That signs under the name of an epoch."""
        return NoteKey(origin, self._log_key)

    def epochs(self) -> list[str]:
        """The statements of all epochs, the first one first."""
        with TreeStore(self._path) as store:
            return store.epochs()

    def file(self, path: TilePath, size: int) -> bytes | None:
        """None for what a tree of this size, which was published, does not hold. Raises TileMissing."""
        if path.width > tile_width(path.level or 0, path.n, size):
            return None
        with TreeStore(self._path) as store:
            if path.level is None:
                return bundle_of(store.entry_bundle(path.n * TILE_WIDTH, path.width))
            hashes = store.tile(path.level, path.n)[:path.width * HASH_BYTES]
        if len(hashes) < path.width * HASH_BYTES:
            raise TileMissing(f"{path} is shorter than the checkpoint says; at the hub, run: suozhan-hub verify")
        return hashes
