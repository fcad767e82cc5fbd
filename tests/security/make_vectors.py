"""Write docs/vectors/record-v1.json from fixed keys and inputs: python -m tests.security.make_vectors

The bytes come from our own code; tests/security/test_vectors.py computes them again without it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.wire import encode_batch
from security.chain import Genesis, leaf_hash, signing_input
from security.record import ClearBody, Content, Link, Record, Times, WrappedKey, encode_envelope, sign_link
from security.run import Run
from security.sealing import NEWEST_DICTIONARY, NO_DICTIONARY, DataKey, sealing_key_id
from security.signer import Ed25519Signer
from tests.security.independent import hpke_seal

VECTORS = Path(__file__).parents[2] / "docs" / "vectors" / "record-v1.json"

EDGE = UUID("0190a000-0000-7000-8000-0000000000e1")
JOURNAL = UUID("0190a000-0000-7000-8000-0000000000a1")
PREDECESSOR = UUID("0190a000-0000-7000-8000-0000000000a0")
RECORD_SEED = bytes(range(32))
HUB_SECRET = bytes(range(32, 64))
EPHEMERAL_SECRET = bytes(range(64, 96))
DATA_KEY = bytes(range(96, 128))
BOOT_ID = bytes(range(16))
CLAIMED_MS = 1_767_225_600_000
ARRIVED_MS = 1_767_225_600_345
BODY = '{"item":"养老保险参保登记","resident":{"name":"测试居民"}}'.encode()


def _record(position: int, kind: str, content: Content, *, simulated: bool = False) -> Record:
    record_id = UUID(f"0190a000-0000-7000-8000-{position:012x}")
    times = Times(CLAIMED_MS + position, 0 if position == 1 else CLAIMED_MS - 5, BOOT_ID, 300 + position)
    return Record(record_id, EDGE, JOURNAL, position, kind, times, simulated, content)


def _wrapped(hub_public: bytes) -> tuple[bytes, WrappedKey]:
    key_id = sealing_key_id(hub_public)
    info = b"suozhan/data-key/v1\0" + EDGE.bytes + JOURNAL.bytes + key_id
    ephemeral = X25519PrivateKey.from_private_bytes(EPHEMERAL_SECRET)
    return info, WrappedKey(key_id, hpke_seal(ephemeral, hub_public, info, DATA_KEY))


def _records(wrapped: WrappedKey) -> list[Record]:
    with patch("security.sealing.os.urandom", return_value=DATA_KEY):
        key = DataKey(EDGE, JOURNAL, dictionary=NEWEST_DICTIONARY)
        plain = DataKey(EDGE, JOURNAL, dictionary=NO_DICTIONARY)
    plain.seal(b"", key_position=1, position=2, kind="spent")  # counter 1 belongs to the first key object
    return [
        _record(1, "data-key", wrapped),
        _record(2, "transaction", key.seal(BODY, key_position=1, position=2, kind="transaction"), simulated=True),
        _record(3, "transaction", plain.seal(BODY, key_position=1, position=3, kind="transaction")),
        _record(4, "key.registered", ClearBody(b'{"name":"counter-1"}')),
    ]


def _link_vector(key_id: bytes, position: int, link: Link) -> dict[str, Any]:
    return {
        "position": position,
        "payload": link.payload.hex(),
        "digest": link.digest.hex(),
        "signing_input": signing_input(link.digest).hex(),
        "signature": link.signature.hex(),
        "envelope": encode_envelope(key_id, link.payload, link.signature).hex(),
        "leaf": leaf_hash(key_id, JOURNAL.bytes, position, link.digest, link.signature, ARRIVED_MS).hex(),
    }


def vectors() -> dict[str, Any]:
    """Everything is hexadecimal but numbers and names."""
    signer = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(RECORD_SEED))
    hub_public = X25519PrivateKey.from_private_bytes(HUB_SECRET).public_key().public_bytes_raw()
    first = Genesis(EDGE, JOURNAL, signer.suite, signer.public_key)
    info, wrapped = _wrapped(hub_public)
    links: list[Link] = []
    for record in _records(wrapped):
        previous = links[-1].digest if links else first.digest()
        links.append(sign_link(signer, previous, record.payload()))
    run = Run(2, links[0].digest, [link.payload for link in links[1:]], [link.signature for link in links[1:]])
    return {
        "format": "suozhan record v1 (docs/record-format.md)",
        "edge": EDGE.hex, "journal": JOURNAL.hex, "suite": int(signer.suite),
        "record_key": {"seed": RECORD_SEED.hex(), "public": signer.public_key.hex(), "key_id": signer.key_id.hex()},
        "genesis": first.digest().hex(),
        "successor": {
            "predecessor": PREDECESSOR.hex,
            "genesis": Genesis(EDGE, JOURNAL, signer.suite, signer.public_key, PREDECESSOR).digest().hex(),
        },
        "data_key": {
            "secret": DATA_KEY.hex(), "hub_private": HUB_SECRET.hex(), "hub_public": hub_public.hex(),
            "hub_key_id": wrapped.hub_key_id.hex(), "ephemeral_private": EPHEMERAL_SECRET.hex(),
            "info": info.hex(), "wrapped": wrapped.wrapped.hex(),
        },
        "body": BODY.hex(),
        "arrived_ms": ARRIVED_MS,
        "records": [_link_vector(signer.key_id, position, link) for position, link in enumerate(links, start=1)],
        "batch": {
            "first_position": run.first, "previous_digest": run.previous.hex(),
            "frame": encode_batch(run, signer.key_id, run.last).batch.hex(),
        },
    }


if __name__ == "__main__":
    VECTORS.write_text(json.dumps(vectors(), indent=2) + "\n")
