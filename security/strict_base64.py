"""Base64 (RFC 4648, section 4) in which every bit counts: what is signed has one way of being written."""

from __future__ import annotations

import base64
import binascii


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decode(text: str) -> bytes:
    """Raises ValueError unless it is what `encode` writes: stray bits at its end would go unsigned."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{text[:80]!r} is no base64; copy it again") from error
    if encode(data) != text:
        raise ValueError(f"{text[:80]!r} is not the canonical base64; copy it again")
    return data
