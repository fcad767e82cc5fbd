"""What a caller hands to the journal, what it gets back, and how it can be refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from security.suites import sha256

CALLER_ID_CONTEXT = b"suozhan/caller/v1\0"
_CALLER_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_ID_NUMBER = re.compile(r"\d{17}[\dXx]")


class JournalRefused(Exception):
    """This submission was not taken, and nothing of it is kept. `hint` is for the counter, in Chinese."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class BadDraft(JournalRefused):
    """Not a submission that any journal takes."""


class CallerIdConflict(JournalRefused):
    """The caller's id was used before, for other content."""


class JournalFull(JournalRefused):
    """Quota or disk is full. What is queued is safe; new work waits until the line is back or space is made."""


class JournalStopped(JournalRefused):
    """The journal takes no more records: it is closed, damaged, or the hub has refused its history."""


class CorruptJournal(Exception):
    """Stored bytes that are not what was signed; names the position. The journal must not be written on."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A record to be: the caller's id makes it safe to say it twice; the body is sealed before it is written."""

    caller_id: str
    kind: str
    body: bytes
    simulated: bool = False

    def __post_init__(self) -> None:
        if not _CALLER_ID.fullmatch(self.caller_id):
            raise BadDraft("bad caller id", "业务流水号应为 1 至 64 位字母、数字或 . _ : -，请由柜面程序重新生成后提交。")
        if _ID_NUMBER.search(self.caller_id):
            raise BadDraft("caller id holds an ID number", "业务流水号不得包含身份证号码，请由柜面程序重新生成后提交。")


@dataclass(frozen=True, slots=True)
class Stored:
    """A durable record: its id and position; `repeat` when the same was said before."""

    id: UUID
    position: int
    repeat: bool


def record_id(edge: UUID, caller_id: str) -> UUID:
    """UUIDv8 (RFC 9562) of a caller's id on this machine: the same id names the same record in every journal of it."""
    digest = bytearray(sha256(CALLER_ID_CONTEXT + edge.bytes + caller_id.encode())[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(digest))
