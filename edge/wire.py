"""The `Replicate` stream as bytes: the only file of the uplink that sees protobuf messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from uuid import UUID

import zstandard

from proto import sync_pb2
from security.run import Run
from security.statements import SignedTime

COMPRESSION_LEVEL = -1  # sealed bytes do not compress; what is left are repeated ids and times

POSITION_MAX = 2**63 - 1  # SQLite's largest integer

Up = sync_pb2.ReplicateUp
Down = sync_pb2.ReplicateDown


class MalformedReply(ValueError):
    """A message that no hub of ours sends."""


class Reason(Enum):
    """Why the hub ended a stream."""

    UNSPECIFIED = sync_pb2.Refusal.REASON_UNSPECIFIED
    UNKNOWN_JOURNAL = sync_pb2.Refusal.UNKNOWN_JOURNAL
    GAP = sync_pb2.Refusal.GAP
    FORKED = sync_pb2.Refusal.FORKED
    RESTORED = sync_pb2.Refusal.RESTORED
    BROKEN_SIGNATURE = sync_pb2.Refusal.BROKEN_SIGNATURE
    MALFORMED = sync_pb2.Refusal.MALFORMED
    SUPERSEDED = sync_pb2.Refusal.SUPERSEDED
    UNAVAILABLE = sync_pb2.Refusal.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class HubStanding:
    """Where the hub stands: held (with the digest there), backed up, and its signed time."""

    hello: bool
    position: int
    digest: bytes
    backed_up: int
    time: SignedTime


@dataclass(frozen=True, slots=True)
class HubRefusal:
    """The hub's last word on a stream."""

    reason: Reason
    position: int
    hint: str


def encode_open(journal: UUID, position: int, unix_ms: int = 0) -> Up:
    """`unix_ms` is this machine's clock, 0 to say nothing of it."""
    return Up(open=sync_pb2.Open(journal=journal.bytes, position=position, unix_ms=unix_ms))


def encode_batch(run: Run, key_id: bytes, head: int) -> Up:
    """`head` is the journal's newest position."""
    batch = sync_pb2.Batch(first_position=run.first, previous_digest=run.previous, key_id=key_id,
                           payloads=run.payloads, signatures=run.signatures)
    return Up(batch=zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compress(batch.SerializeToString()), head=head)


def decode(message: Down) -> HubStanding | HubRefusal:
    """Raises MalformedReply."""
    match message.WhichOneof("message"):
        case "hello":
            return _standing(message.hello, hello=True)
        case "standing":
            return _standing(message.standing, hello=False)
        case "refusal":
            reason = message.refusal.reason
            known = Reason(reason) if reason in {item.value for item in Reason} else Reason.UNSPECIFIED
            return HubRefusal(known, message.refusal.position, message.refusal.hint)
        case _:
            raise MalformedReply("the hub sent an empty message")


def _standing(standing: sync_pb2.Standing, *, hello: bool) -> HubStanding:
    if len(standing.digest) != 32 or standing.backed_up > standing.position or standing.position > POSITION_MAX:
        raise MalformedReply("the hub's standing is not one: no digest, no position, or more backed up than held")
    time = SignedTime(standing.time.unix_ms, standing.time.signature)
    return HubStanding(hello, standing.position, standing.digest, standing.backed_up, time)
