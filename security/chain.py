"""Digests that join the records of one journal. Specified byte by byte in docs/record-format.md."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from security.suites import Suite, sha256

GENESIS_CONTEXT = b"suozhan/genesis/v1\0"
DIGEST_CONTEXT = b"suozhan/digest/v1\0"
RECORD_CONTEXT = b"suozhan/record/v1\0"
LEAF_CONTEXT = b"suozhan/leaf/v1\0"

_LEAF = struct.Struct(">Q32s32sQ")


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


def digests_after(previous: bytes, payloads: Iterable[bytes]) -> list[bytes]:
    """`next_digest` of each payload in turn; the hottest loop of edge and hub, so it calls nothing of ours."""
    return [previous := hashlib.sha256(DIGEST_CONTEXT + previous + payload).digest() for payload in payloads]


def leaf_hashes(key_id: bytes, journal: bytes, first: int, digests: Sequence[bytes], signatures: Sequence[bytes],
                arrived_ms: int) -> list[bytes]:
    """RFC 6962 leaf hashes (32 bytes each) of consecutive ledger entries; they reveal nothing about a resident."""
    owner = b"\0" + LEAF_CONTEXT + key_id + journal
    new = hashlib.sha256
    return [
        new(owner + _LEAF.pack(position, digest, new(signature).digest(), arrived_ms)).digest()
        for position, (digest, signature) in enumerate(zip(digests, signatures, strict=True), first)
    ]


def leaf_hash(key_id: bytes, journal: bytes, position: int, digest: bytes, signature: bytes, arrived_ms: int) -> bytes:
    """`leaf_hashes` of one entry."""
    return leaf_hashes(key_id, journal, position, [digest], [signature], arrived_ms)[0]


def leaf_entry(key_id: bytes, journal: bytes, position: int, digest: bytes, signature: bytes, arrived_ms: int) -> bytes:
    """144 bytes: what that leaf hash covers, as a tile of entries publishes it (docs/transparency.md)."""
    return LEAF_CONTEXT + key_id + journal + _LEAF.pack(position, digest, sha256(signature), arrived_ms)
