"""tlog-scales, a reader of C2SP logs that shares no code with ours, reads our files and judges proofs as we do."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TypeVar

import pytest
from cryptography.exceptions import InvalidSignature
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey
from tlog_scales.tlog import (
    Checkpoint,
    ConsistencyProof,
    ConsistencyProofInvalid,
    InclusionProof,
    InclusionProofInvalid,
)

from security.checkpoint import Checkpoint as OurCheckpoint
from security.note import NoteKey
from security.proofs import ProofRefused, check_consistency, check_inclusion, consistency_proof, inclusion_proof
from security.tree import EMPTY_ROOT, leaf_hash_of
from tests.security import rfc6962
from tests.security.external.log import KEY, log_of

PROBES = 10_000

Value = TypeVar("Value")


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000, 66_000])
def test_it_reads_our_checkpoint_our_tiles_and_our_entries(tmp_path: Path, size: int) -> None:
    log, random = log_of(size), Random(size)
    log.write(tmp_path)
    reader = TilesReader(LocalBackend(tmp_path))
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(Vkey.from_string(str(KEY)))
    assert (checkpoint.origin, checkpoint.size) == (KEY.name, size)
    assert reader.calculate_root_hash() == checkpoint.root_hash == log.checkpoint.root
    node = log.reader().node
    for index in {0, size - 1, *(random.randrange(size) for _ in range(20))}:
        assert reader.get_entry(index) == log.entries[index]
        assert reader.get_inclusion_proof(index, size).node_hashes == inclusion_proof(index, size, node)
    for old in {1, size, *(random.randrange(1, size + 1) for _ in range(20))}:
        assert reader.get_consistency_proof(old, size).node_hashes == consistency_proof(old, size, node)


def test_it_refuses_our_checkpoint_once_it_is_changed_and_we_take_those_it_writes() -> None:
    log, vkey = log_of(9), Vkey.from_string(str(KEY))
    with pytest.raises(InvalidSignature):
        Checkpoint.from_text(log.note.decode().replace("\n9\n", "\n8\n")).verify(vkey)
    assert Checkpoint.from_text(log.note.decode()).serialize().encode() == log.note
    assert OurCheckpoint.open(Checkpoint.from_text(log.note.decode()).serialize().encode(), [KEY]) == log.checkpoint
    assert vkey.serialize() == str(KEY)
    assert NoteKey.parse(vkey.serialize()) == KEY


LEAVES = rfc6962.leaves(40)
ROOTS = [rfc6962.root(LEAVES[:size]) for size in range(41)]
NODE = rfc6962.nodes(LEAVES)


def _spoilt(random: Random, proof: list[bytes]) -> list[bytes]:
    """A hash left out, added or exchanged, or all of them turned round."""
    place, other = random.randrange(len(proof) + 1), random.choice([*LEAVES, *ROOTS])
    return random.choice([proof[:place] + proof[place + 1:], [*proof[:place], other, *proof[place:]],
                          [*proof[:place], other, *proof[place + 1:]], proof[place:] + proof[:place]])


def _near(random: Random, number: int) -> int:
    return max(0, random.choice([number - 1, number + 1, number ^ 2, number * 2, number // 2]))


def _now_and_then(random: Random, good: Value, bad: Value) -> Value:
    return bad if random.random() < 0.15 else good


def test_it_judges_inclusion_as_we_do() -> None:
    random, taken = Random(4), 0
    for _ in range(PROBES):
        size = random.randrange(1, 41)
        index = random.randrange(size)
        proof = inclusion_proof(index, size, NODE)
        proof = _now_and_then(random, proof, _spoilt(random, proof))
        leaf = _now_and_then(random, LEAVES[index], random.choice(LEAVES))
        root = _now_and_then(random, ROOTS[size], random.choice(ROOTS))
        index, size = (_now_and_then(random, number, _near(random, number)) for number in (index, size))
        try:
            InclusionProof(index, size, proof).check(leaf, root)
        except InclusionProofInvalid:
            with pytest.raises(ProofRefused):
                check_inclusion(leaf, index, size, proof, root)
        else:
            check_inclusion(leaf, index, size, proof, root)
            taken += 1
    assert PROBES / 4 < taken < PROBES * 3 / 4


def test_it_judges_consistency_as_we_do() -> None:
    random, taken = Random(5), 0
    for _ in range(PROBES):
        new = random.randrange(41)
        old = random.randrange(new + 1)
        proof = consistency_proof(old, new, NODE)
        proof = _now_and_then(random, proof, _spoilt(random, proof))
        root, new_root = (_now_and_then(random, ROOTS[size], random.choice(ROOTS)) for size in (old, new))
        old, new = (_now_and_then(random, number, _near(random, number)) for number in (old, new))
        try:
            ConsistencyProof(old, new, proof).check(root, new_root)
        except ConsistencyProofInvalid:
            with pytest.raises(ProofRefused):
                check_consistency(old, root, new, new_root, proof)
        else:
            if new or root == new_root == EMPTY_ROOT:  # for two empty trees it takes roots that no empty tree has
                check_consistency(old, root, new, new_root, proof)
            taken += 1
    assert PROBES / 4 < taken < PROBES * 3 / 4


def test_the_entries_hash_to_the_leaves() -> None:
    log = log_of(300)
    assert [leaf_hash_of(entry) for entry in log.entries] == [log.reader().node(0, index) for index in range(300)]
