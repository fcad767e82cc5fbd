"""The files of C2SP tlog-tiles: what a tile or a bundle of entries is called below the log's address, and what is in a bundle."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from security.tiles import TILE_HEIGHT, TILE_WIDTH
from security.tree import SIZE_MAX_LEAVES

LEVEL_MAX = 63
CHECKPOINT_PATH = "checkpoint"
ENTRIES = "entries"

_PATH = re.compile(r"tile/(entries|[0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?", re.ASCII)


class BadTilePath(ValueError):
    """Text that names no tile."""


class BadBundle(ValueError):
    """Bytes that are no bundle of as many entries."""


@dataclass(frozen=True, slots=True)
class TilePath:
    """Tile n of a level, or bundle n of the entries themselves (level None), with its first `width` hashes or entries."""

    level: int | None
    n: int
    width: int = TILE_WIDTH

    def __str__(self) -> str:
        digits = f"{self.n:03}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        *above, last = (digits[start:start + 3] for start in range(0, len(digits), 3))
        number = "".join(f"x{part}/" for part in above) + last
        part = f".p/{self.width}" if self.width < TILE_WIDTH else ""
        return f"tile/{ENTRIES if self.level is None else self.level}/{number}{part}"

    @classmethod
    def parse(cls, text: str) -> TilePath:
        """Of `tile/<level or "entries">/<n>[.p/<width>]`, in the one way of writing it. Raises BadTilePath."""
        match = _PATH.fullmatch(text)
        if not match:
            raise BadTilePath(f"{text[:80]!r} names no tile; see https://c2sp.org/tlog-tiles")
        level, number, width = match.groups()
        path = cls(None if level == ENTRIES else int(level), int(re.sub("[x/]", "", number)),
                   TILE_WIDTH if width is None else int(width))
        if str(path) != text or not path.possible():
            raise BadTilePath(f"{text[:80]!r} names no tile; see https://c2sp.org/tlog-tiles")
        return path

    def possible(self) -> bool:
        """Whether any tree has such a tile."""
        level = self.level or 0
        return (0 <= level <= LEVEL_MAX and 1 <= self.width <= TILE_WIDTH
                and 0 <= self.n << (level + 1) * TILE_HEIGHT <= SIZE_MAX_LEAVES)


def bundle_of(entries: Iterable[bytes]) -> bytes:
    """Each entry after its length (two bytes, big-endian); an entry hashes to its leaf (`tree.leaf_hash_of`)."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def entries_of(bundle: bytes, count: int) -> list[bytes]:
    """The `count` entries (1 to 256) of which the bundle consists, to its last byte. Raises BadBundle."""
    entries, start = list[bytes](), 0
    while start < len(bundle):
        end = start + 2 + int.from_bytes(bundle[start:start + 2], "big")
        entries.append(bundle[start + 2:end])
        start = end
    if start != len(bundle) or len(entries) != count:
        raise BadBundle(f"a bundle of {len(bundle)} bytes does not hold {count} entries; fetch it again")
    return entries
