"""A hub's ledger of many records without the machines that would send them, as its ingest stores it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from random import Random
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.ledger.high_water import HighWater
from hub.ledger.runs import Arrival
from hub.ledger.signed_roots import LogKey
from hub.ledger.store import Ledger
from hub.ledger.stored_tree import StoredTree
from hub.ledger.transparency import TransparencyLog
from hub.ledger.tree_check import TreeCheck, tree_check
from hub.ledger.verify import LedgerCheck, Reached
from hub.migrate import create
from hub.state import HubState, checked_config
from security.chain import Genesis, digests_after, leaf_hashes, signing_input
from security.clock import SystemClock
from security.record import Record, SealedBody, Times
from security.run import Run
from security.signer import Ed25519Signer
from security.suites import Suite

SEED = 3
CIPHERTEXT_BYTES = 170  # what is left of a body once it is compressed
COMMIT_ROWS = 200


class CityLedger:
    """The state folder of a hub, with one journal. Signing takes a while: random bytes can stand in the signatures' place."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "keys").mkdir(parents=True)
        self._random = Random(SEED)
        self.state = HubState(folder)
        self.signer = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(self._random.randbytes(32)))
        self.log_signer = Ed25519Signer.create(self.state.keys / "log.key")
        self.hub, self.edge, self.journal = (UUID(bytes=self._random.randbytes(16)) for _ in range(3))
        config = {"hub": self.hub, "hosts": ["127.0.0.1"], "listen": "127.0.0.1", "work_port": 1, "enrol_port": 2, "api_port": 3}
        self.state.config_file.write_text(checked_config(config).to_toml(), encoding="utf-8")
        create(self.database)
        with Ledger(self.database) as ledger, ledger.transaction():
            genesis = Genesis(self.edge, self.journal, Suite.ED25519_SHA256, self.signer.public_key)
            ledger.register("business", genesis, 1)

    def copied(self, folder: Path) -> CityLedger:
        """The same in another folder, as it is now."""
        shutil.copytree(self.state.root, folder)
        other = copy(self)
        other.state = HubState(folder)
        return other

    @property
    def database(self) -> Path:
        return self.state.database

    @property
    def mark(self) -> HighWater:
        return HighWater(self.state.high_water)

    @property
    def log_key(self) -> LogKey:
        return LogKey(self.hub, self.log_signer.public_key)

    def log(self) -> TransparencyLog:
        """Not begun."""
        return TransparencyLog(self.database, self.mark, self.hub, self.log_signer, SystemClock())

    @contextmanager
    def check(self, begin: Reached | None = None, *, signatures: bool = True) -> Iterator[tuple[LedgerCheck, TreeCheck]]:
        """Of everything."""
        with Ledger(self.database) as ledger, StoredTree(self.database) as stored:
            tree = tree_check(stored, self.log_key, self.mark, begin.tiles if begin else None)
            yield LedgerCheck(ledger, tree, begin, signatures=signatures), tree

    def fill(self, records: int, row: int, *, signed: bool) -> None:
        """So many more, in rows of `row`, in commits of many rows."""
        with Ledger(self.database) as ledger:
            head = ledger.journal(self.journal)
            position, digest, end = head.position, head.digest, head.position + records
            waiting: list[Arrival] = []
            while position < end:
                arrival = self._arrival(position + 1, min(row, end - position), digest, signed=signed)
                waiting.append(arrival)
                position, digest = arrival.run.last, arrival.digests[-1]
                if len(waiting) >= COMMIT_ROWS or position >= end:
                    ledger.append(waiting)
                    waiting = []

    def _arrival(self, first: int, count: int, previous: bytes, *, signed: bool) -> Arrival:
        payloads = [self._payload(position) for position in range(first, first + count)]
        digests = digests_after(previous, payloads)
        signatures = [self.signer.sign(signing_input(digest)) if signed else self._random.randbytes(64) for digest in digests]
        leaves = leaf_hashes(self.signer.key_id, self.journal.bytes, first, digests, signatures, first)
        return Arrival(self.journal, Run(first, previous, payloads, signatures), digests, leaves, first)

    def _payload(self, position: int) -> bytes:
        body = SealedBody(1, position, 1, self._random.randbytes(CIPHERTEXT_BYTES))
        times = Times(1_790_000_000_000 + position, 0, bytes(16), position)
        return Record(UUID(bytes=self._random.randbytes(16)), self.edge, self.journal, position, "transaction", times,
                      False, body).payload()
