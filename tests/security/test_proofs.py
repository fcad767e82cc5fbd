"""Proofs are RFC 6962's, and nothing else passes for one (invariant 6)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from security.proofs import ProofRefused, check_consistency, check_inclusion, consistency_proof, inclusion_proof
from security.tree import EMPTY_ROOT, node_hash
from tests.security import rfc6962

LEAVES = rfc6962.leaves(130)
ROOTS = [rfc6962.root(LEAVES[:size]) for size in range(len(LEAVES) + 1)]
NODE = rfc6962.nodes(LEAVES)
SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 128, 129, 130]


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_of_a_tree_is_proved_as_the_rfc_says(size: int) -> None:
    for index in range(size):
        proof = inclusion_proof(index, size, NODE)
        assert proof == rfc6962.path(index, LEAVES[:size])
        check_inclusion(LEAVES[index], index, size, proof, ROOTS[size])


@pytest.mark.parametrize("size", SIZES)
def test_every_smaller_tree_is_proved_to_be_the_beginning(size: int) -> None:
    for old in range(1, size):
        proof = consistency_proof(old, size, NODE)
        assert proof == rfc6962.proof(old, LEAVES[:size])
        check_consistency(old, ROOTS[old], size, ROOTS[size], proof)


def _refused(check: Callable[..., None], *arguments: object) -> bool:
    try:
        check(*arguments)
    except ProofRefused:
        return True
    return False


def _spoilt(proof: list[bytes], random: Random) -> list[list[bytes]]:
    """Each hash changed in one bit, left out, doubled, shortened; one more at either end; all turned round."""
    bad = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, *proof[-1:], bytes(32)]]
    for place, hash_ in enumerate(proof):
        flipped = bytearray(hash_)
        flipped[random.randrange(32)] ^= 1 << random.randrange(8)
        changes = [bytes(flipped)], [], [hash_, hash_], [hash_[:-1]], [hash_ + b"\0"], [b""]
        bad += [[*proof[:place], *change, *proof[place + 1:]] for change in changes]
    if proof[::-1] != proof:
        bad.append(proof[::-1])
    return bad


def test_an_inclusion_proof_proves_one_leaf_at_one_place_of_one_tree() -> None:
    random = Random(1)
    for size in SIZES:
        for index in {0, size // 2, size - 1}:
            leaf, root, proof = LEAVES[index], ROOTS[size], inclusion_proof(index, size, NODE)
            for bad in _spoilt(proof, random):
                assert _refused(check_inclusion, leaf, index, size, bad, root), (size, index, bad)
            for other in {*range(size), -1, size, size + 1, 2**62} - {index}:
                assert _refused(check_inclusion, leaf, other, size, proof, root), (size, index, other)
            assert _refused(check_inclusion, LEAVES[index - 1] if size > 1 else bytes(32), index, size, proof, root)
            assert _refused(check_inclusion, leaf, index, size, proof, ROOTS[size - 1])
            for length in (0, 31, 33):
                assert _refused(check_inclusion, bytes(length), index, size, proof, root)
                assert _refused(check_inclusion, leaf, index, size, proof, bytes(length))


def test_a_consistency_proof_proves_one_growth() -> None:
    random = Random(2)
    for new in SIZES[1:]:
        for old in {1, new // 2, new - 1}:
            proof = consistency_proof(old, new, NODE)
            for bad in _spoilt(proof, random):
                assert _refused(check_consistency, old, ROOTS[old], new, ROOTS[new], bad), (old, new, bad)
            for other in {*range(new + 1), -1} - {old}:
                assert _refused(check_consistency, other, ROOTS[old], new, ROOTS[new], proof), (old, new, other)
            assert _refused(check_consistency, old, ROOTS[old - 1], new, ROOTS[new], proof)
            assert _refused(check_consistency, old, ROOTS[old], new, ROOTS[new - 1], proof)
            assert _refused(check_consistency, old, ROOTS[new], new, ROOTS[old], proof)
            assert _refused(check_consistency, new, ROOTS[new], old, ROOTS[old], proof)
            assert _refused(check_consistency, old, ROOTS[old][:-1], new, ROOTS[new], proof)
            assert _refused(check_consistency, old, ROOTS[old], new, ROOTS[new] + b"\0", proof)


def test_a_rewritten_leaf_cannot_be_hidden_behind_the_proof_of_either_tree() -> None:
    rewritten = [*LEAVES[:20], bytes(32), *LEAVES[21:]]
    root, node = rfc6962.root(rewritten), rfc6962.nodes(rewritten)
    for old in range(21, 130):
        for proof in (consistency_proof(old, 130, NODE), consistency_proof(old, 130, node)):
            assert _refused(check_consistency, old, ROOTS[old], 130, root, proof)
    check_consistency(20, ROOTS[20], 130, root, consistency_proof(20, 130, node))  # what came before is untouched


def test_a_leaf_outside_the_claimed_size_is_refused_even_under_a_root_that_holds_it() -> None:
    proof = inclusion_proof(5, 8, NODE)
    check_inclusion(LEAVES[5], 5, 8, proof, ROOTS[8])
    for size in (0, 4, 5):
        with pytest.raises(ProofRefused, match="lies outside"):
            check_inclusion(LEAVES[5], 5, size, proof, ROOTS[8])
    with pytest.raises(ProofRefused, match="lies outside"):
        check_inclusion(LEAVES[5], -3, 8, proof, ROOTS[8])


def test_no_tree_shrinks_whatever_the_roots() -> None:
    proof = consistency_proof(1, 2, NODE)
    for old, new in ((2, 1), (8, 7), (16, 15), (-1, 2), (0, -1), (-1, -1), (1, -1)):
        for old_root, new_root, given in ((ROOTS[1], ROOTS[2], proof), (ROOTS[1], ROOTS[1], []), (EMPTY_ROOT, ROOTS[1], [])):
            with pytest.raises(ProofRefused, match="cannot hold"):
                check_consistency(old, old_root, new, new_root, given)


def test_hashes_of_other_lengths_are_refused_even_where_their_bytes_join_to_the_same() -> None:
    left, right = LEAVES[:2]
    with pytest.raises(ProofRefused, match="32 bytes"):
        check_inclusion(left[:31], 0, 2, [left[31:] + right], ROOTS[2])
    with pytest.raises(ProofRefused, match="32 bytes"):
        check_inclusion(left + right[:1], 0, 2, [right[1:]], ROOTS[2])
    with pytest.raises(ProofRefused, match="32 bytes"):
        check_consistency(2, ROOTS[2][:31], 3, ROOTS[3], [ROOTS[2][31:] + LEAVES[2]])
    with pytest.raises(ProofRefused, match="32 bytes"):
        check_consistency(0, EMPTY_ROOT, 3, ROOTS[3][:31], [])
    with pytest.raises(ProofRefused, match="32 bytes"):
        check_consistency(3, b"root", 4, ROOTS[4], [])
    with pytest.raises(ProofRefused, match="32 bytes"):
        check_inclusion(b"leaf", 0, 1, [], b"leaf")
    with pytest.raises(ProofRefused, match="32 bytes"):
        check_inclusion(left, 0, 1, [], left + b"x")
    with pytest.raises(ProofRefused, match="32 bytes"):
        check_inclusion(left, 0, 2, [right + b"x"], ROOTS[2])
    with pytest.raises(ProofRefused, match="32 bytes"):
        check_inclusion(left + b"x", 0, 2, [right], node_hash(left + b"x", right))
    for old, new, path in ((ROOTS[2] + b"x", ROOTS[3], [LEAVES[2]]), (ROOTS[2], ROOTS[3], [LEAVES[2] + b"x"])):
        with pytest.raises(ProofRefused, match="32 bytes"):
            check_consistency(2, old, 3, new, path)


def test_the_same_size_needs_the_same_root_and_no_proof() -> None:
    check_consistency(7, ROOTS[7], 7, ROOTS[7], [])
    for root, proof in ((ROOTS[8], []), (ROOTS[7], [ROOTS[7]])):
        with pytest.raises(ProofRefused):
            check_consistency(7, ROOTS[7], 7, root, proof)


def test_every_tree_begins_with_the_empty_one_and_that_has_one_root() -> None:
    for size in (0, 1, 130):
        assert consistency_proof(0, size, NODE) == []
        check_consistency(0, EMPTY_ROOT, size, ROOTS[size], [])
        for root, proof in ((ROOTS[1], []), (EMPTY_ROOT, [ROOTS[1]])):
            with pytest.raises(ProofRefused):
                check_consistency(0, root, size, ROOTS[size], proof)
    with pytest.raises(ProofRefused):
        check_consistency(0, EMPTY_ROOT, 0, ROOTS[1], [])


def test_no_proof_is_made_of_what_is_not_there() -> None:
    for index, size in ((0, 0), (5, 5), (-1, 5)):
        with pytest.raises(ValueError, match="the tree holds"):
            inclusion_proof(index, size, NODE)
    for old, new in ((6, 5), (-1, 5)):
        with pytest.raises(ValueError, match="smaller"):
            consistency_proof(old, new, NODE)


def test_a_proof_of_a_huge_tree_is_refused_without_a_long_look() -> None:
    with pytest.raises(ProofRefused):
        check_inclusion(LEAVES[0], 2**200, 2**201, [bytes(32)] * 10, bytes(32))
    with pytest.raises(ProofRefused):
        check_consistency(2**200, bytes(32), 2**201, bytes(32), [bytes(32)] * 300)
