"""The hub's receipts once more: each proves its record under a checkpoint that the hub's log key signed (invariant 6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edge.identity import Identity
from edge.journal_check import Finding
from edge.receipt_store import Receipt, ReceiptStore
from security.chain import leaf_hash
from security.checkpoint import Checkpoint, origin_of
from security.durable_sqlite import open_look
from security.note import MalformedNote, NoteKey, NoteRefused
from security.proofs import ProofRefused, check_inclusion
from security.suites import Verifier

_DIGEST = "SELECT digest FROM digests WHERE position = ?"
_SIGNATURE = "SELECT signature FROM envelopes WHERE position = ?"
KEEP = "keep this machine as it is and call the city's security officer"


class ReceiptCheck:
    """Of one journal, by its identity. Reads only. Raises sqlite3.Error for what may pass."""

    def __init__(self, journal: Path, identity: Identity, record_key: Verifier) -> None:
        self._journal = journal
        self._identity = identity
        self._record_key = record_key
        self._roots: dict[tuple[str, int], bytes] = {}
        self.checked = 0

    def findings(self) -> Iterator[Finding]:
        store = ReceiptStore(self._journal)
        with closing(open_look(self._journal)) as db:
            for receipt in store.after(0):
                self.checked += 1
                if fault := self._fault(db, receipt):
                    where = f"receipt for position {receipt.position}, epoch {receipt.epoch}"
                    yield Finding(where, f"{fault}; {KEEP}", position=receipt.position)
        if note := store.checkpoint():
            fault, _ = self._opened(note)
            if fault:
                yield Finding("newest checkpoint", f"{fault}; {KEEP}")

    def _fault(self, db: sqlite3.Connection, receipt: Receipt) -> str:
        """What is wrong with it; "" when it proves what it says."""
        fault, checkpoint = self._opened(receipt.checkpoint)
        if checkpoint is None:
            return fault
        if checkpoint.origin != origin_of(self._identity.hub_id, receipt.epoch):
            return "its checkpoint is of another log"
        digest = db.execute(_DIGEST, (receipt.position,)).fetchone()
        signature = db.execute(_SIGNATURE, (receipt.position,)).fetchone()
        if digest is None:
            return "the journal has no such record"
        if signature is not None and signature[0] != receipt.signature:
            return "it holds another signature than the record"
        leaf = leaf_hash(self._record_key.key_id, self._journal_id, receipt.position, digest[0], receipt.signature,
                         receipt.arrived_ms)
        try:
            check_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
        except ProofRefused as error:
            return str(error)
        return ""

    @property
    def _journal_id(self) -> bytes:
        return self._identity.journal_id.bytes

    def _opened(self, note: str) -> tuple[str, Checkpoint | None]:
        """What is wrong with a checkpoint, or what it says. Two roots for one size are two histories."""
        origin = note.split("\n", 1)[0]
        try:
            checkpoint = Checkpoint.open(note.encode(), [NoteKey(origin, self._identity.log_verifier().public_key)])
        except (MalformedNote, NoteRefused, ValueError) as error:
            return f"its checkpoint is not signed by the hub's log key: {error}", None
        if self._roots.setdefault((origin, checkpoint.size), checkpoint.root) != checkpoint.root:
            return f"the hub has signed two histories of {checkpoint.size} entries", None
        return "", checkpoint
