"""The vectors of transparency-dev/merkle: proofs that hold, and many more that must not."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from security.proofs import ProofRefused, check_consistency, check_inclusion

SOURCE = json.loads(Path(__file__).with_name("transparency_dev_merkle.json").read_text("utf-8"))
VECTORS: list[dict[str, Any]] = SOURCE["vectors"]


def _check(vector: dict[str, Any]) -> None:
    proof = [_bytes(hash_) for hash_ in vector["proof"] or ()]
    if "leafIdx" in vector:
        check_inclusion(_bytes(vector["leafHash"]), vector["leafIdx"], vector["treeSize"], proof, _bytes(vector["root"]))
    else:
        check_consistency(vector["size1"], _bytes(vector["root1"]), vector["size2"], _bytes(vector["root2"]), proof)


def _bytes(text: str | None) -> bytes:
    return b64decode(text or "")


def test_the_vectors_are_all_there() -> None:
    kinds = [(vector["file"].split("/")[0], vector["wantErr"]) for vector in VECTORS]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        ("consistency", True): 92, ("consistency", False): 6, ("inclusion", True): 92, ("inclusion", False): 6}


@pytest.mark.parametrize("vector", [one for one in VECTORS if not one["wantErr"]], ids=lambda one: one["file"])
def test_what_they_prove_is_proved(vector: dict[str, Any]) -> None:
    _check(vector)


@pytest.mark.parametrize("vector", [one for one in VECTORS if one["wantErr"]], ids=lambda one: one["file"])
def test_what_they_refuse_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(ProofRefused):
        _check(vector)
