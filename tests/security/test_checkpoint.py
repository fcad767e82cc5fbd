"""Checkpoints: one log, one size, one root, in one way of writing them (invariant 6)."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.checkpoint import Checkpoint, origin_of
from security.note import BadNoteKey, MalformedNote, NoteKey, NoteRefused, note_signature, open_note, signed_bytes
from security.signer import Ed25519Signer
from security.tree import EMPTY_ROOT

SIGNER, OTHER = (Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)) for seed in (3, 4))
ORIGIN = origin_of(UUID(int=7), 2)
KEY = NoteKey(ORIGIN, SIGNER.public_key)
ROOT = bytes(range(32))
B64 = base64.b64encode(ROOT).decode()
CHECKPOINT = Checkpoint(ORIGIN, 20_852_163, ROOT)
SIGNED = CHECKPOINT.signed(SIGNER)


def test_a_checkpoint_is_three_lines_and_what_we_add() -> None:
    assert ORIGIN == "suozhan.hub/00000000-0000-0000-0000-000000000007/2"
    assert CHECKPOINT.text() == f"{ORIGIN}\n20852163\n{B64}\n"
    extended = Checkpoint(ORIGIN, 1, ROOT, ("one", "二 2"))
    assert extended.text() == f"{ORIGIN}\n1\n{B64}\none\n二 2\n"
    for checkpoint in (CHECKPOINT, extended, Checkpoint(ORIGIN, 0, EMPTY_ROOT), Checkpoint(ORIGIN, 2**63 - 1, ROOT)):
        assert Checkpoint.parse(checkpoint.text()) == checkpoint
        assert Checkpoint.open(checkpoint.signed(SIGNER), [KEY]) == checkpoint


@pytest.mark.parametrize("text", [
    "", "\n", f"o\n1\n{B64}", "o\n1\n", f"o\n{B64}\n", f"\n1\n{B64}\n", f"o\n\n{B64}\n", f"o\n01\n{B64}\n", f"o\n-1\n{B64}\n",
    f"o\n+1\n{B64}\n", f"o\n 1\n{B64}\n", f"o\n1 \n{B64}\n", f"o\n1_0\n{B64}\n", f"o\n0x1\n{B64}\n", f"o\n١\n{B64}\n",
    f"o\n1.0\n{B64}\n", f"o\n{2**63}\n{B64}\n", f"o\n{10**30}\n{B64}\n", f"o\n00\n{B64}\n", "o\n1\n\n", f"o\n1\n{B64[:-1]}\n",
    f"o\n1\n{B64}=\n", f"o\n1\n {B64}\n", f"o\n1\n{B64[:-2]}9=\n", f"o\n1\n{base64.b64encode(bytes(31)).decode()}\n",
    f"o\n1\n{base64.b64encode(bytes(33)).decode()}\n", f"o\n1\n{ROOT.hex()}\n", f"o\n1\n{B64}\n\n", f"o\n1\n{B64}\n\nx\n",
    f"o\n1\n{B64}\nx", f"o o\n1\n{B64}\n", f"o+o\n1\n{B64}\n", f"o\n0\n{B64}\n", f"o\r\n1\r\n{B64}\r\n",
])
def test_nothing_else_is_a_checkpoint(text: str) -> None:
    with pytest.raises(MalformedNote, match="again"):
        Checkpoint.parse(text)


def test_no_byte_of_a_signed_checkpoint_can_be_changed() -> None:
    for place, byte in enumerate(SIGNED):
        for changed in range(256):
            if changed != byte:
                with pytest.raises((MalformedNote, NoteRefused)):
                    Checkpoint.open(SIGNED[:place] + bytes([changed]) + SIGNED[place + 1:], [KEY])


def test_the_log_itself_has_to_sign() -> None:
    witness = NoteKey("witness.example", OTHER.public_key)
    cosigned = signed_bytes(CHECKPOINT.text(), [note_signature(CHECKPOINT.text(), witness.name, OTHER)])
    assert open_note(cosigned, [witness])
    with pytest.raises(NoteRefused, match="has not signed"):
        Checkpoint.open(cosigned, [KEY, witness])
    with pytest.raises(NoteRefused):
        Checkpoint.open(CHECKPOINT.signed(OTHER), [KEY])


def test_a_key_of_one_epoch_signs_no_other() -> None:
    other_epoch = Checkpoint(origin_of(UUID(int=7), 3), 1, ROOT)
    forged = signed_bytes(other_epoch.text(), [note_signature(other_epoch.text(), ORIGIN, SIGNER)])
    with pytest.raises(NoteRefused, match="has not signed"):
        Checkpoint.open(forged, [KEY])
    with pytest.raises(NoteRefused):
        Checkpoint.open(other_epoch.signed(SIGNER), [KEY])


def test_a_checkpoint_that_makes_no_sense_is_not_made() -> None:
    for size, root, extensions in ((-1, ROOT, ()), (2**63, ROOT, ()), (1, ROOT[:-1], ()), (0, ROOT, ()), (1, ROOT, ("",)),
                                   (1, ROOT, ("a\nb",))):
        with pytest.raises(MalformedNote):
            Checkpoint(ORIGIN, size, root, extensions)
    with pytest.raises(BadNoteKey):
        Checkpoint("a b", 1, ROOT)
