"""Records as bytes: the payload that is signed, and what the hub may read of it without a key.

Payloads are built once, at the edge, and are never parsed and written again (invariant 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from uuid import UUID

from google.protobuf.message import DecodeError

from proto import record_pb2
from security.chain import next_digest, signing_input
from security.signer import Signer
from security.suites import Verifier

PAYLOAD_MAX_BYTES = 64 * 1024
KIND_MAX_CHARS = 64


class MalformedRecord(ValueError):
    """Bytes that are no record of ours."""


@dataclass(frozen=True, slots=True)
class Times:
    """Claims of the machine: Unix ms, newest hub-signed Unix ms it knew, kernel boot id (16 bytes), ms since boot."""

    claimed_ms: int
    hub_signed_ms: int
    boot_id: bytes
    boottime_ms: int


@dataclass(frozen=True, slots=True)
class SealedBody:
    """AES-256-GCM over the compressed body, under the key of the data-key record at `key_position`."""

    key_position: int
    counter: int
    dictionary: int
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key, sealed (HPKE) for the hub key named by its id."""

    hub_key_id: bytes
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class ClearBody:
    """UTF-8 JSON that concerns no resident: what the hub itself decided."""

    data: bytes


@dataclass(frozen=True, slots=True)
class CarriedRecord:
    """A record of another journal, verbatim: what was signed, the digest before it there, and the key id; `data_key` opens a
    sealed payload (None: its own journal at the hub has it).
    """

    previous: bytes
    key_id: bytes
    payload: bytes
    signature: bytes
    data_key: WrappedKey | None = None

    @property
    def digest(self) -> bytes:
        """Of the record in its own journal."""
        return next_digest(self.previous, self.payload)


Content = SealedBody | WrappedKey | ClearBody | CarriedRecord


@dataclass(frozen=True, slots=True)
class Record:
    """The signed content of an envelope, parsed. Order comes from `position`; every time is a claim."""

    id: UUID
    edge: UUID
    journal: UUID
    position: int
    kind: str
    times: Times
    simulated: bool
    content: Content

    def payload(self) -> bytes:
        """The bytes to sign. Protobuf is not canonical: keep these bytes, never make them a second time."""
        message = record_pb2.Record(
            id=self.id.bytes,
            edge=self.edge.bytes,
            journal=self.journal.bytes,
            position=self.position,
            kind=self.kind,
            times=record_pb2.Times(
                claimed_ms=self.times.claimed_ms,
                hub_signed_ms=self.times.hub_signed_ms,
                boot_id=self.times.boot_id,
                boottime_ms=self.times.boottime_ms,
            ),
            simulated=self.simulated,
        )
        match self.content:
            case SealedBody(key_position, counter, dictionary, ciphertext):
                message.sealed.key_position = key_position
                message.sealed.counter = counter
                message.sealed.dictionary = dictionary
                message.sealed.ciphertext = ciphertext
            case WrappedKey(hub_key_id, wrapped):
                message.data_key.hub_key_id = hub_key_id
                message.data_key.wrapped = wrapped
            case ClearBody(data):
                message.clear = data
            case CarriedRecord(previous, key_id, payload, signature, data_key):
                message.carried.previous_digest = previous
                message.carried.key_id = key_id
                message.carried.payload = payload
                message.carried.signature = signature
                if data_key is not None:
                    message.carried.data_key.hub_key_id = data_key.hub_key_id
                    message.carried.data_key.wrapped = data_key.wrapped
        return message.SerializeToString()


def parse_record(payload: bytes) -> Record:
    """Raises MalformedRecord; says nothing about signature or chain."""
    message = _decode(payload)
    return Record(
        id=UUID(bytes=message.id),
        edge=UUID(bytes=message.edge),
        journal=UUID(bytes=message.journal),
        position=message.position,
        kind=message.kind,
        times=Times(
            message.times.claimed_ms, message.times.hub_signed_ms, message.times.boot_id, message.times.boottime_ms
        ),
        simulated=message.simulated,
        content=_content(message),
    )


def _content(message: record_pb2.Record) -> Content:
    match message.WhichOneof("content"):
        case "sealed":
            sealed = message.sealed
            return SealedBody(sealed.key_position, sealed.counter, sealed.dictionary, sealed.ciphertext)
        case "data_key":
            return WrappedKey(message.data_key.hub_key_id, message.data_key.wrapped)
        case "carried":
            return _carried(message.carried)
        case _:
            return ClearBody(message.clear)


