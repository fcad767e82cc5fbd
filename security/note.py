"""Signed notes (https://c2sp.org/signed-note): text that people can read, with signatures below it, Ed25519 only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from security import strict_base64
from security.signer import Signer
from security.suites import Suite, UnsoundKey, Verifier, sha256

NOTE_MAX_BYTES = 256 * 1024  # 16 post-quantum signatures are half of it
SIGNATURES_MAX = 100
KEY_ID_BYTES = 4
ED25519 = b"\x01"  # the algorithm byte of a note key

_LINE = re.compile(r"— ([^ ]+) ([A-Za-z0-9+/]+={0,2})")


class BadNoteKey(ValueError):
    """Text that is no note key, or a key that must not be used."""


class MalformedNote(ValueError):
    """Bytes that are no signed note. They may have been damaged on the way: fetch them again."""


class NoteRefused(ValueError):
    """A note that the keys we trust have not signed, or whose signature does not hold. Keep it and report it."""


def check_name(name: str) -> str:
    """A key's name: not empty, without blanks, control characters or "+". Raises BadNoteKey."""
    if not name or "+" in name or any(character.isspace() or character < " " for character in name):
        raise BadNoteKey(f"{name!r} cannot be the name of a note key; leave out blanks and plus signs")
    return name


@dataclass(frozen=True, slots=True)
class NoteKey:
    """Whose signature is expected: a name and an Ed25519 public key of 32 bytes."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        try:
            Verifier(Suite.ED25519_SHA256, self.public_key)
        except UnsoundKey as error:
            raise BadNoteKey(str(error)) from error

    @property
    def id(self) -> bytes:
        """4 bytes. A hint, no proof: others may have the same."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key)[:KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{strict_base64.encode(ED25519 + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> NoteKey:
        """Of `name+id+base64`, what the tools of other logs call a vkey. Raises BadNoteKey."""
        name, _, rest = text.partition("+")
        id_, _, encoded = rest.partition("+")
        try:
            key = strict_base64.decode(encoded)
        except ValueError as error:
            raise BadNoteKey(f"{text[:200]!r} is no note key; copy the whole line") from error
        if key[:1] != ED25519:
            raise BadNoteKey(f"{text[:200]!r} is no Ed25519 note key; ask for one that is")
        parsed = cls(name, key[1:])
        if str(parsed) != text:
            raise BadNoteKey(f"{text[:200]!r} contradicts itself, its id should be {parsed.id.hex()} and not {id_}; "
                             "copy the whole line")
        return parsed


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One line below the text: the name, the 4 bytes of the key's id, and the signature."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"— {self.name} {strict_base64.encode(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """Text that ends with a newline; the signatures that hold; and those of keys we do not know, to be passed on."""

    text: str
    signatures: tuple[NoteSignature, ...]
    unknown: tuple[NoteSignature, ...] = ()

    def __bytes__(self) -> bytes:
        return signed_bytes(self.text, (*self.signatures, *self.unknown))


def note_signature(text: str, name: str, signer: Signer) -> NoteSignature:
    """By the signer's key (Ed25519) under this name."""
    key = NoteKey(name, signer.public_key)
    return NoteSignature(name, key.id, signer.sign(_checked_text(text).encode()))


def signed_bytes(text: str, signatures: Sequence[NoteSignature]) -> bytes:
    """The note as it is sent and kept."""
    return (_checked_text(text) + "\n" + "".join(map(str, signatures))).encode()


def open_note(data: bytes, keys: Sequence[NoteKey]) -> Note:
    """Signed by at least one of the keys, and by none of them in vain. Raises MalformedNote, NoteRefused."""
    text, lines = _parsed(data)
    known = {(key.name, key.id): key for key in keys}
    if len(known) < len(keys):
        raise BadNoteKey("two note keys have the same name and id; give each only once")
    ours = [line for line in lines if (line.name, line.key_id) in known]
    if len({(line.name, line.key_id) for line in ours}) < len(ours):
        raise NoteRefused("one key has signed the note twice; keep it and report it")
    for line in ours:
        verifier = Verifier(Suite.ED25519_SHA256, known[line.name, line.key_id].public_key)
        if not verifier.valid(line.signature, text.encode()):
            raise NoteRefused(f"the signature of {line.name} does not hold: the note was changed, or somebody else "
                              "made it; keep it and report it")
    if not ours:
        raise NoteRefused("none of the keys we trust has signed the note; check whose it is")
    return Note(text, tuple(ours), tuple(dict.fromkeys(line for line in lines if line not in ours)))


def _parsed(data: bytes) -> tuple[str, list[NoteSignature]]:
    if len(data) > NOTE_MAX_BYTES:
        raise MalformedNote(f"a note of {len(data)} bytes is too long; fetch it again")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise MalformedNote("a note has to be UTF-8; fetch it again") from error
    text, blank, below = whole.rpartition("\n\n")
    if not blank or not below.endswith("\n"):
        raise MalformedNote("a note has a blank line and signatures below its text; fetch it again")
    lines = below[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise MalformedNote(f"a note with {len(lines)} signatures is not taken; fetch it again")
    return _checked_text(text + "\n"), [_parsed_line(line) for line in lines]


def _parsed_line(line: str) -> NoteSignature:
    match = _LINE.fullmatch(line)
    if not match:
        raise MalformedNote(f"{line[:80]!r} is no line of a signature; fetch the note again")
    try:
        name, signed = check_name(match[1]), strict_base64.decode(match[2])
    except ValueError as error:
        raise MalformedNote(f"{line[:80]!r} is no line of a signature; fetch the note again") from error
    if len(signed) <= KEY_ID_BYTES:
        raise MalformedNote(f"{line[:80]!r} holds no signature; fetch the note again")
    return NoteSignature(name, signed[:KEY_ID_BYTES], signed[KEY_ID_BYTES:])


def _checked_text(text: str) -> str:
    if not text.endswith("\n") or any(character < " " and character != "\n" for character in text):
        raise MalformedNote("a note's text ends with a newline and has no other control characters; fetch it again")
    return text
