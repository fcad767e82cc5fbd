"""Digests that join the records of one journal. Specified byte by byte in docs/record-format.md."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

from security.suites import Suite, sha256

GENESIS_CONTEXT = b"suozhan/genesis/v1\0"
DIGEST_CONTEXT = b"suozhan/digest/v1\0"
RECORD_CONTEXT = b"suozhan/record/v1\0"
LEAF_CONTEXT = b"suozhan/leaf/v1\0"

_LEAF = struct.Struct(">32s16sQ32s32sQ")


@dataclass(frozen=True)
class Genesis:
    """What a journal's first digest covers: nobody can move a record into another machine's journal."""

    edge: UUID
    journal: UUID
    suite: Suite
    public_key: bytes
    predecessor: UUID | None = None

    def digest(self) -> bytes:
        """32 bytes: the digest before position 1."""
        predecessor = self.predecessor.bytes if self.predecessor else bytes(16)
        return sha256(
            GENESIS_CONTEXT
            + bytes([self.suite])
            + self.edge.bytes
            + self.journal.bytes
            + predecessor
            + len(self.public_key).to_bytes(2, "big")
            + self.public_key
        )


def next_digest(previous: bytes, payload: bytes) -> bytes:
    """32 bytes: H(context ‖ digest before ‖ payload)."""
    return sha256(DIGEST_CONTEXT + previous + payload)


def signing_input(digest: bytes) -> bytes:
    """What a record key signs; it signs nothing else but its enrolment proof."""
    return RECORD_CONTEXT + digest


def leaf_hash(key_id: bytes, journal: bytes, position: int, digest: bytes, signature: bytes, arrived_ms: int) -> bytes:
    """RFC 6962 leaf hash (32 bytes) of a ledger entry; reveals nothing about a resident."""
    return sha256(
        b"\0" + LEAF_CONTEXT + _LEAF.pack(key_id, journal, position, digest, sha256(signature), arrived_ms)
    )
