"""The `Replicate` stream as bytes: the only file of the ledger that sees protobuf messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from uuid import UUID

import zstandard
from google.protobuf.message import DecodeError

from hub.ledger.journal_head import POSITION_MAX
from hub.ledger.receipts import Receipt
from hub.ledger.runs import HASH_BYTES
from hub.ledger.shown_receipt import ShownReceipt
from proto import sync_pb2
from security.run import Run
from security.statements import SignedTime
from security.tree import split_hashes

BATCH_MAX_BYTES = 4 * 1024 * 1024
BATCH_MAX_RECORDS = 4_000
SIGNATURE_MAX_BYTES = 8 * 1024
MISSING_MAX_RECORDS = 100_000  # of one hole; what is larger is asked for in several
PROOF_MAX_HASHES = 64
DATA_KEY_MAX_BYTES = 16 * 1024
ID_BYTES = 16
INSTANCE_BYTES = 16

Up = sync_pb2.ReplicateUp
Down = sync_pb2.ReplicateDown


class MalformedMessage(ValueError):
    """A message that no edge of ours sends."""


class Reason(Enum):
    """Why a stream ends; the edge decides by it what to do next."""

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
class Opening:
    """The edge's first word: which journal, how far it goes there, its clock (0: not said), the newest checkpoint that it
    accepted ("": none), the newest position that it holds a receipt for, and which run of its program speaks (b"": not said).
    """

    journal: UUID
    position: int
    unix_ms: int
    checkpoint: str
    receipt: int
    instance: bytes = b""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Records, and where the edge's own head was when it sent them."""

    run: Run
    edge_head: int


@dataclass(frozen=True, slots=True)
class MissingPart:
    """Digests and ids, joined, of records that the edge no longer has, from a position on; `more` of them may follow. `receipt`
    is what it shows for them. `data_key` is one of them, payload and signature, if the edge has kept it: it opens what comes
    behind them.
    """

    first: int
    joined_digests: bytes
    joined_ids: bytes
    receipt: ShownReceipt | None
    more: bool
    data_key: tuple[bytes, bytes] | None = None

    @property
    def count(self) -> int:
        return len(self.joined_digests) // HASH_BYTES

    def digests(self) -> list[bytes]:
        return split_hashes(self.joined_digests)

    def ids(self) -> list[UUID]:
        return [UUID(bytes=self.joined_ids[at:at + ID_BYTES]) for at in range(0, len(self.joined_ids), ID_BYTES)]


def decode(message: Up) -> Opening | Delivery | MissingPart:
    """Raises MalformedMessage; never allocates more than BATCH_MAX_BYTES for what a message claims to hold."""
    match message.WhichOneof("message"):
        case "open" if len(message.open.journal) == 16:
            opened = message.open
            return Opening(UUID(bytes=opened.journal), opened.position, opened.unix_ms, opened.checkpoint,
                           min(opened.receipt, POSITION_MAX), opened.instance[:INSTANCE_BYTES])
        case "batch":
            return Delivery(_decode_batch(message.batch), message.head)
        case "missing":
            return _decode_missing(message.missing)
        case _:
            raise MalformedMessage("expected an Open with a journal's UUID, or a batch; update the edge")


def _decode_batch(frame: bytes) -> Run:
    try:
        claimed = zstandard.get_frame_parameters(frame).content_size
        if claimed > BATCH_MAX_BYTES:  # unknown sizes read as 2^64 - 1
            raise MalformedMessage(f"a batch may unpack to {BATCH_MAX_BYTES} bytes; send smaller ones")
        batch = sync_pb2.Batch.FromString(zstandard.ZstdDecompressor().decompress(frame))
    except (zstandard.ZstdError, DecodeError) as error:
        raise MalformedMessage("the batch cannot be unpacked: not a zstd frame of a Batch") from error
    count = len(batch.payloads)
    if not 0 < count <= BATCH_MAX_RECORDS or len(batch.signatures) != count:
        raise MalformedMessage(f"a batch holds 1 to {BATCH_MAX_RECORDS} payloads and as many signatures")
    if len(batch.previous_digest) != 32 or not 1 <= batch.first_position <= POSITION_MAX - count + 1:
        raise MalformedMessage("a batch names its first position and the digest before it")
    signatures = list(batch.signatures)
    if max(map(len, signatures)) > SIGNATURE_MAX_BYTES:
        raise MalformedMessage("a signature is too long for any suite")
    return Run(batch.first_position, batch.previous_digest, list(batch.payloads), signatures)


def _decode_missing(missing: sync_pb2.Missing) -> MissingPart:
    count, rest = divmod(len(missing.digests), HASH_BYTES)
    if rest or not count or len(missing.ids) != ID_BYTES * count or not 1 <= missing.first_position <= POSITION_MAX - count:
        raise MalformedMessage("what is missing has a first position, and a digest and an id for each record")
    if count > MISSING_MAX_RECORDS:
        raise MalformedMessage(f"at most {MISSING_MAX_RECORDS} records are missing in one message; send smaller ones")
    if max(len(missing.data_key), len(missing.data_key_signature)) > DATA_KEY_MAX_BYTES:
        raise MalformedMessage(f"the record of a data key has at most {DATA_KEY_MAX_BYTES} bytes")
    key = (missing.data_key, missing.data_key_signature) if missing.data_key else None
    return MissingPart(missing.first_position, missing.digests, missing.ids, _decode_shown(missing), missing.more, key)


def _decode_shown(missing: sync_pb2.Missing) -> ShownReceipt | None:
    receipt = missing.receipt
    if not receipt.checkpoint:
        return None
    if (max(receipt.position, receipt.index, receipt.arrived_ms) > POSITION_MAX or len(receipt.inclusion) > PROOF_MAX_HASHES
            or len(missing.receipt_digest) != HASH_BYTES):
        raise MalformedMessage("the receipt that comes with it names a place that no log has")
    return ShownReceipt(receipt.position, missing.receipt_digest, missing.receipt_signature, receipt.checkpoint, receipt.index,
                        receipt.arrived_ms, tuple(receipt.inclusion))


def encode_receipt(receipt: Receipt) -> Down:
    message = sync_pb2.Receipt(checkpoint=receipt.checkpoint, consistency=receipt.consistency, inclusion=receipt.inclusion)
    if receipt.place is not None:
        message.position, message.index = receipt.place.position, receipt.place.index
        message.arrived_ms = receipt.place.arrived_ms
    return Down(receipt=message)


def encode_epoch(statement: str) -> Down:
    return Down(epoch=statement)


def encode_standing(position: int, digest: bytes, backed_up: int, time: SignedTime, *, hello: bool = False) -> Down:
    standing = sync_pb2.Standing(
        position=position, digest=digest, backed_up=backed_up,
        time=sync_pb2.SignedTime(unix_ms=time.unix_ms, signature=time.signature),
    )
    return Down(hello=standing) if hello else Down(standing=standing)


def encode_refusal(reason: Reason, position: int, hint: str) -> Down:
    return Down(refusal=sync_pb2.Refusal(reason=reason.value, position=position, hint=hint))
