"""Checkpoints (https://c2sp.org/tlog-checkpoint): what a log's tree was at one moment, as the text of a signed note."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from security import strict_base64
from security.note import MalformedNote, NoteKey, NoteRefused, check_name, note_signature, open_note, signed_bytes
from security.signer import Signer
from security.tree import EMPTY_ROOT, HASH_BYTES, SIZE_MAX_LEAVES

ORIGIN_PREFIX = "suozhan.hub"

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


def origin_of(hub: UUID, epoch: int) -> str:
    """The name of one epoch of a hub's log, and of the note key that signs its checkpoints."""
    return f"{ORIGIN_PREFIX}/{hub}/{epoch}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's name, its size in leaves, its root (32 bytes), and lines of our own below them. Raises MalformedNote."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.origin)
        if not 0 <= self.size <= SIZE_MAX_LEAVES or len(self.root) != HASH_BYTES:
            raise MalformedNote(f"a checkpoint of {self.size} leaves and a root of {len(self.root)} bytes makes no sense; "
                                "fetch it again")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise MalformedNote("an empty tree has another root; fetch the checkpoint again")
        if not all(self.extensions) or any("\n" in line for line in self.extensions):
            raise MalformedNote("an extension of a checkpoint is one line that is not empty; fetch the checkpoint again")

    def text(self) -> str:
        """What is signed."""
        return "".join(f"{line}\n" for line in
                       (self.origin, self.size, strict_base64.encode(self.root), *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """In the one way of writing it. Raises MalformedNote."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not _SIZE.fullmatch(lines[1]):
            raise MalformedNote("a checkpoint has a name, a size and a root, each on its line; fetch it again")
        try:
            origin, root = check_name(lines[0]), strict_base64.decode(lines[2])
        except ValueError as error:
            raise MalformedNote("the name or the root of a checkpoint is malformed; fetch it again") from error
        return cls(origin, int(lines[1]), root, tuple(lines[3:]))

    def signed(self, signer: Signer) -> bytes:
        """A signed note, by the key that bears the name of the log."""
        return signed_bytes(self.text(), [note_signature(self.text(), self.origin, signer)])

    @classmethod
    def open(cls, note: bytes, keys: Sequence[NoteKey]) -> Checkpoint:
        """Signed by the key that bears the name of the log, one of `keys`. Raises MalformedNote, NoteRefused."""
        opened = open_note(note, keys)
        checkpoint = cls.parse(opened.text)
        if checkpoint.origin not in {line.name for line in opened.signatures}:
            raise NoteRefused(f"the log {checkpoint.origin} has not signed its checkpoint; check whose it is")
        return checkpoint