def _carried(carried: record_pb2.Carried) -> CarriedRecord:
    key = WrappedKey(carried.data_key.hub_key_id, carried.data_key.wrapped) if carried.HasField("data_key") else None
    return CarriedRecord(carried.previous_digest, carried.key_id, carried.payload, carried.signature, key)


def _decode(payload: bytes) -> record_pb2.Record:
    if len(payload) > PAYLOAD_MAX_BYTES:
        raise MalformedRecord(f"payload of {len(payload)} bytes; at most {PAYLOAD_MAX_BYTES} are taken")
    try:
        message = record_pb2.Record.FromString(payload)
    except DecodeError as error:
        raise MalformedRecord("payload is not a Record (docs/record-format.md)") from error
    if len(message.id) != 16 or len(message.edge) != 16 or len(message.journal) != 16:
        raise MalformedRecord("id, edge and journal must be UUIDs of 16 bytes")
    if not message.kind or len(message.kind) > KIND_MAX_CHARS:
        raise MalformedRecord(f"kind must have 1 to {KIND_MAX_CHARS} characters")
    return message


_ID_FIELD, _EDGE_FIELD, _JOURNAL_FIELD, _POSITION_FIELD = b"\x0a\x10", b"\x12\x10", b"\x1a\x10", b"\x20"
_PLACE_AT = 18  # behind the id: two bytes of tag and length, sixteen of UUID


def id_bytes(payload: bytes) -> bytes:
    """The UUID that a payload begins with, without parsing the rest."""
    return payload[2:_PLACE_AT]


class PlaceCheck:
    """The hub's fast path: a payload is bounded and begins as a record of this edge and journal at its position.

    Every record begins with id, edge, journal and position, in this order (docs/record-format.md), so that their bytes can
    be compared without parsing. Whether the rest makes sense is for the projections to judge.
    """

    def __init__(self, edge: UUID, journal: UUID) -> None:
        self._owner = _EDGE_FIELD + edge.bytes + _JOURNAL_FIELD + journal.bytes + _POSITION_FIELD

    def holds(self, payload: bytes, position: int) -> bool:
        return self.holding([payload], position) == 1

    def holding(self, payloads: Sequence[bytes], first: int) -> int:
        """How many payloads, from the beginning and at consecutive positions, are in their place."""
        places = [self._owner + varint for varint in _varints(first, len(payloads))]
        if (
            max(map(len, payloads)) <= PAYLOAD_MAX_BYTES
            and all(map(bytes.startswith, payloads, repeat(_ID_FIELD)))
            and all(map(bytes.startswith, payloads, places, repeat(_PLACE_AT)))
        ):
            return len(payloads)
        return next(number for number, (payload, place) in enumerate(zip(payloads, places, strict=True))
                    if not (len(payload) <= PAYLOAD_MAX_BYTES and payload.startswith(_ID_FIELD)
                            and payload.startswith(place, _PLACE_AT)))


_LOW_BITS = [bytes([bits | 0x80]) for bits in range(0x80)]


def _varints(first: int, count: int) -> list[bytes]:
    """`_varint` of consecutive numbers, each but for its low seven bits made once."""
    varints: list[bytes] = []
    number, end = first, first + count
    while number < end:
        block_end = min((number | 0x7F) + 1, end)
        if number <= 0x7F:
            varints += map(_varint, range(number, block_end))
        else:
            high = _varint(number >> 7)
            varints += [low + high for low in _LOW_BITS[number & 0x7F:((block_end - 1) & 0x7F) + 1]]
        number = block_end
    return varints


def _varint(number: int) -> bytes:
    """Protobuf's base-128 encoding, shortest form."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


@dataclass(frozen=True, slots=True)
class Link:
    """An envelope in its chain: signed bytes, signature (64 bytes), digest (32 bytes)."""

    payload: bytes
    signature: bytes
    digest: bytes


def sign_link(signer: Signer, previous_digest: bytes, payload: bytes) -> Link:
    """The next link after `previous_digest`."""
    digest = next_digest(previous_digest, payload)
    return Link(payload, signer.sign(signing_input(digest)), digest)


def signature_holds(verifier: Verifier, signature: bytes, digest: bytes) -> bool:
    """True when the record with this digest was signed by the registered key."""
    return verifier.valid(signature, signing_input(digest))


def encode_envelope(key_id: bytes, payload: bytes, signature: bytes) -> bytes:
    """The exchange form of one record: a serialised Envelope."""
    return record_pb2.Envelope(key_id=key_id, payload=payload, signature=signature).SerializeToString()
