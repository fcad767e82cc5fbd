"""The published vectors, computed again by a second implementation (tests/security/independent.py), and by ours."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from hub.ledger.batch_check import check_batch
from hub.ledger.wire import Delivery, Up, decode
from proto import record_pb2
from security.chain import Genesis, leaf_hash, leaf_hashes, next_digest
from security.record import SealedBody, WrappedKey, encode_envelope, parse_record, sign_link
from security.sealing import Unsealer
from security.signer import Ed25519Signer
from security.suites import Suite, Verifier
from tests.security import make_vectors
from tests.security.independent import digest_of, fields, gcm_open, hpke_open, hpke_seal, length_field, varint

REPOSITORY = Path(__file__).parents[2]
VECTORS: dict[str, Any] = json.loads((REPOSITORY / "docs" / "vectors" / "record-v1.json").read_text())
DICTIONARY = (REPOSITORY / "security" / "dictionaries" / "1.zstd-dictionary").read_bytes()
DICTIONARY_SHA256 = "89691b835404f00faa795780dc8b4885c5393ee0bec76acc5b2c063b979a8e85"
ZSTD_MAGIC = bytes.fromhex("28b52ffd")

EDGE = bytes.fromhex(VECTORS["edge"])
JOURNAL = bytes.fromhex(VECTORS["journal"])
PUBLIC = bytes.fromhex(VECTORS["record_key"]["public"])
KEY_ID = bytes.fromhex(VECTORS["record_key"]["key_id"])
GENESIS = bytes.fromhex(VECTORS["genesis"])
BODY = bytes.fromhex(VECTORS["body"])
KEY = {name: bytes.fromhex(value) for name, value in VECTORS["data_key"].items()}
RECORDS = [{name: value if isinstance(value, int) else bytes.fromhex(value) for name, value in record.items()}
           for record in VECTORS["records"]]


def _genesis(predecessor: bytes) -> bytes:
    return digest_of(b"suozhan/genesis/v1\0", b"\x01", EDGE, JOURNAL, predecessor, b"\x00\x20", PUBLIC)


def _sealed(number: int) -> tuple[dict[int, Any], dict[int, Any]]:
    outer = dict(fields(RECORDS[number - 1]["payload"]))
    return outer, dict(fields(outer[8]))


# ---- a second implementation agrees with the file ----

def test_key_id_and_genesis_digests_follow_from_the_public_key() -> None:
    seed = bytes.fromhex(VECTORS["record_key"]["seed"])
    assert Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw() == PUBLIC
    assert digest_of(b"\x01", PUBLIC) == KEY_ID
    assert _genesis(bytes(16)) == GENESIS
    assert _genesis(bytes.fromhex(VECTORS["successor"]["predecessor"])).hex() == VECTORS["successor"]["genesis"]


def test_every_digest_signature_envelope_and_leaf_follows_from_the_payloads() -> None:
    digest = GENESIS
    for number, record in enumerate(RECORDS, start=1):
        payload, signature = record["payload"], record["signature"]
        digest = digest_of(b"suozhan/digest/v1\0", digest, payload)
        assert (number, digest) == (record["position"], record["digest"])
        assert record["signing_input"] == b"suozhan/record/v1\0" + digest
        Ed25519PublicKey.from_public_bytes(PUBLIC).verify(signature, b"suozhan/record/v1\0" + digest)
        assert record["envelope"] == (
            length_field(0x0A, KEY_ID) + length_field(0x12, payload) + length_field(0x1A, signature))
        assert record["leaf"] == digest_of(
            b"\0suozhan/leaf/v1\0", KEY_ID, JOURNAL, number.to_bytes(8, "big"), digest, digest_of(signature),
            VECTORS["arrived_ms"].to_bytes(8, "big"))


def test_the_first_payload_is_written_tag_by_tag_as_specified() -> None:
    claimed = make_vectors.CLAIMED_MS + 1
    times = b"\x08" + varint(claimed) + length_field(0x1A, bytes(range(16))) + b"\x20" + varint(301)
    data_key = length_field(0x0A, KEY["hub_key_id"]) + length_field(0x12, KEY["wrapped"])
    assert RECORDS[0]["payload"] == (
        length_field(0x0A, bytes.fromhex("0190a00000007000800000000000" + "0001")) + length_field(0x12, EDGE)
        + length_field(0x1A, JOURNAL) + b"\x20\x01" + length_field(0x2A, b"data-key") + length_field(0x32, times)
        + length_field(0x4A, data_key))


def test_a_sealed_payload_is_written_tag_by_tag_as_specified() -> None:
    outer, sealed = _sealed(2)
    ciphertext = length_field(0x22, sealed[4])
    times = (b"\x08" + varint(make_vectors.CLAIMED_MS + 2) + b"\x10" + varint(make_vectors.CLAIMED_MS - 5)
             + length_field(0x1A, bytes(range(16))) + b"\x20" + varint(302))
    assert RECORDS[1]["payload"] == (
        length_field(0x0A, outer[1]) + length_field(0x12, EDGE) + length_field(0x1A, JOURNAL) + b"\x20\x02"
        + length_field(0x2A, b"transaction") + length_field(0x32, times) + b"\x38\x01"
        + length_field(0x42, b"\x08\x01\x10\x01\x18\x01" + ciphertext))


def test_a_clear_body_is_the_last_field_of_its_payload() -> None:
    assert RECORDS[3]["payload"].endswith(length_field(0x52, b'{"name":"counter-1"}'))


def test_the_wrapped_data_key_opens_by_rfc_9180_written_out() -> None:
    private = X25519PrivateKey.from_private_bytes(KEY["hub_private"])
    assert private.public_key().public_bytes_raw() == KEY["hub_public"]
    assert digest_of(KEY["hub_public"]) == KEY["hub_key_id"]
    assert KEY["info"] == b"suozhan/data-key/v1\0" + EDGE + JOURNAL + KEY["hub_key_id"]
    assert len(KEY["wrapped"]) == 80
    assert hpke_open(private, KEY["info"], KEY["wrapped"]) == KEY["secret"]
    ephemeral = X25519PrivateKey.from_private_bytes(KEY["ephemeral_private"])
    assert hpke_seal(ephemeral, KEY["hub_public"], KEY["info"], KEY["secret"]) == KEY["wrapped"]
    with pytest.raises(InvalidTag):
        hpke_open(private, KEY["info"][:-1], KEY["wrapped"])


@pytest.mark.parametrize("number", [2, 3])
def test_the_sealed_bodies_open_under_the_data_key_at_their_place(number: int) -> None:
    outer, sealed = _sealed(number)
    assert sealed[1] == 1
    aad = b"suozhan/body/v1\0" + EDGE + JOURNAL + number.to_bytes(8, "big") + outer[5]
    frame = gcm_open(KEY["secret"], bytes(4) + sealed[2].to_bytes(8, "big"), sealed[4], aad)
    if number == 2:
        assert sealed[3] == 1
        assert not frame.startswith(ZSTD_MAGIC)
        decompressor = zstandard.ZstdDecompressor(zstandard.ZstdCompressionDict(DICTIONARY))
        assert decompressor.decompress(ZSTD_MAGIC + frame) == BODY
        assert frame[0] & 0b11 == 0, "the frame header names a dictionary id"
    else:
        assert 3 not in sealed
        assert frame.startswith(ZSTD_MAGIC)
        assert zstandard.ZstdDecompressor().decompress(frame) == BODY


def test_no_counter_is_used_twice_under_the_data_key() -> None:
    counters = [_sealed(number)[1][2] for number in (2, 3)]
    assert len(set(counters)) == len(counters)


def test_dictionary_one_is_the_file_that_was_published() -> None:
    assert hashlib.sha256(DICTIONARY).hexdigest() == DICTIONARY_SHA256
    assert len(DICTIONARY) == 8192
    assert zstandard.ZstdCompressionDict(DICTIONARY).dict_id() == 0x6C480DB9


def test_the_batch_is_a_zstd_frame_of_columns() -> None:
    vector = VECTORS["batch"]
    frame = bytes.fromhex(vector["frame"])
    assert frame.startswith(ZSTD_MAGIC)
    expected = b"\x08" + varint(vector["first_position"])
    expected += length_field(0x12, bytes.fromhex(vector["previous_digest"])) + length_field(0x1A, KEY_ID)
    expected += b"".join(length_field(0x22, record["payload"]) for record in RECORDS[1:])
    expected += b"".join(length_field(0x2A, record["signature"]) for record in RECORDS[1:])
    assert zstandard.ZstdDecompressor().decompress(frame) == expected
    assert zstandard.get_frame_parameters(frame).content_size == len(expected)
    assert zstandard.get_frame_parameters(frame).dict_id == 0


# ---- our own code agrees with the file ----

def test_our_code_makes_the_same_chain_from_the_same_payloads() -> None:
    signer = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["record_key"]["seed"])))
    assert (signer.public_key, signer.key_id) == (PUBLIC, KEY_ID)
    digest = Genesis(UUID(bytes=EDGE), UUID(bytes=JOURNAL), Suite.ED25519_SHA256, PUBLIC).digest()
    assert digest == GENESIS
    for record in RECORDS:
        link = sign_link(signer, digest, record["payload"])
        digest = next_digest(digest, record["payload"])
        assert link.digest == digest == record["digest"]
        assert link.signature == record["signature"]
        assert encode_envelope(KEY_ID, link.payload, link.signature) == record["envelope"]
        assert leaf_hash(KEY_ID, JOURNAL, record["position"], digest, link.signature,
                         VECTORS["arrived_ms"]) == record["leaf"]


def test_our_code_reads_every_payload_and_writes_it_alike() -> None:
    for record in RECORDS:
        parsed = parse_record(record["payload"])
        assert (parsed.edge.bytes, parsed.journal.bytes, parsed.position) == (EDGE, JOURNAL, record["position"])
        assert parsed.payload() == record["payload"]
        envelope = record_pb2.Envelope.FromString(record["envelope"])
        assert (envelope.key_id, envelope.payload, envelope.signature) == (
            KEY_ID, record["payload"], record["signature"])


def test_our_unsealer_opens_the_vectors() -> None:
    unsealer = Unsealer([X25519PrivateKey.from_private_bytes(KEY["hub_private"])])
    wrapped = parse_record(RECORDS[0]["payload"]).content
    assert isinstance(wrapped, WrappedKey)
    key = unsealer.unwrap(UUID(bytes=EDGE), UUID(bytes=JOURNAL), wrapped)
    assert key.secret == KEY["secret"]
    for record in RECORDS[1:3]:
        parsed = parse_record(record["payload"])
        assert isinstance(parsed.content, SealedBody)
        assert key.open(parsed.content, position=parsed.position, kind=parsed.kind) == BODY


def test_our_hub_takes_the_batch_whole() -> None:
    delivery = decode(Up(batch=bytes.fromhex(VECTORS["batch"]["frame"])))
    assert isinstance(delivery, Delivery)
    batch = delivery.run
    checked = check_batch(batch, Verifier(Suite.ED25519_SHA256, PUBLIC), UUID(bytes=EDGE), UUID(bytes=JOURNAL))
    assert checked.broken is None
    leaves = leaf_hashes(KEY_ID, JOURNAL, batch.first, checked.digests, batch.signatures, VECTORS["arrived_ms"])
    assert leaves == [record["leaf"] for record in RECORDS[1:]]


def test_the_script_still_makes_all_that_no_zstd_version_can_change() -> None:
    made = json.loads(json.dumps(make_vectors.vectors()))
    for name in set(VECTORS) - {"records", "batch"}:
        assert made[name] == VECTORS[name], "version 1 is published: never change it, add version 2"
    assert made["records"][0] == VECTORS["records"][0]
    assert set(made) == set(VECTORS)
