"""The `Replicate` stream as bytes: the only file of the uplink that sees protobuf messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

import zstandard

from edge.receipt_store import Receipt
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
    CLOSED = sync_pb2.Refusal.CLOSED
    HOLE = sync_pb2.Refusal.HOLE


@dataclass(frozen=True, slots=True)
class HubStanding:
    """Where the hub stands: held (with the digest there), backed up, and its signed time."""

    hello: bool
    position: int
    digest: bytes
    backed_up: int
    time: SignedTime


@dataclass(frozen=True, slots=True)
class HubReceipt:
    """A signed checkpoint with the proof that it grew out of the last one; `position` 0, or whose leaf `inclusion` proves."""

    checkpoint: str
    consistency: tuple[bytes, ...]
    position: int
    index: int
    arrived_ms: int
    inclusion: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class HubEpoch:
    """The hub has begun its log anew: a signed note."""

    statement: str


@dataclass(frozen=True, slots=True)
class HubRefusal:
    """The hub's last word on a stream."""

    reason: Reason
    position: int
    hint: str


def encode_open(journal: UUID, position: int, unix_ms: int = 0, checkpoint: str = "",
                instance: bytes = b"") -> Up:
    """`unix_ms` is this machine's clock (0: not said), `checkpoint` the newest that it accepted, `instance` 16 random bytes of
    this run of the program. It names no receipt that it holds: each stream proves the newest record anew.
    """
    return Up(open=sync_pb2.Open(journal=journal.bytes, position=position, unix_ms=unix_ms, checkpoint=checkpoint,
                                 instance=instance))


def encode_missing(first: int, known: Sequence[tuple[bytes, bytes]], shown: tuple[Receipt, bytes] | None, *, more: bool,
                   data_key: tuple[bytes, bytes] | None = None) -> Up:
    """Digest and id of each record, from `first` on, that the hub lacks and that is no longer here; `shown` is the hub's receipt
    for a record at or behind them, with that record's digest; `data_key` is the one of them that opens what is still here.
    """
    message = sync_pb2.Missing(first_position=first, digests=b"".join(digest for digest, _ in known),
                               ids=b"".join(one for _, one in known), more=more)
    if shown is not None:
        receipt, message.receipt_digest = shown
        message.receipt_signature = receipt.signature
        message.receipt.CopyFrom(sync_pb2.Receipt(checkpoint=receipt.checkpoint, position=receipt.position, index=receipt.index,
                                                  arrived_ms=receipt.arrived_ms, inclusion=receipt.proof))
    if data_key is not None:
        message.data_key, message.data_key_signature = data_key
    return Up(missing=message)


def encode_batch(run: Run, key_id: bytes, head: int) -> Up:
    """`head` is the journal's newest position."""
    batch = sync_pb2.Batch(first_position=run.first, previous_digest=run.previous, key_id=key_id,
                           payloads=run.payloads, signatures=run.signatures)
    return Up(batch=zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compress(batch.SerializeToString()), head=head)


def decode(message: Down) -> HubStanding | HubReceipt | HubEpoch | HubRefusal:
    """Raises MalformedReply."""
    match message.WhichOneof("message"):
        case "hello":
            return _standing(message.hello, hello=True)
        case "standing":
            return _standing(message.standing, hello=False)
        case "receipt":
            return _receipt(message.receipt)
        case "epoch":
            return HubEpoch(message.epoch)
        case "refusal":
            reason = message.refusal.reason
            known = Reason(reason) if reason in {item.value for item in Reason} else Reason.UNSPECIFIED
            return HubRefusal(known, message.refusal.position, message.refusal.hint)
        case _:
            raise MalformedReply("the hub sent an empty message")


def _receipt(receipt: sync_pb2.Receipt) -> HubReceipt:
    if max(receipt.position, receipt.index, receipt.arrived_ms) > POSITION_MAX:
        raise MalformedReply("the hub's receipt names a place that no log has")
    return HubReceipt(receipt.checkpoint, tuple(receipt.consistency), receipt.position, receipt.index, receipt.arrived_ms,
                      tuple(receipt.inclusion))


def _standing(standing: sync_pb2.Standing, *, hello: bool) -> HubStanding:
    if len(standing.digest) != 32 or standing.backed_up > standing.position or standing.position > POSITION_MAX:
        raise MalformedReply("the hub's standing is not one: no digest, no position, or more backed up than held")
    time = SignedTime(standing.time.unix_ms, standing.time.signature)
    return HubStanding(hello, standing.position, standing.digest, standing.backed_up, time)
