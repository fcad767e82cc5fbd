"""Receipts in the journal's own file, by a connection of their own: they never hold up the counter's writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from security.durable_sqlite import open_durable, open_look
from security.tree import split_hashes

_KEEP = "INSERT OR IGNORE INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?)"
_SET_VIEW = "INSERT INTO log_view VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET checkpoint = excluded.checkpoint"
_NEWEST = "SELECT coalesce(max(position), 0) FROM receipts WHERE epoch = ?"
_FROM = """
SELECT position, epoch, idx, arrived_ms, signature, proof, checkpoint FROM receipts WHERE position > ? ORDER BY position, epoch
"""
_TYPES = (int, int, int, int, bytes, bytes, str)  # what a damaged page may change: STRICT is not asked again


@dataclass(frozen=True, slots=True)
class Receipt:
    """The hub's proof for the record at `position`: leaf `index`, its arrival at the hub (Unix ms), the record's signature, and
    the inclusion proof under a signed checkpoint.
    """

    position: int
    epoch: int
    index: int
    arrived_ms: int
    signature: bytes
    proof: tuple[bytes, ...]
    checkpoint: str


class ReceiptStore:
    """Synchronous; each call opens what it needs. Raises sqlite3.Error."""

    def __init__(self, journal: Path) -> None:
        self._path = journal

    def checkpoint(self) -> str:
        """The newest checkpoint that was accepted, as it was signed; "" when there is none."""
        with closing(open_look(self._path)) as db:
            row = db.execute("SELECT checkpoint FROM log_view").fetchone()
        return str(row[0]) if row else ""

    def newest(self, epoch: int) -> int:
        """The newest position with a receipt of this epoch; 0 when there is none."""
        with closing(open_look(self._path)) as db:
            return int(db.execute(_NEWEST, (epoch,)).fetchone()[0])

    def keep(self, checkpoint: str, receipt: Receipt | None) -> None:
        """The accepted checkpoint, and the receipt under it, in one commit."""
        with closing(open_durable(self._path)) as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                db.execute(_SET_VIEW, (checkpoint,))
                if receipt is not None:
                    db.execute(_KEEP, (receipt.position, receipt.epoch, receipt.index, receipt.arrived_ms, receipt.signature,
                                       b"".join(receipt.proof), receipt.checkpoint))
                db.execute("COMMIT")
            except sqlite3.Error:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def after(self, position: int) -> list[Receipt]:
        """All receipts behind a position, in order."""
        return list(self.each(position))

    def each(self, after: int = 0) -> Iterator[Receipt]:
        """The same, one by one. Raises sqlite3.Error or ValueError where the file is damaged."""
        with closing(open_look(self._path)) as db:
            for row in db.execute(_FROM, (after,)):
                if tuple(map(type, row)) != _TYPES:
                    raise ValueError("a row of receipts is damaged")
                at, epoch, index, arrived_ms, signature, proof, checkpoint = row
                yield Receipt(at, epoch, index, arrived_ms, signature, tuple(split_hashes(proof)), checkpoint)
