"""The note of Go's sumdb (golang.org/x/mod/sumdb/note, its example): their key, their signature."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from security.note import BadNoteKey, NoteKey, NoteRefused, NoteSignature, open_note, signed_bytes

VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
PACKAGED = Path(sys.prefix, "vectors/usr/share/gocode/src/golang.org/x/mod/sumdb/note/example_test.go")


def test_their_key_opens_their_note_and_we_write_it_as_they_do() -> None:
    key = NoteKey.parse(VKEY)
    note = open_note(f"{TEXT}\n{LINE}".encode(), [key])
    assert note.text == TEXT
    assert signed_bytes(note.text, note.signatures) == f"{TEXT}\n{LINE}".encode()
    assert str(key) == VKEY
    assert note.signatures == (NoteSignature("PeterNeumann", bytes.fromhex("c74f20a3"), note.signatures[0].signature),)


def test_their_note_is_refused_once_it_is_changed() -> None:
    key = NoteKey.parse(VKEY)
    with pytest.raises(NoteRefused):
        open_note(f"{TEXT.replace('your', 'Your')}\n{LINE}".encode(), [key])
    for changed in (VKEY.replace("c74f20a3", "c74f20a4"), VKEY.replace("Neumann", "neumann"), VKEY.replace("10TW", "10TX")):
        with pytest.raises(BadNoteKey):
            NoteKey.parse(changed)


@pytest.mark.skipif(not PACKAGED.exists(), reason="no vectors here; run: make vectors (it needs apt)")
def test_this_is_the_note_that_go_packages() -> None:
    source = PACKAGED.read_text("utf-8")
    assert VKEY in source
    assert LINE.strip() in source
    assert all(re.escape(line) in re.escape(source) for line in TEXT.splitlines())
