"""The tree of RFC 6962 (and 9162) over SHA-256, and its right edge: all that a verifier of a million leaves holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from security.suites import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"")
SIZE_MAX_LEAVES = 2**63 - 1

# The root of the complete subtree of 2^level leaves that begins at leaf index * 2^level.
NodeReader = Callable[[int, int], bytes]


def leaf_hash_of(data: bytes) -> bytes:
    """32 bytes."""
    return sha256(b"\0" + data)


def node_hash(left: bytes, right: bytes) -> bytes:
    """32 bytes."""
    return sha256(b"\1" + left + right)


def parents(hashes: Sequence[bytes]) -> list[bytes]:
    """One level up, for an even number of neighbours; the hottest loop of the tree, so it calls nothing of ours."""
    new = hashlib.sha256
    pairs = iter(hashes)
    return [new(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]


def split_hashes(joined: bytes) -> list[bytes]:
    """The 32-byte hashes of which `joined` consists. Raises ValueError when they do not come out even."""
    if len(joined) % HASH_BYTES:
        raise ValueError(f"{len(joined)} bytes are no row of {HASH_BYTES}-byte hashes; get them again from their source")
    return [joined[start:start + HASH_BYTES] for start in range(0, len(joined), HASH_BYTES)]


@dataclass(frozen=True, slots=True)
class Frontier:
    """The roots of a tree's complete subtrees, the largest (leftmost) first: one for each bit set in `size`."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.hashes) != self.size.bit_count():
            raise ValueError(f"a tree of {self.size} leaves has no right edge of {len(self.hashes)} hashes; begin anew")
        if any(len(hash_) != HASH_BYTES for hash_ in self.hashes):
            raise ValueError(f"a hash of the right edge has not {HASH_BYTES} bytes; begin anew")

    def extended(self, leaf_hashes: Sequence[bytes]) -> Frontier:
        """With these leaves after the ones it has; give it thousands at a time."""
        left, edge = list(self.hashes), list[bytes]()
        run, size = list(leaf_hashes), self.size
        while run or left:
            if size & 1:
                run.insert(0, left.pop())
            if len(run) & 1:
                edge.append(run.pop())
            run, size = parents(run), size >> 1
        return Frontier(self.size + len(leaf_hashes), tuple(reversed(edge)))

    def root(self) -> bytes:
        """32 bytes."""
        if not self.hashes:
            return EMPTY_ROOT
        return reduce(lambda right, left: node_hash(left, right), reversed(self.hashes))

    def to_bytes(self) -> bytes:
        """The hashes, one after the other; the size is kept beside them."""
        return b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, size: int, joined: bytes) -> Frontier:
        """Raises ValueError when `joined` is no right edge of a tree of `size`."""
        return cls(size, tuple(split_hashes(joined)))

    @classmethod
    def read(cls, size: int, node: NodeReader) -> Frontier:
        """Of the first `size` leaves of a stored tree, however far it has grown since."""
        levels = [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]
        return cls(size, tuple(node(level, (size >> level) - 1) for level in levels))
