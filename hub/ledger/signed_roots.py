"""Every root that the hub has signed and that somebody may hold against it: checkpoints, epochs, the high-water mark."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from hub.ledger.findings import Finding
from hub.ledger.high_water import HighWater
from hub.ledger.stored_tree import StoredNote, TreeSnapshot
from security import strict_base64
from security.checkpoint import Checkpoint, origin_of
from security.log_epoch import LogEpoch, epoch_of, open_epoch
from security.note import MalformedNote, NoteKey

MARK = "high-water mark"
KEY_ID_CHARS = 5  # of base64: those that tell of the key's id alone, and of nothing behind it


@dataclass(frozen=True, slots=True)
class SignedRoot:
    """What the first `size` entries have as their root, on the word of the log's key."""

    where: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class LogKey:
    """Whose log it is, and its public key."""

    hub: UUID
    key: bytes

    def checkpoint(self, note: bytes, epoch: int) -> Checkpoint:
        """Raises ValueError, which says what is wrong with the note."""
        return Checkpoint.open(note, [NoteKey(origin_of(self.hub, epoch), self.key)])

    def epoch(self, note: bytes) -> LogEpoch:
        """Raises ValueError."""
        return open_epoch(note.decode(), self.hub, self.key)

    def mark(self, note: bytes) -> tuple[int, Checkpoint]:
        """Its epoch and what it says. Raises ValueError."""
        epoch = epoch_of(note.split(b"\n", 1)[0].decode(), self.hub)
        if not epoch:
            raise MalformedNote("it is no checkpoint of this hub")
        return epoch, self.checkpoint(note, epoch)

    def is_named_in(self, note: str, epoch: int) -> bool:
        """Whether a line below the note says that this key has signed it; that may be damaged."""
        key = NoteKey(origin_of(self.hub, epoch), self.key)
        return f"— {key.name} {strict_base64.encode(key.id)[:KEY_ID_CHARS]}" in note


class SignedRoots:
    """Opens what a snapshot holds of them: `roots`, and `findings` for what is not signed. `mark` is None for a backup,
    which the hub has gone beyond.
    """

    def __init__(self, snapshot: TreeSnapshot, log: LogKey, mark: HighWater | None, marked: bytes) -> None:
        self.findings: list[Finding] = []
        self.checkpoints = [root for note in snapshot.checkpoints if (root := self._checkpoint(log, note))]
        epochs = [one for note in snapshot.epochs if (one := self._epoch(log, note))]
        self.statements = [SignedRoot(f"epoch {one.number}", one.base_size, one.base_root) for one in _common(epochs)]
        if mark is not None and snapshot.epochs:
            self._add_mark(log, mark, marked, epochs)

    def ordered(self) -> list[SignedRoot]:
        """All of them, the smallest tree first."""
        return sorted([*self.checkpoints, *self.statements], key=lambda root: root.size)

    def _checkpoint(self, log: LogKey, stored: StoredNote) -> SignedRoot | None:
        where = f"checkpoint of {stored.size} entries in epoch {stored.epoch}"
        try:
            said = log.checkpoint(stored.note, stored.epoch)
        except ValueError as error:
            self.findings.append(Finding(where, f"is not what this hub signed: {error}"))
            return None
        if said.size != stored.size:
            self.findings.append(Finding(where, f"the note in its place is of {said.size} entries"))
        return SignedRoot(where, said.size, said.root)

    def _epoch(self, log: LogKey, stored: StoredNote) -> LogEpoch | None:
        try:
            said = log.epoch(stored.note)
            if said.number != stored.epoch:
                raise MalformedNote(f"the statement in its place is of epoch {said.number}")
        except ValueError as error:
            self.findings.append(Finding(f"epoch {stored.epoch}", f"is not what this hub signed: {error}"))
            return None
        return said

    def _add_mark(self, log: LogKey, mark: HighWater, note: bytes, epochs: list[LogEpoch]) -> None:
        contradiction = mark.contradiction(max((one.number for one in epochs), default=1))
        if contradiction.exists():  # the log is halted by it, whatever the mark says
            self.findings.append(Finding(MARK, f"the checkpoint in {contradiction}, signed by this hub, does not belong to this "
                                               "database: the log is halted"))
        try:
            number, said = log.mark(note)
            newest = max((root.size for root in self.checkpoints), default=0)
            if said.size < newest:  # a hub that runs beside us has gone on since
                _, now = log.mark(mark.read())
                if now.size < newest:
                    self.findings.append(Finding(MARK, f"it says {now.size} entries, a checkpoint of {newest} was signed: it was "
                                                       f"put back; the one to keep is the newest that {mark.path} ever held"))
        except ValueError as error:
            self.findings.append(Finding(MARK, f"{mark.path} is gone or not what this hub signed: {error}"))
            return
        opened = next((one for one in epochs if one.number > number), None)
        if opened is not None and (opened.last_size, opened.last_root) == (said.size, said.root):
            return  # this epoch was opened behind the mark, and nothing has been signed in it yet
        self.statements.append(SignedRoot(MARK, said.size, said.root))


def _common(epochs: list[LogEpoch]) -> list[LogEpoch]:
    """Those whose base this ledger has to have: a later one that begins with less says that the rest of it was lost since."""
    found: list[LogEpoch] = []
    for one in reversed(epochs):
        if not found or one.base_size <= found[-1].base_size:
            found.append(one)
    return found[::-1]
