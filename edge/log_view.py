"""What this machine believes of the hub's transparency log, and when it stops believing: pure rules (invariant 6).

Each new checkpoint has to grow out of the last one that was accepted. A new epoch may only follow a statement that names what was
signed before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from security.checkpoint import Checkpoint
from security.log_epoch import LogEpoch, MalformedEpoch, epoch_of, open_epoch
from security.note import MalformedNote, NoteKey, NoteRefused
from security.proofs import ProofRefused, check_consistency, check_inclusion


class HistoryRefused(Exception):
    """The hub's log is not what it was, or a receipt does not prove what it says. `evidence`: what the hub has signed."""

    def __init__(self, text: str, evidence: str) -> None:
        super().__init__(text)
        self.evidence = evidence


@dataclass(frozen=True, slots=True)
class LogView:
    """`held` is the newest checkpoint that was accepted (None at first), `note` the same as it was signed; `epoch` is the newest
    that was stated, and `base` the smallest ledger with which any epoch since then began.
    """

    hub: UUID
    log_key: bytes
    held: Checkpoint | None = None
    note: str = ""
    epoch: LogEpoch | None = None
    base: int | None = None

    @property
    def number(self) -> int:
        """The epoch of the checkpoint that is held; 0 without one."""
        return epoch_of(self.held.origin, self.hub) if self.held else 0

    @classmethod
    def restored(cls, hub: UUID, log_key: bytes, note: str) -> LogView:
        """From the note that was kept. Raises HistoryRefused when it is damaged."""
        view = cls(hub, log_key)
        return replace(view, held=view._opened(note), note=note) if note else view

    def stated(self, statement: str) -> LogView:
        """After a statement of the hub. Raises HistoryRefused."""
        try:
            epoch = open_epoch(statement, self.hub, self.log_key)
        except (MalformedNote, NoteRefused, MalformedEpoch) as error:
            raise HistoryRefused(f"the hub's epoch is not one: {error}", statement) from error
        if epoch.number <= self.number or (self.epoch is not None and epoch.number <= self.epoch.number):
            return self  # said again
        return replace(self, epoch=epoch, base=epoch.base_size if self.base is None else min(self.base, epoch.base_size))

    def lost(self) -> int:
        """How many entries under the checkpoint that is held the hub says to have lost since."""
        return 0 if self.held is None or self.base is None else max(self.held.size - self.base, 0)

    def seen(self, note: str, consistency: Sequence[bytes]) -> LogView:
        """After another checkpoint: it grows out of the one that is held, or is the same again. Raises HistoryRefused."""
        if note and note == self.note:
            return self
        new = self._opened(note)
        stays = self.held is not None and new.origin == self.held.origin
        if stays or not self.lost():
            self._check_growth(new, note, consistency)
        return replace(self, held=new, note=note, base=self.base if stays else None)

    def _check_growth(self, new: Checkpoint, note: str, consistency: Sequence[bytes]) -> None:
        if self.held is None:
            return
        try:
            check_consistency(self.held.size, self.held.root, new.size, new.root, consistency)
        except ProofRefused as error:
            raise HistoryRefused(f"the hub's log does not grow out of what it was at {self.held.size} entries: {error}",
                                 f"{self.note}\n{note}") from error

    def check_receipt(self, leaf: bytes, index: int, inclusion: Sequence[bytes]) -> None:
        """That a leaf is in the tree of the checkpoint that is held. Raises HistoryRefused."""
        assert self.held is not None
        try:
            check_inclusion(leaf, index, self.held.size, inclusion, self.held.root)
        except ProofRefused as error:
            raise HistoryRefused(f"the hub's receipt does not prove this machine's record: {error}", self.note) from error

    def _opened(self, note: str) -> Checkpoint:
        origin = note.split("\n", 1)[0]
        known = {self.held.origin} if self.held else set()
        if self.epoch is not None:
            known.add(self.epoch.origin)
        elif not self.held:
            known.add(origin if epoch_of(origin, self.hub) else "")
        try:
            checkpoint = Checkpoint.open(note.encode(), [NoteKey(origin, self.log_key)])
        except (MalformedNote, NoteRefused, ValueError) as error:
            raise HistoryRefused(f"the hub's checkpoint is not signed by its log key: {error}", note) from error
        if checkpoint.origin not in known:
            raise HistoryRefused("the hub's checkpoint is of a log that it has not stated", note)
        return checkpoint
