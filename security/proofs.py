"""Inclusion and consistency proofs of RFC 6962 (and 9162): made from stored subtrees, checked without any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from security.tree import EMPTY_ROOT, HASH_BYTES, Frontier, NodeReader, node_hash


class ProofRefused(ValueError):
    """A proof that does not prove what it should. The text says why; whoever gave it has to explain."""


def check_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """That the leaf stands at `index` (from 0) of the tree of `size` leaves under `root`. Raises ProofRefused."""
    if not 0 <= index < size:
        raise ProofRefused(f"index {index} lies outside a tree of {size} leaves; ask for a proof to a later checkpoint")
    _check_hashes(leaf_hash, root, *proof)
    inner, border = _path(index, size)
    _check_length(proof, inner + border)
    computed = _climb(leaf_hash, index, proof[:inner], proof[inner:])
    _check_root(computed, root, f"the proof for leaf {index} does not lead to the root of {size} leaves")


def check_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """That the new tree begins with the whole old one. Raises ProofRefused.

    From an empty tree, or one to itself, the proof is empty and the roots alone decide.
    """
    if not 0 <= old_size <= new_size:
        raise ProofRefused(f"a tree of {new_size} leaves cannot hold the one of {old_size}; keep both checkpoints and report")
    if old_size in {0, new_size}:
        _check_length(proof, 0)
    if old_size == 0:
        _check_root(old_root, EMPTY_ROOT, "an empty tree has another root")
    if old_size == new_size:
        _check_root(old_root, new_root, f"two roots for the same {old_size} leaves")
        return
    _check_hashes(old_root, new_root, *proof)
    if old_size > 0:
        _check_growth(old_size, old_root, new_size, new_root, proof)


def _check_growth(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    # RFC 9162, 2.1.4.2: both roots are climbed to from the old tree's last complete subtree.
    level = (old_size & -old_size).bit_length() - 1
    inner, border = _path(old_size - 1, new_size)
    inner -= level
    whole = old_size == 1 << level  # then that subtree is the old tree itself, and its root is not repeated
    _check_length(proof, inner + border + (not whole))
    seed, rest = (old_root, proof) if whole else (proof[0], proof[1:])
    index = (old_size - 1) >> level
    lefts = [hash_ for shift, hash_ in enumerate(rest[:inner]) if index >> shift & 1]
    _check_root(_climb(seed, 0, (), [*lefts, *rest[inner:]]), old_root,
                f"the proof does not lead to the root of the old {old_size} leaves")
    _check_root(_climb(seed, index, rest[:inner], rest[inner:]), new_root,
                f"the proof does not lead from {old_size} leaves to the root of {new_size}")


def _path(index: int, size: int) -> tuple[int, int]:
    """Steps from leaf `index` to the right edge of the tree, where both sides occur, and along it, where only lefts do."""
    inner = (index ^ (size - 1)).bit_length()
    return inner, (index >> inner).bit_count()


def _climb(seed: bytes, index: int, inner: Sequence[bytes], border: Iterable[bytes]) -> bytes:
    for shift, sibling in enumerate(inner):
        seed = node_hash(sibling, seed) if index >> shift & 1 else node_hash(seed, sibling)
    for left in border:
        seed = node_hash(left, seed)
    return seed


def _check_hashes(*hashes: bytes) -> None:
    if any(len(hash_) != HASH_BYTES for hash_ in hashes):
        raise ProofRefused(f"a hash has not {HASH_BYTES} bytes; ask for the proof again")


def _check_length(proof: Sequence[bytes], expected: int) -> None:
    if len(proof) != expected:
        raise ProofRefused(f"the proof has {len(proof)} hashes instead of {expected}; ask for the proof again")


def _check_root(computed: bytes, expected: bytes, complaint: str) -> None:
    if computed != expected:
        raise ProofRefused(f"{complaint}; keep what was sent and report it")


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """For leaf `index` in the first `size` leaves, from the leaf up. Raises ValueError for an index outside."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} among {size}; ask for one that the tree holds")
    path: list[bytes] = []
    first, last = 0, size
    while last - first > 1:
        middle = first + _largest_power_below(last - first)
        if index < middle:
            path.append(_range_root(middle, last, node))
            last = middle
        else:
            path.append(_range_root(first, middle, node))
            first = middle
    return path[::-1]


def consistency_proof(old_size: int, new_size: int, node: NodeReader) -> list[bytes]:
    """That the first `old_size` leaves are the beginning of the first `new_size`; empty from 0 and to itself."""
    if not 0 <= old_size <= new_size:
        raise ValueError(f"no proof from {old_size} leaves to {new_size}; ask from the smaller tree to the larger")
    if old_size in {0, new_size}:
        return []
    path: list[bytes] = []
    first, last = 0, new_size
    while last != old_size:
        middle = first + _largest_power_below(last - first)
        if old_size <= middle:
            path.append(_range_root(middle, last, node))
            last = middle
        else:
            path.append(_range_root(first, middle, node))
            first = middle
    if first:
        path.append(_range_root(first, last, node))
    return path[::-1]


def _largest_power_below(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1


def _range_root(first: int, last: int, node: NodeReader) -> bytes:
    """Of leaves first to last - 1, `first` being where RFC 6962 splits: their complete subtrees, folded from the right."""
    count = last - first
    return Frontier.read(count, lambda level, index: node(level, (first >> level) + index)).root()
