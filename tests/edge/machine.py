"""The state folder of an enrolled machine, made without a hub."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.identity import Identity, load_identity
from edge.journal import Journal, JournalLimits
from edge.journal_store import create_journal
from edge.state import StateFolder
from security.certificates import edge_certificate, key_pem, new_csr, new_intermediate, new_key, new_root, pem
from security.chain import Genesis
from security.clock import SystemClock
from security.private_files import write_private
from security.signer import Ed25519Signer
from security.suites import Suite
from tests.spine import CEILING_S, draft

NOBODY = "127.0.0.1:9"  # discard: no service listens there


def journal_of(state: StateFolder) -> Journal:
    """Not yet open."""
    identity = load_identity(state.identity)
    return Journal(state.journal, Ed25519Signer.load(state.record_key), bytes.fromhex(identity.hub_sealing_key), SystemClock(),
                   JournalLimits(reserve_bytes=0))


async def _fill(state: StateFolder, records: int) -> None:
    async with asyncio.timeout(CEILING_S), journal_of(state) as journal:
        await asyncio.gather(*[journal.submit(draft(f"a{number}", b"x" * 200)) for number in range(records)])


def fill(state: StateFolder, records: int) -> None:
    """That many transactions behind the data key."""
    asyncio.run(_fill(state, records))


def enrolled(root: Path) -> StateFolder:
    """As `suozhan-edge enrol` leaves it; no hub answers at its address."""
    state = StateFolder(root)
    state.make()
    hub, edge, journal, now = uuid4(), uuid4(), uuid4(), dt.datetime.now(dt.UTC)
    signer, tls_key = Ed25519Signer.create(state.record_key), new_key()
    csr = new_csr(tls_key, "counter")
    write_private(state.tls_key, key_pem(tls_key))
    write_private(state.csr, csr)
    write_private(state.journal_id, str(journal).encode())
    authority = new_root(hub, now)
    intermediate = new_intermediate(authority, hub, now)
    leaf = edge_certificate(intermediate, csr, hub, edge, now)
    key = Ed25519Signer.create(root / "hub.key").public_key.hex()
    sealing = X25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    (root / "hub.key").unlink()
    fields = dict.fromkeys(Identity.__dataclass_fields__, key) | {
        "edge": str(edge), "hub": str(hub), "journal": str(journal),
        "site": "A01", "site_name": "古魏镇服务所", "site_kind": "office",
        "work_address": NOBODY, "enrol_address": NOBODY, "api_address": NOBODY, "root": pem(authority.certificate).decode(),
        "chain": pem(leaf, intermediate.certificate).decode(), "hub_sealing_key": sealing}
    Identity(**fields).save(state.identity)
    create_journal(state.journal, "business", Genesis(edge, journal, Suite.ED25519_SHA256, signer.public_key))
    state.config.write_text('door_port = 0\ndisk_reserve_bytes = 0\n[readers]\nwire = "simulated"\n'
                            f'simulated_folder = "{root}/cards"\n', encoding="utf-8")
    (root / "cards").mkdir()
    return state
