"""What a file is, by its first bytes: a name or a header may say anything."""

from __future__ import annotations

JPEG, PNG, PDF = "image/jpeg", "image/png", "application/pdf"
MEDIA_TYPES = (JPEG, PNG, PDF)
HEAD_BYTES = 8  # that decide

_MAGIC = {JPEG: b"\xff\xd8\xff", PNG: b"\x89PNG\r\n\x1a\n", PDF: b"%PDF-"}


class UnknownMediaType(ValueError):
    """Not a scan or a document that we keep."""


def check_media_type(head: bytes, said: str | None) -> str:
    """What it is. Raises UnknownMediaType, also when it is not what somebody said."""
    found = next((media_type for media_type, magic in _MAGIC.items() if head.startswith(magic)), None)
    if found is None or said not in (None, found):
        raise UnknownMediaType("neither JPEG nor PNG nor PDF, or not what it is said to be")
    return found
