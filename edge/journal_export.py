"""One journal into a bundle: what salvage proves, the receipts, and by position, id and digest what is not here."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from edge.checked_bundle import CheckedBundle
from edge.journal_store import gone
from edge.mending import whole
from edge.receipt_store import Receipt, ReceiptStore
from edge.salvage import Lost, Pruned, Salvaged, Saved
from edge.state import JournalFiles
from security.bundle.entries import Entry, Journal, Proof, Range
from security.bundle.header import CheckpointNote
from security.bundle.missing import RECORDS_MAX, Missing, MissingRecord, Why
from security.durable_sqlite import DatabaseMissing, open_alone, open_look
from security.sqlite_index import lost_log


@dataclass
class Exported:
    """What a bundle holds of one journal; `lost` are ranges of positions, `fault` is why receipts are left out. `pruned` were
    dropped here before; of the `unsaid` among them nothing here says that the hub has them in a backup. `lost_log` is what
    became of the log in which more may have stood behind `last`.
    """

    journal: UUID
    name: str
    last: int = 0
    saved: int = 0
    pruned: int = 0
    unsaid: int = 0
    receipts: int = 0
    lost: list[tuple[int, int]] = field(default_factory=list)
    fault: str = ""
    lost_log: str = ""
    doubtful: int = 0  # of `pruned`: that they were, and are not lost, nothing here says any more

    @property
    def lost_records(self) -> int:
        return sum(last - first + 1 for first, last in self.lost)


class JournalExport:
    """Of one salvaged journal; `run` once. Synchronous."""

    def __init__(self, files: JournalFiles, salvaged: Salvaged, bundle: CheckedBundle) -> None:
        self._files = files
        self._salvaged = salvaged
        self._bundle = bundle
        self._genesis = salvaged.identity.genesis
        self._exported = Exported(self._genesis.journal, salvaged.identity.name, salvaged.head.position,
                                  lost_log=lost_log(files.db))
        self._digest: bytes | None = self._genesis.digest()  # behind what is written
        self._missing: list[Pruned | Lost] = []
        self._checkpoint = ""

    def run(self) -> Exported:
        """Raises OSError, sqlite3.Error."""
        genesis = self._genesis
        self._bundle.write(Journal(genesis.journal, genesis.edge, self._salvaged.identity.name, genesis.suite, genesis.public_key,
                                   genesis.predecessor))
        self._bundle.write(Range(1, genesis.digest()))
        with closing(_Receipts(self._files, self._exported)) as receipts:
            for entry in self._salvaged.entries():
                saved = whole(self._files, self._salvaged, entry)
                if saved is not None:
                    self._write_saved(saved, receipts)
                elif not isinstance(entry, Saved):
                    self._miss(entry, receipts)
            self._write_missing(receipts)
        return self._exported

    def _write_saved(self, saved: Saved, receipts: _Receipts) -> None:
        self._write_missing(receipts)
        if self._digest != saved.previous:
            self._bundle.write(Range(saved.position, saved.previous))
        if not self._bundle.offer(Entry(saved.position, saved.payload, saved.signature)):
            self._miss(Lost(saved.position, saved.id, saved.digest, None), receipts)
            return
        self._digest = saved.digest
        self._exported.saved += 1
        for receipt in receipts.at(saved.position):
            self._prove(receipt, None)

    def _miss(self, entry: Pruned | Lost, receipts: _Receipts) -> None:
        """They are written together, as far as they follow each other and are missing for the same reason."""
        if self._missing and (type(self._missing[0]) is not type(entry) or len(self._missing) == RECORDS_MAX):
            self._write_missing(receipts)
        self._missing.append(entry)

    def _write_missing(self, receipts: _Receipts) -> None:
        missing, self._missing = self._missing, []
        if not missing:
            return
        first, last = missing[0].position, missing[-1].position
        why = Why.PRUNED if isinstance(missing[0], Pruned) else Why.LOST
        self._bundle.write(Missing(first, why, tuple(MissingRecord(one.id, one.digest) for one in missing)))
        self._digest = missing[-1].digest
        if why is Why.LOST:
            self._note_lost(first, last)
        else:
            self._exported.pruned += len(missing)
            self._exported.doubtful += sum(one.position > self._salvaged.vouched_to for one in missing)
            self._exported.unsaid += sum(one.position > self._salvaged.backed_up for one in missing)
        for entry in missing:
            for receipt in receipts.at(entry.position):
                self._prove(receipt, receipt.signature)

    def _note_lost(self, first: int, last: int) -> None:
        lost = self._exported.lost
        if lost and lost[-1][1] == first - 1:
            first = lost.pop()[0]
        lost.append((first, last))

    def _prove(self, receipt: Receipt, signature: bytes | None) -> None:
        if receipt.checkpoint != self._checkpoint and self._bundle.offer(CheckpointNote(receipt.checkpoint)):
            self._checkpoint = receipt.checkpoint
        proof = Proof(receipt.position, receipt.index, receipt.arrived_ms, receipt.proof, signature)
        if receipt.checkpoint == self._checkpoint and self._bundle.offer(proof):
            self._exported.receipts += 1
        else:
            self._exported.fault = "some do not hold"


class _Receipts:
    """In the order of their positions; where they cannot be read they end, and the records go without."""

    def __init__(self, files: JournalFiles, exported: Exported) -> None:
        self._path = files.db
        self._rows: Iterator[Receipt] = ReceiptStore(files.db, open_alone if exported.lost_log else open_look).each()
        self._exported = exported
        self._next: Receipt | None = None
        self._advance()

    def at(self, position: int) -> list[Receipt]:
        """Of one position; ask for them in order."""
        found: list[Receipt] = []
        while self._next is not None and self._next.position <= position:
            if self._next.position == position:
                found.append(self._next)
            self._advance()
        return found

    def _advance(self) -> None:
        try:
            self._next = next(self._rows, None)
        except DatabaseMissing:
            self._next, self._exported.fault = None, str(gone(self._path))
        except (sqlite3.Error, OSError, ValueError) as error:
            self._next, self._exported.fault = None, str(error)

    def close(self) -> None:
        rows: Any = self._rows
        rows.close()
