"""The log in a bundle: its epochs, its checkpoints, and leaves under the newest of them."""

from __future__ import annotations

from uuid import UUID

from security.bundle.entries import Proof
from security.bundle.header import CheckpointNote, Epoch
from security.bundle.unproved import Unproved
from security.checkpoint import Checkpoint
from security.log_epoch import LogEpoch, MalformedEpoch, epoch_of, open_epoch
from security.note import BadNoteKey, MalformedNote, NoteKey, NoteRefused
from security.proofs import ProofRefused, check_inclusion

REPORT = "keep this file and report it: nobody but the log's key can have signed that"


class LogCheck:
    """Of one hub's log, under one key."""

    def __init__(self, hub: UUID, log_key: bytes) -> None:
        self._hub = hub
        self._log_key = log_key
        self._roots: dict[tuple[str, int], bytes] = {}
        self.epochs: list[LogEpoch] = []
        self.checkpoint: Checkpoint | None = None

    @property
    def _newest(self) -> int:
        return self.epochs[-1].number if self.epochs else 0

    def take_epoch(self, part: Epoch) -> None:
        """A later one. What lies between is told by the report: a hub may have lost it in a restore. Raises Unproved."""
        try:
            epoch = open_epoch(part.statement, self._hub, self._log_key)
        except (MalformedNote, MalformedEpoch, NoteRefused, BadNoteKey) as error:
            raise Unproved(f"it is no epoch of this hub's log: {error}") from error
        if epoch.number <= self._newest:
            raise Unproved(f"it is epoch {epoch.number} behind epoch {self._newest}; ask whoever exported it for all epochs")
        self.epochs.append(epoch)

    def take_checkpoint(self, part: CheckpointNote) -> None:
        """It holds for what comes behind. Raises Unproved."""
        origin = part.note.split("\n", 1)[0]
        number = epoch_of(origin, self._hub)
        if not number or (self.epochs and number != self._newest):
            raise Unproved(f"it is of another log or epoch ({origin[:80]!r}); ask whoever exported it")
        try:
            checkpoint = Checkpoint.open(part.note.encode(), [NoteKey(origin, self._log_key)])
        except (MalformedNote, NoteRefused, BadNoteKey) as error:
            raise Unproved(f"this hub's log has not signed it: {error}") from error
        if self._roots.setdefault((origin, checkpoint.size), checkpoint.root) != checkpoint.root:
            raise Unproved(f"the log has signed two roots for the same {checkpoint.size} entries; {REPORT}")
        self.checkpoint = checkpoint

    def check_leaf(self, leaf: bytes, proof: Proof) -> None:
        """That it stands in the tree. Raises Unproved."""
        if self.checkpoint is None:
            raise Unproved("there is no checkpoint before its proof; ask whoever exported it")
        try:
            check_inclusion(leaf, proof.index, self.checkpoint.size, proof.hashes, self.checkpoint.root)
        except ProofRefused as error:
            raise Unproved(f"it is not proved to be in the ledger: {error}") from error
