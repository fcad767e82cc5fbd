"""The state folder of an enrolled machine, made without a hub."""

from __future__ import annotations

import asyncio
import datetime as dt
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.identity import Identity, load_identity, named
from edge.journal import Journal, JournalLimits
from edge.journal_store import create_journal
from edge.state import IdentityFolder, StateFolder
from security.certificates import edge_certificate, key_pem, new_csr, new_intermediate, new_key, new_root, pem
from security.chain import Genesis
from security.clock import SystemClock
from security.private_files import write_private
from security.signer import Ed25519Signer
from security.suites import Suite
from tests.spine import CEILING_S, draft

KILLED = """
import os, signal, sys
from pathlib import Path
from security.durable_sqlite import open_durable
open_durable(Path(sys.argv[1])).execute("UPDATE standing SET hub_ms = 1")
os.kill(os.getpid(), signal.SIGKILL)
"""
NOBODY = "127.0.0.1:9"  # discard: no service listens there


def journal_of(state: IdentityFolder) -> Journal:
    """Not yet open."""
    identity = load_identity(state.identity)
    signer = Ed25519Signer.load(state.record_key)
    return Journal(state.business.db, signer, bytes.fromhex(identity.hub_sealing_key), SystemClock(),
                   JournalLimits(reserve_bytes=0))


async def _fill(state: StateFolder, records: int) -> None:
    async with asyncio.timeout(CEILING_S), journal_of(state) as journal:
        await asyncio.gather(*[journal.submit(draft(f"a{number}", b"x" * 200)) for number in range(records)])


def fill(state: StateFolder, records: int) -> None:
    """That many transactions behind the data key."""
    asyncio.run(_fill(state, records))


async def _log_behind(state: IdentityFolder, before: int, records: int) -> bytes:
    async with asyncio.timeout(CEILING_S), journal_of(state) as journal:
        await asyncio.gather(*[journal.submit(draft(f"a{number}", b"x" * 200)) for number in range(before)])
        with closing(sqlite3.connect(state.business.db)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await asyncio.gather(*[journal.submit(draft(f"b{number}", b"x" * 200)) for number in range(records)])
        return await asyncio.to_thread(Path(f"{state.business.db}-wal").read_bytes)


def lose_database(state: IdentityFolder, before: int, records: int) -> None:
    """What is left is a log with the last `records` of them."""
    log = asyncio.run(_log_behind(state, before, records))
    state.business.db.unlink()
    Path(f"{state.business.db}-wal").write_bytes(log)


def lose_log(database: Path) -> bytes:
    """Of a journal at rest, behind a writer that was killed; what stood in it."""
    done = subprocess.run([sys.executable, "-c", KILLED, database], check=False, timeout=CEILING_S)
    assert done.returncode == -signal.SIGKILL
    log = Path(f"{database}-wal")
    held = log.read_bytes()
    log.unlink()
    return held


def enrolled(root: Path) -> StateFolder:
    """As `suozhan-edge enrol` leaves it; no hub answers at its address."""
    state = StateFolder(root)
    state.make()
    hub, edge, now = uuid4(), uuid4(), dt.datetime.now(dt.UTC)
    signer, tls_key = Ed25519Signer.create(state.record_key), new_key()
    csr = new_csr(tls_key, "counter")
    write_private(state.tls_key, key_pem(tls_key))
    write_private(state.csr, csr)
    journals = {files.name: uuid4() for files in state.journals}
    for files in state.journals:
        write_private(files.id, str(journals[files.name]).encode())
    authority = new_root(hub, now)
    intermediate = new_intermediate(authority, hub, now)
    leaf = edge_certificate(intermediate, csr, hub, edge, now)
    key = Ed25519Signer.create(root / "hub.key").public_key.hex()
    sealing = X25519PrivateKey.generate().public_key().public_bytes_raw().hex()
    (root / "hub.key").unlink()
    fields = dict.fromkeys(Identity.__dataclass_fields__, key) | {
        "edge": str(edge), "hub": str(hub), **named(journals),
        "site": "A01", "site_name": "古魏镇服务所", "site_kind": "office",
        "work_address": NOBODY, "enrol_address": NOBODY, "api_address": NOBODY, "root": pem(authority.certificate).decode(),
        "chain": pem(leaf, intermediate.certificate).decode(), "hub_sealing_key": sealing}
    Identity(**fields).save(state.identity)
    for files in state.journals:
        create_journal(files.db, files.name, Genesis(edge, journals[files.name], Suite.ED25519_SHA256, signer.public_key))
    state.config.write_text('door_port = 0\ndisk_reserve_bytes = 0\n[readers]\nwire = "simulated"\n'
                            f'simulated_folder = "{root}/cards"\n', encoding="utf-8")
    (root / "cards").mkdir()
    return state
