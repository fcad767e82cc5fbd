"""What the hub signs beside records: no statement can stand in for one of another sort."""

from __future__ import annotations

from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from security.invitations import enrolment_proof
from security.record import signature_holds
from security.renewal import RENEW_CONTEXT
from security.signer import Ed25519Signer
from security.statements import (
    RESOURCE_CONTEXT,
    TIME_ANSWER_CONTEXT,
    TIME_CONTEXT,
    ForgedStatement,
    SignedTime,
    check_resource,
    check_time_answer,
    sign_resource,
    sign_time_answer,
)
from security.suites import Verifier

HUB = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
STRANGER = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
VERIFIER = Verifier(HUB.suite, HUB.public_key)
NOW_MS = 1_767_225_600_000


@given(st.binary(max_size=300))
def test_a_resource_that_the_hub_signed_is_taken(payload: bytes) -> None:
    check_resource(VERIFIER, payload, sign_resource(HUB, payload))


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_changed_resource_is_forged(payload: bytes, data: st.DataObject) -> None:
    signature = sign_resource(HUB, payload)
    flipped = bytearray(payload)
    flipped[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    for changed in (bytes(flipped), payload[:-1], payload + b"\0"):
        with pytest.raises(ForgedStatement, match="IT desk"):
            check_resource(VERIFIER, changed, signature)


def test_a_stranger_or_a_broken_signature_convinces_nobody() -> None:
    for signature in (sign_resource(STRANGER, b"catalogue"), b"", bytes(64), HUB.sign(b"catalogue")):
        with pytest.raises(ForgedStatement):
            check_resource(VERIFIER, b"catalogue", signature)


@given(st.integers(0, 2**64 - 1))
def test_a_time_that_the_hub_signed_is_taken(unix_ms: int) -> None:
    assert SignedTime.sign(HUB, unix_ms).check(VERIFIER) == unix_ms


@given(st.integers(0, 2**64 - 1).filter(lambda ms: ms != NOW_MS))
def test_the_signature_of_one_time_holds_for_no_other(unix_ms: int) -> None:
    with pytest.raises(ForgedStatement):
        SignedTime(unix_ms, SignedTime.sign(HUB, NOW_MS).signature).check(VERIFIER)


def test_a_stranger_cannot_tell_the_time() -> None:
    with pytest.raises(ForgedStatement):
        SignedTime.sign(STRANGER, NOW_MS).check(VERIFIER)


def test_an_answer_about_the_time_holds_for_its_question_and_its_time_only() -> None:
    nonce, other = bytes(32), bytes([1]) * 32
    signature = sign_time_answer(HUB, nonce, NOW_MS)
    check_time_answer(VERIFIER, nonce, NOW_MS, signature)
    plain = SignedTime.sign(HUB, NOW_MS).signature
    for asked, said_ms, signed in ((other, NOW_MS, signature), (nonce, NOW_MS + 1, signature), (nonce, NOW_MS, plain),
                                   (nonce, NOW_MS, sign_time_answer(STRANGER, nonce, NOW_MS)), (nonce, NOW_MS, b""),
                                   (nonce, -1, signature), (nonce, 2**64, signature)):
        with pytest.raises(ForgedStatement, match="IT desk"):
            check_time_answer(VERIFIER, asked, said_ms, signed)


def test_what_is_signed_about_the_time_is_written_as_specified() -> None:
    """docs/hub-api.md: others may ask, too."""
    assert VERIFIER.valid(sign_time_answer(HUB, bytes(range(32)), NOW_MS),
                          TIME_ANSWER_CONTEXT + bytes(range(32)) + NOW_MS.to_bytes(8, "big"))
    assert VERIFIER.valid(sign_time_answer(HUB, bytes(32), 0), TIME_ANSWER_CONTEXT + bytes(40))
    check_time_answer(VERIFIER, bytes(32), 0, sign_time_answer(HUB, bytes(32), 0))


def test_no_statement_stands_in_for_one_of_another_sort_even_under_one_key() -> None:
    time = SignedTime.sign(HUB, NOW_MS)
    with pytest.raises(ForgedStatement):
        check_resource(VERIFIER, NOW_MS.to_bytes(8, "big"), time.signature)
    with pytest.raises(ForgedStatement):
        SignedTime(NOW_MS, sign_resource(HUB, NOW_MS.to_bytes(8, "big"))).check(VERIFIER)
    assert not signature_holds(VERIFIER, sign_resource(HUB, bytes(32)), bytes(32))
    assert not signature_holds(VERIFIER, HUB.sign(enrolment_proof(str(uuid4()), b"csr")), bytes(32))


def test_no_context_is_the_beginning_of_another() -> None:
    contexts = {RESOURCE_CONTEXT, TIME_CONTEXT, TIME_ANSWER_CONTEXT, RENEW_CONTEXT, b"suozhan/record/v1\0",
                b"suozhan/enrol/v1\0"}
    assert len(contexts) == 6
    assert all(not a.startswith(b) for a in contexts for b in contexts - {a})
