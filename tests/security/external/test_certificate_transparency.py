"""Certificate Transparency's own vectors, out of its Debian package: those that transparency-dev/merkle has taken over."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from security.proofs import ProofRefused, check_consistency, check_inclusion, consistency_proof, inclusion_proof
from security.tree import EMPTY_ROOT, Frontier, leaf_hash_of
from tests.security import rfc6962

SOURCE = Path(sys.prefix, "vectors/usr/share/gocode/src/github.com/google/certificate-transparency/go/merkletree",
              "merkle_verifier_test.go")
pytestmark = pytest.mark.skipif(not SOURCE.exists(), reason="no vectors here; run: make vectors (it needs apt)")


def _body(function: str) -> str:
    found = re.search(rf"^func {function}\(\).*?^}}", SOURCE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found, function
    return found.group()


def _hex(text: str) -> list[bytes]:
    return [bytes.fromhex(digits) for digits in re.findall(r'dh\("([0-9a-f]*)"\)', text)]


def _proofs(function: str) -> list[tuple[int, int, list[bytes]]]:
    """Two numbers, and as many hashes as the third says."""
    _, *parts = re.split(r"\{(\d+),\s*(\d+),\s*(\d+),", _body(function))
    return [(int(first), int(second), _hex(hashes)[:int(length)])
            for first, second, length, hashes in zip(*(parts[offset::4] for offset in range(4)), strict=True)]


def _entries() -> list[bytes]:
    return _hex(_body("getInputs"))


def _refused_inclusion(*arguments: object) -> bool:
    try:
        check_inclusion(*arguments)  # type: ignore[arg-type]
    except ProofRefused:
        return True
    return False


def _refused_consistency(*arguments: object) -> bool:
    try:
        check_consistency(*arguments)  # type: ignore[arg-type]
    except ProofRefused:
        return True
    return False


def _spoilt(proof: list[bytes], *roots: bytes) -> list[list[bytes]]:
    """As their test spoils a proof: each hash replaced, garbage or a root at either end, the last one missing."""
    replaced = [[*proof[:place], EMPTY_ROOT, *proof[place + 1:]] for place in range(len(proof))]
    ends = [extended for extra in (b"", *roots) for extended in ([extra, *proof], [*proof, extra])]
    return [*replaced, *ends, *([proof[:-1], []] if proof else [])]


def test_the_vectors_are_all_there() -> None:
    assert len(_entries()) == len(_hex(_body("getRoots"))) == 8
    assert [(index, size) for index, size, _ in _proofs("getInclusionTestVector")] == [
        (0, 0), (1, 1), (1, 8), (6, 8), (3, 3), (2, 5)]
    assert [(old, new, len(proof)) for old, new, proof in _proofs("getConsistencyProofs")] == [
        (1, 1, 0), (1, 8, 3), (6, 8, 3), (2, 5, 2)]


def test_their_roots_are_ours() -> None:
    leaves = [leaf_hash_of(entry) for entry in _entries()]
    for size, root in enumerate(_hex(_body("getRoots")), 1):
        assert Frontier().extended(leaves[:size]).root() == root


def test_their_inclusion_proofs_hold_and_spoilt_ones_do_not() -> None:
    leaves, roots = [leaf_hash_of(entry) for entry in _entries()], _hex(_body("getRoots"))
    for number, size, proof in _proofs("getInclusionTestVector")[1:]:
        index, root = number - 1, roots[size - 1]  # they count leaves from one
        leaf = leaves[index]
        assert inclusion_proof(index, size, rfc6962.nodes(leaves)) == proof
        check_inclusion(leaf, index, size, proof, root)
        moved = [(near, size) for near in (index - 1, index + 1, index ^ 2)]
        for bad_index, bad_size in (*moved, (index, size * 2), (index, size // 2)):
            assert _refused_inclusion(leaf, bad_index, bad_size, proof, root), (index, size, bad_index, bad_size)
        assert _refused_inclusion(leaf_hash_of(b"WrongLeaf"), index, size, proof, root)
        assert _refused_inclusion(leaf, index, size, proof, EMPTY_ROOT)
        for bad in _spoilt(proof, root):
            assert bad == proof or _refused_inclusion(leaf, index, size, bad, root), (index, size, bad)


def test_their_invalid_paths_are_refused() -> None:
    for index, size in ((0, 0), (0, 1), (1, 0), (2, 1)):
        for root in (b"", EMPTY_ROOT):
            assert _refused_inclusion(leaf_hash_of(b""), index, size, [], root)


def test_their_consistency_proofs_hold_and_spoilt_ones_do_not() -> None:
    leaves, roots = [leaf_hash_of(entry) for entry in _entries()], _hex(_body("getRoots"))
    for old, new, proof in _proofs("getConsistencyProofs"):
        root, new_root = roots[old - 1], roots[new - 1]
        assert consistency_proof(old, new, rfc6962.nodes(leaves)) == proof
        check_consistency(old, root, new, new_root, proof)
        if not proof:
            continue
        for bad_old, bad_new in ((old - 1, new), (old + 1, new), (old ^ 2, new), (old, new * 2), (old, new // 2)):
            assert _refused_consistency(bad_old, root, bad_new, new_root, proof), (old, new, bad_old, bad_new)
        for bad_root, bad_new_root in ((b"WrongRoot", new_root), (root, b"WrongRoot"), (new_root, root), (EMPTY_ROOT, new_root)):
            assert _refused_consistency(old, bad_root, new, bad_new_root, proof)
        for bad in _spoilt(proof, root, new_root, proof[0]):
            assert _refused_consistency(old, root, new, new_root, bad), (old, new, bad)


def test_their_time_travels_and_empty_proofs_are_refused() -> None:
    for old, new in ((1, 0), (2, 1), (1, 2)):
        assert _refused_consistency(old, EMPTY_ROOT, new, EMPTY_ROOT, [])
    for sizes in ((0, 0), (1, 1)):
        assert _refused_consistency(sizes[0], EMPTY_ROOT, sizes[1], bytes(32), [])
    for sizes in ((0, 0), (0, 1), (1, 1)):
        assert _refused_consistency(sizes[0], EMPTY_ROOT, sizes[1], EMPTY_ROOT, [EMPTY_ROOT])
