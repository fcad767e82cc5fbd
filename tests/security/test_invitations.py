"""Invitations survive copying; damaged ones are refused with advice, and show no secret."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proto import enrolment_pb2
from security.invitations import TOKEN_PREFIX, BadToken, Invitation, enrolment_proof

INVITATION = Invitation("hub.example:8443", "inv-1", bytes(range(32)), bytes(range(32, 64)))
words = st.text(min_size=1, max_size=60)
invitations = st.builds(Invitation, words, words, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))


@given(invitations)
def test_a_token_reads_back_as_the_invitation(invitation: Invitation) -> None:
    token = invitation.token()
    assert Invitation.from_token(token) == invitation
    assert Invitation.from_token(f"  {token}\r\n") == invitation


@given(invitations)
def test_a_token_is_one_line_that_needs_no_quoting(invitation: Invitation) -> None:
    alphabet = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert set(invitation.token().removeprefix(TOKEN_PREFIX)) <= alphabet


@given(invitations, st.data())
def test_a_token_with_its_end_missing_is_always_refused(invitation: Invitation, data: st.DataObject) -> None:
    token = invitation.token()
    with pytest.raises(BadToken, match="copy the whole line"):
        Invitation.from_token(token[:data.draw(st.integers(0, len(token) - 1))])


@given(st.data())
def test_a_token_with_a_hole_in_it_is_never_taken_for_the_whole(data: st.DataObject) -> None:
    token = INVITATION.token()
    start = data.draw(st.integers(0, len(token) - 1))
    end = data.draw(st.integers(start + 1, len(token)))
    assert _read(token[:start] + token[end:]) != INVITATION


@given(st.data())
def test_a_mistyped_character_is_refused_or_asks_for_something_else_but_never_crashes(data: st.DataObject) -> None:
    token = INVITATION.token()
    at = data.draw(st.integers(0, len(token) - 2))  # the last character has bits that mean nothing
    mistyped = data.draw(st.characters().filter(lambda character: character != token[at]))
    assert _read(token[:at] + mistyped + token[at + 1:]) != INVITATION


@given(st.text(max_size=200))
def test_any_text_is_an_invitation_or_a_bad_token_and_nothing_else(text: str) -> None:
    _read(text)
    _read(TOKEN_PREFIX + text)


@given(st.binary(max_size=200))
def test_any_bytes_in_a_token_are_an_invitation_or_a_bad_token(raw: bytes) -> None:
    _read(TOKEN_PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("="))


def _read(token: str) -> Invitation | None:
    try:
        return Invitation.from_token(token)
    except BadToken as error:
        advice = str(error)
    assert "suozhan-hub invite" in advice
    return None


@pytest.mark.parametrize("field", ["address", "id", "secret", "pin"])
def test_an_invitation_without_one_of_its_fields_is_incomplete(field: str) -> None:
    message = enrolment_pb2.Invitation(
        address=INVITATION.address, id=INVITATION.id, secret=INVITATION.secret, pin=INVITATION.pin)
    message.ClearField(field)
    token = TOKEN_PREFIX + base64.urlsafe_b64encode(message.SerializeToString()).decode().rstrip("=")
    with pytest.raises(BadToken, match="incomplete"):
        Invitation.from_token(token)


@pytest.mark.parametrize("token", ["", "suozhan1", "suozhan2.AAAA", "Suozhan1.AAAA"])
def test_a_token_of_another_format_is_refused(token: str) -> None:
    with pytest.raises(BadToken, match=r"begins with 'suozhan1\.'"):
        Invitation.from_token(token)


def test_neither_a_printed_invitation_nor_a_refusal_shows_the_secret() -> None:
    encoded = INVITATION.token().removeprefix(TOKEN_PREFIX)
    assert INVITATION.secret.hex() not in repr(INVITATION)
    assert str(INVITATION.secret) not in f"{INVITATION} {INVITATION!r}"
    with pytest.raises(BadToken) as refusal:
        Invitation.from_token(INVITATION.token()[:-5])
    assert encoded[:20] not in str(refusal.value)


def test_an_enrolment_proof_is_for_one_invitation_and_one_request() -> None:
    proofs = {enrolment_proof("a", b"bc"), enrolment_proof("ab", b"c"), enrolment_proof("a", b"c"), enrolment_proof("", b"abc")}
    assert len(proofs) == 4
    assert {len(proof) for proof in proofs} == {len(b"suozhan/enrol/v1\0") + 64}


def test_characters_that_are_none_of_a_token_are_not_passed_over() -> None:
    token = INVITATION.token()
    for at in (9, len(token) // 2, len(token) - 1):
        for foreign in (" ", "*", "\n", "=", "。"):
            assert _read(token[:at] + foreign + token[at:]) != INVITATION
