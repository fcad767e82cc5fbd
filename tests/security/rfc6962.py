"""The definitions of RFC 6962, section 2.1, word for word and slow: what our tree is measured against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256


def leaves(count: int) -> list[bytes]:
    """Hashes of made-up leaves, all different."""
    return [sha256(b"\0" + number.to_bytes(8, "big")).digest() for number in range(count)]


def _k(n: int) -> int:
    power = 1
    while power * 2 < n:
        power *= 2
    return power


def root(d: Sequence[bytes]) -> bytes:
    """MTH(D[n])."""
    if not d:
        return sha256(b"").digest()
    if len(d) == 1:
        return d[0]
    k = _k(len(d))
    return sha256(b"\1" + root(d[:k]) + root(d[k:])).digest()


def path(m: int, d: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(d) == 1:
        return []
    k = _k(len(d))
    return [*path(m, d[:k]), root(d[k:])] if m < k else [*path(m - k, d[k:]), root(d[:k])]


def proof(m: int, d: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n]), 0 < m < n."""
    return _subproof(m, d, True)


def _subproof(m: int, d: Sequence[bytes], whole: bool) -> list[bytes]:
    if m == len(d):
        return [] if whole else [root(d)]
    k = _k(len(d))
    if m <= k:
        return [*_subproof(m, d[:k], whole), root(d[k:])]
    return [*_subproof(m - k, d[k:], False), root(d[:k])]


def nodes(d: Sequence[bytes]) -> Callable[[int, int], bytes]:
    """Reads complete subtrees of a tree in memory; one that is not complete is an error of the test."""
    known: dict[tuple[int, int], bytes] = {}

    def node(level: int, index: int) -> bytes:
        assert (index + 1) << level <= len(d)
        if (level, index) not in known:
            known[level, index] = root(d[index << level:(index + 1) << level])
        return known[level, index]

    return node
