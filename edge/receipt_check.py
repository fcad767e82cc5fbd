"""The hub's receipts once more: each proves its record under a checkpoint that the hub's log key signed (invariant 6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

from edge.identity import Identity
from edge.journal_check import Finding
from edge.receipt_store import DamagedReceipts, Receipt, ReceiptStore
from security.chain import leaf_hash
from security.checkpoint import Checkpoint, origin_of
from security.durable_sqlite import open_look
from security.note import MalformedNote, NoteKey, NoteRefused
from security.proofs import ProofRefused, check_inclusion
from security.sqlite_connection import FileChanged
from security.suites import Verifier
from security.tree import HASH_BYTES

_DIGEST = "SELECT digest FROM digests WHERE position = ?"
_SIGNATURE = "SELECT signature FROM envelopes WHERE position = ?"
KEEP = "keep this machine as it is and call the city's security officer"
COPY = "copy this machine's state folder and look after its disk"
STEP_RECEIPTS = 500
ROOTS_MAX = 10_000  # sizes of which the root is remembered: receipts under one checkpoint lie close together


class ReceiptCheck:
    """Of one journal, which is `journal_id` of its identity. Reads only. Raises sqlite3.Error for what may pass."""

    def __init__(self, journal: Path, journal_id: UUID, identity: Identity, record_key: Verifier) -> None:
        self._journal = journal
        self._journal_id = journal_id
        self._identity = identity
        self._record_key = record_key
        self._roots: dict[tuple[str, int], bytes] = {}
        self.checked = 0

    def findings(self) -> Iterator[Finding]:
        row = 0
        while True:
            last, findings = self.step(row)
            yield from findings
            if last == row:
                break
            row = last
        yield from self.newest()

    def step(self, after: int, limit: int = STEP_RECEIPTS) -> tuple[int, list[Finding]]:
        """Check up to `limit` rows behind row `after`. Returns the last one that was looked at; `after` itself at the end."""
        try:
            rows = ReceiptStore(self._journal).rows(after, limit)
            with closing(open_look(self._journal)) as db:
                findings = [finding for row, receipt in rows for finding in self._found(db, row, receipt)]
        except DamagedReceipts as error:
            return after, [Finding("receipts", f"{error}; {COPY}")]
        return rows[-1][0] if rows else after, findings

    def newest(self) -> list[Finding]:
        """The checkpoint that the next one has to grow out of."""
        try:
            note = ReceiptStore(self._journal).checkpoint()
        except DamagedReceipts as error:
            return [Finding("newest checkpoint", f"{error}; {COPY}")]
        fault = self._opened(note)[0] if note else ""
        return [Finding("newest checkpoint", f"{fault}; {KEEP}")] if fault else []

    def _found(self, db: sqlite3.Connection, row: int, receipt: Receipt | None) -> Iterator[Finding]:
        self.checked += 1
        if receipt is None:
            yield Finding(f"receipt in row {row}", f"it is damaged; {COPY}")
        elif fault := self._fault(db, receipt):
            yield Finding(f"receipt for position {receipt.position}, epoch {receipt.epoch}", f"{fault}; {KEEP}")

    def _fault(self, db: sqlite3.Connection, receipt: Receipt) -> str:
        """What is wrong with it; "" when it proves what it says."""
        fault, checkpoint = self._opened(receipt.checkpoint)
        if checkpoint is None:
            return fault
        if checkpoint.origin != origin_of(self._identity.hub_id, receipt.epoch):
            return "its checkpoint is of another log"
        try:
            digest = db.execute(_DIGEST, (receipt.position,)).fetchone()
            signature = db.execute(_SIGNATURE, (receipt.position,)).fetchone()
        except FileChanged:
            raise
        except sqlite3.DatabaseError as error:
            return f"the record that it is for cannot be read ({error})"
        if digest is None:
            return "the journal has no such record"
        if not isinstance(digest[0], bytes) or len(digest[0]) != HASH_BYTES:
            return "the digest of its record is damaged"
        if signature is not None and signature[0] != receipt.signature:
            return "it holds another signature than the record"
        leaf = leaf_hash(self._record_key.key_id, self._journal_id.bytes, receipt.position, digest[0], receipt.signature,
                         receipt.arrived_ms)
        try:
            check_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
        except ProofRefused as error:
            return str(error)
        return ""

    def _opened(self, note: str) -> tuple[str, Checkpoint | None]:
        """What is wrong with a checkpoint, or what it says. Two roots for one size are two histories."""
        origin = note.split("\n", 1)[0]
        try:
            checkpoint = Checkpoint.open(note.encode(), [NoteKey(origin, self._identity.log_verifier().public_key)])
        except (MalformedNote, NoteRefused, ValueError) as error:
            return f"its checkpoint is not signed by the hub's log key: {error}", None
        if len(self._roots) >= ROOTS_MAX:
            del self._roots[next(iter(self._roots))]
        if self._roots.setdefault((origin, checkpoint.size), checkpoint.root) != checkpoint.root:
            return f"the hub has signed two histories of {checkpoint.size} entries", None
        return "", checkpoint
