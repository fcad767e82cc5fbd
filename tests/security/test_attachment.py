"""A sealed attachment opens whole and in order under its own key, or not at all."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import security.attachment as attachment
from security.attachment import (
    ATTACHMENT_MAX_BYTES,
    CHUNK_BYTES,
    TAG_BYTES,
    AttachmentSeal,
    AttachmentSealer,
    TooLarge,
    open_attachment,
    seal_attachment,
    sealed_size,
)
from security.sealing import SealBroken
from tests.security.independent import attachment_sealed
from tests.security.make_attachment_vectors import VECTORS, content_of

STEP = CHUNK_BYTES + TAG_BYTES
THREE = bytes(range(256)) * 256 * 2 + b"the end"


def _claim(seal: AttachmentSeal, sealed: bytes, content: bytes) -> AttachmentSeal:
    """As a forger of the record would have it: all fits but the key's own tags."""
    return replace(seal, address=hashlib.sha256(sealed).digest(), sha256=hashlib.sha256(content).digest(), size=len(content))


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=70), st.sampled_from([0, 1, CHUNK_BYTES - 35, CHUNK_BYTES, 2 * CHUNK_BYTES]), st.integers(1, 90_000))
def test_it_opens_as_it_was_however_it_came_in(tail: bytes, bulk: int, step: int) -> None:
    content = b"\xa5" * bulk + tail
    sealer = AttachmentSealer()
    sealed = b"".join([sealer.add(content[at:at + step]) for at in range(0, len(content), step)])
    rest, seal = sealer.end()
    sealed += rest
    assert open_attachment(seal, sealed) == content
    assert (len(sealed), seal.size) == (sealed_size(len(content)), len(content))
    assert (seal.address, seal.sha256) == (hashlib.sha256(sealed).digest(), hashlib.sha256(content).digest())


def test_each_has_a_key_of_its_own_which_nothing_prints() -> None:
    (one, first), (two, second) = seal_attachment(THREE), seal_attachment(THREE)
    assert one != two
    assert first.key != second.key
    assert "key" not in repr(first)


@pytest.mark.parametrize("forged", [
    lambda sealed: sealed[:2 * STEP],  # cut at the end of a chunk
    lambda sealed: sealed[STEP:],
    lambda sealed: sealed[STEP:2 * STEP] + sealed[:STEP] + sealed[2 * STEP:],
    lambda sealed: sealed[:STEP] + sealed[:STEP] + sealed[2 * STEP:],
    lambda sealed: sealed[:STEP] + sealed[2 * STEP:],
    lambda sealed: sealed + sealed[2 * STEP:],
    lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]),
    lambda sealed: bytes([sealed[0] ^ 1]) + sealed[1:],
    lambda sealed: seal_attachment(THREE)[0][:STEP] + sealed[STEP:],  # of another attachment
], ids=["last-cut", "first-cut", "swapped", "repeated", "left-out", "last-again", "tag", "bit", "foreign"])
def test_chunks_cannot_be_cut_off_swapped_repeated_or_changed_though_the_record_says_so(forged: object) -> None:
    sealed, seal = seal_attachment(THREE)
    other = forged(sealed)  # type: ignore[operator]
    plain = bytes(len(other) - TAG_BYTES * -(-len(other) // STEP))
    with pytest.raises(SealBroken, match="under the key"):
        open_attachment(_claim(seal, other, plain), other)


def test_what_the_record_says_is_checked() -> None:
    sealed, seal = seal_attachment(THREE)
    other = seal_attachment(THREE)[1]
    with pytest.raises(SealBroken, match="that its record names"):
        open_attachment(other, sealed)
    with pytest.raises(SealBroken, match="under the key"):
        open_attachment(replace(seal, key=other.key), sealed)
    with pytest.raises(SealBroken, match="size"):
        open_attachment(replace(seal, key=seal.key[:16]), sealed)  # AES would take it
    with pytest.raises(SealBroken, match="size"):
        open_attachment(replace(seal, size=seal.size + 1), sealed)
    with pytest.raises(SealBroken, match="content"):
        open_attachment(replace(seal, sha256=bytes(32)), sealed)


def test_too_much_is_refused_before_it_is_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachment, "ATTACHMENT_MAX_BYTES", 100)
    sealer = AttachmentSealer()
    sealer.add(bytes(100))
    rest, seal = sealer.end()
    assert open_attachment(seal, rest) == bytes(100)
    with pytest.raises(TooLarge):
        sealer.add(b"x")
    assert ATTACHMENT_MAX_BYTES == 16 * 1024 * 1024


PUBLISHED = json.loads(VECTORS.read_text(encoding="utf-8"))["attachments"]


@pytest.mark.parametrize("vector", PUBLISHED, ids=lambda one: str(one["size"]))
def test_the_published_vectors_are_what_a_second_implementation_and_ours_make(vector: dict[str, Any]) -> None:
    content = content_of(vector["size"])
    sealed = attachment_sealed(bytes.fromhex(vector["key"]), content)
    assert hashlib.sha256(sealed).hexdigest() == vector["blob"]
    assert hashlib.sha256(content).hexdigest() == vector["sha256"]
    assert (len(sealed), sealed[:32].hex(), sealed[-32:].hex()) == (
        vector["sealed_size"], vector["sealed_begins"], vector["sealed_ends"])
    seal = AttachmentSeal(*[bytes.fromhex(vector[name]) for name in ("blob", "key", "sha256")], vector["size"])
    assert open_attachment(seal, sealed) == content
