"""Receipts in the journal's own file, by a connection of their own: they never hold up the counter's writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.journal_store import DAMAGED, as_text
from security.durable_sqlite import open_durable, open_look, transaction
from security.tree import split_hashes

_KEEP = "INSERT OR IGNORE INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?)"
_SET_VIEW = "INSERT INTO log_view VALUES (1, ?) ON CONFLICT (only) DO UPDATE SET checkpoint = excluded.checkpoint"
_COLUMNS = "SELECT position, epoch, idx, arrived_ms, signature, proof, checkpoint"
_FROM = f"{_COLUMNS} FROM receipts WHERE position > ? ORDER BY position, epoch"
_ROWS = f"{_COLUMNS}, rowid FROM receipts WHERE rowid > ? ORDER BY rowid LIMIT ?"
_LATEST = "SELECT checkpoint FROM receipts ORDER BY rowid DESC LIMIT ?"
_TYPES = (int, int, int, int, bytes, bytes, str)  # what a damaged page may change: STRICT is not asked again


class DamagedReceipts(ValueError):
    """The disk has changed receipts, or what of the hub's log was accepted; the records beside them may be whole."""


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
    """Synchronous; each call opens what it needs. Raises sqlite3.Error, or DamagedReceipts."""

    def __init__(self, journal: Path, look: Callable[[Path], sqlite3.Connection] = open_look) -> None:
        self._path = journal
        self._open_look = look

    @contextmanager
    def _look(self) -> Iterator[sqlite3.Connection]:
        with _damage_named(self._path), closing(self._open_look(self._path)) as db:
            db.text_factory = as_text
            yield db

    def checkpoint(self) -> str:
        """The newest checkpoint that was accepted, as it was signed; "" when there is none."""
        with self._look() as db:
            row = db.execute("SELECT checkpoint FROM log_view").fetchone()
        return str(row[0]) if row else ""

    def latest_checkpoints(self, limit: int) -> list[str]:
        """Those of the receipts, the newest first."""
        with self._look() as db:
            return [str(row[0]) for row in db.execute(_LATEST, (limit,))]

    def keep(self, checkpoint: str, receipt: Receipt | None) -> None:
        """The accepted checkpoint, and the receipt under it, in one commit."""
        with _damage_named(self._path), closing(open_durable(self._path)) as db, transaction(db):
            db.execute(_SET_VIEW, (checkpoint,))
            if receipt is not None:
                db.execute(_KEEP, (receipt.position, receipt.epoch, receipt.index, receipt.arrived_ms, receipt.signature,
                                   b"".join(receipt.proof), receipt.checkpoint))

    def after(self, position: int) -> list[Receipt]:
        """All receipts behind a position, in order."""
        return list(self.each(position))

    def first_from(self, position: int) -> Receipt | None:
        """The first one at a position or behind it that can be read."""
        with self._look() as db:
            return next((receipt for row in db.execute(_FROM, (position - 1,)) if (receipt := _read(row))), None)

    def each(self, after: int = 0) -> Iterator[Receipt]:
        """The same, one by one."""
        with self._look() as db:
            for row in db.execute(_FROM, (after,)):
                if (receipt := _read(row)) is None:
                    raise DamagedReceipts("a row of receipts is damaged")
                yield receipt

    def rows(self, after: int, limit: int) -> list[tuple[int, Receipt | None]]:
        """By number of row, behind that one; None for a row that holds something else."""
        with self._look() as db:
            return [(row[-1], _read(row[:-1])) for row in db.execute(_ROWS, (after, limit))]


def _read(row: Sequence[Any]) -> Receipt | None:
    if tuple(map(type, row)) != _TYPES or min(row[:4]) < 0:
        return None
    position, epoch, index, arrived_ms, signature, proof, checkpoint = row
    try:
        return Receipt(position, epoch, index, arrived_ms, signature, tuple(split_hashes(proof)), checkpoint)
    except ValueError:
        return None


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED:
            raise DamagedReceipts(f"the receipts in {path} cannot be read: {error}") from error
        raise
