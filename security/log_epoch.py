"""Where a hub's transparency log begins: at its founding, and anew whenever it comes back from a backup.

Each epoch is a log of its own, with its own origin, over the whole ledger as it stands then. Its statement is a signed note, by
the log's key under the name of the new origin; the first line tells it from a checkpoint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from security import strict_base64
from security.checkpoint import ORIGIN_PREFIX, origin_of
from security.note import NoteKey, note_signature, open_note, signed_bytes
from security.signer import Signer
from security.tree import HASH_BYTES

HEADING = "suozhan epoch v1"
NONE = "-"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class MalformedEpoch(ValueError):
    """A signed note that states no epoch of this hub. Keep it and report it."""


def epoch_of(origin: str, hub: UUID) -> int:
    """The number in an origin of this hub; 0 for any other text."""
    number = origin.removeprefix(f"{ORIGIN_PREFIX}/{hub}/")
    return int(number) if number != origin and _NUMBER.fullmatch(number) else 0


@dataclass(frozen=True, slots=True)
class LogEpoch:
    """Epoch `number` (from 1) has the `base_size` entries under `base_root` in common with the one before. `last_size` and
    `last_root` are of the last checkpoint that was signed there: what lies between the two sizes was lost with the database
    (None at first).
    """

    hub: UUID
    number: int
    opened_ms: int
    base_size: int
    base_root: bytes
    last_size: int | None = None
    last_root: bytes | None = None

    @property
    def origin(self) -> str:
        return origin_of(self.hub, self.number)

    def statement(self, signer: Signer) -> str:
        """The signed note."""
        last_size = NONE if self.last_size is None else str(self.last_size)
        last_root = NONE if self.last_root is None else strict_base64.encode(self.last_root)
        base_root = strict_base64.encode(self.base_root)
        lines = (HEADING, self.origin, str(self.opened_ms), str(self.base_size), base_root, last_size, last_root)
        text = "".join(f"{line}\n" for line in lines)
        return signed_bytes(text, [note_signature(text, self.origin, signer)]).decode()


def open_epoch(note: str, hub: UUID, log_key: bytes) -> LogEpoch:
    """A statement of this hub, under its log key. Raises MalformedNote, NoteRefused, MalformedEpoch."""
    lines = note.split("\n")
    number = epoch_of(lines[1], hub) if len(lines) > 1 else 0
    if lines[0] != HEADING or not number:
        raise MalformedEpoch("this is no epoch of the hub at which this machine is enrolled; keep it and report it")
    text = open_note(note.encode(), [NoteKey(origin_of(hub, number), log_key)]).text
    return _parsed(text.split("\n"), hub, number)


def _parsed(lines: list[str], hub: UUID, number: int) -> LogEpoch:
    try:
        _, _, opened_ms, base_size, base_root, last_size, last_root, end = lines
        first = last_size == NONE and last_root == NONE
        if end or first != (number == 1):
            raise ValueError("only the first epoch has none before it")
        return LogEpoch(hub, number, _whole(opened_ms), _whole(base_size), _hash(base_root),
                        None if first else _whole(last_size), None if first else _hash(last_root))
    except ValueError as error:
        raise MalformedEpoch(f"the hub's epoch cannot be read ({error}); keep it and report it") from error


def _whole(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no number")
    return int(text)


def _hash(text: str) -> bytes:
    data = strict_base64.decode(text)
    if len(data) != HASH_BYTES:
        raise ValueError(f"{text[:80]!r} is no hash")
    return data
