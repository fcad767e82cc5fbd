"""Signed notes: what a key has signed is taken, and nothing that differs from it in a byte."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from security.note import (
    NOTE_MAX_BYTES,
    SIGNATURES_MAX,
    BadNoteKey,
    MalformedNote,
    NoteKey,
    NoteRefused,
    NoteSignature,
    note_signature,
    open_note,
    signed_bytes,
)
from security.signer import Ed25519Signer

SIGNER, OTHER = (Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)) for seed in (1, 2))
KEY, OTHER_KEY = NoteKey("log.example/1", SIGNER.public_key), NoteKey("witness.example", OTHER.public_key)
TEXT = "所站\n\nabc\n"
LINE, OTHER_LINE = note_signature(TEXT, KEY.name, SIGNER), note_signature(TEXT, OTHER_KEY.name, OTHER)
NOTE = signed_bytes(TEXT, [LINE])


def test_a_signed_note_is_opened_by_its_key() -> None:
    note = open_note(NOTE, [KEY])
    assert note.text == TEXT
    assert note.signatures == (LINE,)
    assert bytes(note) == NOTE
    assert NOTE.decode() == f"{TEXT}\n— log.example/1 {base64.b64encode(KEY.id + LINE.signature).decode()}\n"


def test_lines_of_keys_we_do_not_know_are_kept_and_not_believed() -> None:
    both = signed_bytes(TEXT, [OTHER_LINE, LINE])
    note = open_note(both, [KEY])
    assert (note.signatures, note.unknown) == ((LINE,), (OTHER_LINE,))
    assert open_note(bytes(note), [OTHER_KEY]).signatures == (OTHER_LINE,)
    assert open_note(both, [OTHER_KEY, KEY]).signatures == (OTHER_LINE, LINE)
    lies = NoteSignature("nobody", b"\0\1\2\3", b"no signature")
    assert open_note(signed_bytes(TEXT, [lies, LINE, lies]), [KEY]).unknown == (lies,)


def test_a_line_that_shares_only_the_name_or_only_the_id_is_of_an_unknown_key() -> None:
    same_name, same_id = NoteSignature(KEY.name, OTHER_KEY.id, bytes(64)), NoteSignature("x", KEY.id, bytes(64))
    assert open_note(signed_bytes(TEXT, [same_name, same_id, LINE]), [KEY]).signatures == (LINE,)


def test_no_byte_of_a_note_can_be_changed() -> None:
    """The stray bits at the end of base64 included: they would be read as the same signature (invariant 4)."""
    for place, byte in enumerate(NOTE):
        for changed in {0, 9, 10, 13, 32, 43, 61, 65, 255, *(byte ^ 1 << bit for bit in range(8))} - {byte}:
            with pytest.raises((MalformedNote, NoteRefused)):
                open_note(NOTE[:place] + bytes([changed]) + NOTE[place + 1:], [KEY])


def test_no_byte_of_a_note_can_be_left_out_or_added() -> None:
    for place in range(len(NOTE) + 1):
        with pytest.raises((MalformedNote, NoteRefused)):
            open_note(NOTE[:place] + NOTE[place + 1:] if place < len(NOTE) else NOTE[:-2], [KEY])
        for added in (b"\n", b" ", b"=", b"A", b"\0"):
            with pytest.raises((MalformedNote, NoteRefused)):
                open_note(NOTE[:place] + added + NOTE[place:], [KEY])


def test_a_signature_of_a_known_key_has_to_hold_whoever_else_has_signed() -> None:
    false = NoteSignature(OTHER_KEY.name, OTHER_KEY.id, LINE.signature)
    with pytest.raises(NoteRefused, match=r"witness\.example does not hold"):
        open_note(signed_bytes(TEXT, [LINE, false]), [KEY, OTHER_KEY])
    with pytest.raises(NoteRefused, match="signed the note twice"):
        open_note(signed_bytes(TEXT, [LINE, LINE]), [KEY])
    for short in (b"x", bytes(63), LINE.signature + b"\0"):
        with pytest.raises(NoteRefused, match="does not hold"):
            open_note(signed_bytes(TEXT, [NoteSignature(KEY.name, KEY.id, short)]), [KEY])
    with pytest.raises(NoteRefused, match="none of the keys"):
        open_note(NOTE, [OTHER_KEY])
    with pytest.raises(NoteRefused, match="none of the keys"):
        open_note(NOTE, [])


GOOD = str(LINE)
MALFORMED = [
    b"", b"\n", b"\n\n", TEXT.encode(), TEXT.encode() + b"\n", NOTE[:-1], NOTE + b"\n", NOTE + b"x\n",
    NOTE.replace(b"\n", b"\r\n"), b"\xef\xbb" + NOTE, b"\xff\n\n" + GOOD.encode(),
    *(f"{text}\n\n{GOOD}".encode() for text in ("a\tb", "a\0b", "a\x1bb")),
    *(f"a\n\n{line}".encode() for line in (
        GOOD.replace("—", "-"), GOOD.replace("— ", "—"), GOOD[:-1] + " \n", GOOD.replace(" log", "  log"),
        GOOD.replace(".", "+"), GOOD.replace(".", " "), GOOD.replace(".", "\u2003"), "— log.example/1\n",
        "— n AAAAAA==\n", "— n AAAA\n", "—  AAAAAAAA\n", "— n AAAAAA\n", "— n AAAAAAB=\n", "— n AAAAA-A=\n",
        "— n AAAA=AAA\n", "— n AAAAAAA=\n\n")),
]


@pytest.mark.parametrize("data", MALFORMED)
def test_what_is_no_note_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedNote, match="again"):
        open_note(data, [KEY])


def test_notes_and_their_signatures_are_bounded() -> None:
    others = [NoteSignature(f"w{number}", b"\0\0\0\0", bytes(64)) for number in range(SIGNATURES_MAX - 1)]
    assert len(open_note(signed_bytes(TEXT, [*others, LINE]), [KEY]).unknown) == SIGNATURES_MAX - 1
    with pytest.raises(MalformedNote, match="101 signatures"):
        open_note(signed_bytes(TEXT, [*others, LINE, OTHER_LINE]), [KEY])
    long = "x" * (NOTE_MAX_BYTES - len(NOTE)) + TEXT
    assert open_note(signed_bytes(long, [note_signature(long, KEY.name, SIGNER)]), [KEY])
    with pytest.raises(MalformedNote, match="too long"):
        open_note(signed_bytes("x" + long, [note_signature("x" + long, KEY.name, SIGNER)]), [KEY])


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "a\r\n", "a\0\n"])
def test_what_cannot_be_a_note_is_not_signed(text: str) -> None:
    with pytest.raises(MalformedNote):
        note_signature(text, KEY.name, SIGNER)
    with pytest.raises(MalformedNote):
        signed_bytes(text, [LINE])


def test_a_key_is_written_and_read() -> None:
    assert NoteKey.parse(str(KEY)) == KEY
    name, key_id, encoded = str(KEY).split("+", 2)
    assert (name, key_id) == (KEY.name, KEY.id.hex())
    assert base64.b64decode(encoded) == b"\x01" + SIGNER.public_key


def test_a_key_whose_base64_holds_a_plus_is_read_too() -> None:
    keys = (NoteKey("log", Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)).public_key)
            for seed in range(3, 40))
    key = next(one for one in keys if str(one).count("+") > 2)
    assert NoteKey.parse(str(key)) == key


def test_no_character_of_a_key_can_be_changed_unseen() -> None:
    text = str(KEY)
    for place, character in enumerate(text):
        for changed in {" ", "+", "=", "A", "a", "\n", chr(ord(character) ^ 1), character.swapcase()} - {character}:
            with pytest.raises(BadNoteKey):
                NoteKey.parse(text[:place] + changed + text[place + 1:])
    for wrong in ("", "+", "++", "a", "a+b", "a+00000000+", text + "+", text + " ", text[:-1], " " + text):
        with pytest.raises(BadNoteKey):
            NoteKey.parse(wrong)


def test_keys_of_other_algorithms_and_unsound_keys_are_refused() -> None:
    with pytest.raises(BadNoteKey, match="no Ed25519"):
        NoteKey.parse(f"a+00000000+{base64.b64encode(bytes([4]) + SIGNER.public_key).decode()}")
    for public_key in (bytes(32), bytes(31), b"\x01" + bytes(31)):
        with pytest.raises(BadNoteKey):
            NoteKey("a", public_key)
    for name in ("", "a b", "a+b", "a\nb", "a\u00a0b", "a\x01"):
        with pytest.raises(BadNoteKey, match="cannot be the name"):
            NoteKey(name, SIGNER.public_key)
    with pytest.raises(BadNoteKey, match="only once"):
        open_note(NOTE, [KEY, KEY])
