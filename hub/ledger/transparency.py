"""The hub's transparency log: a tree that follows the ledger, and signed checkpoints of it (invariant 6).

The order of writing is the argument. Tiles are committed before a checkpoint is signed over them; the signed checkpoint is
durable in the high-water mark before it stands in the database; and only from there is it read. A crash between two of these
repeats the later one. Two checkpoints that contradict each other are never signed: each root follows from the one before by
appending, in memory, and the first one after a start is compared with the mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog

from hub.ledger.high_water import HighWater
from hub.ledger.stated_epochs import DamagedEpoch, stated
from hub.ledger.tree_store import TreeStore
from security.checkpoint import Checkpoint, origin_of
from security.clock import Clock
from security.log_epoch import LogEpoch, epoch_of, open_epoch
from security.note import BadNoteKey, MalformedNote, NoteKey, NoteRefused
from security.signer import Signer
from security.tiles import OpenTiles, TileMissing, TileReader
from security.tree import EMPTY_ROOT, Frontier

REOPEN = "stop the hub and run: suozhan-hub reopen --by NAME --reason TEXT"

log = structlog.get_logger()


class LogBehind(Exception):
    """The database is not the one over which the newest checkpoint was signed; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint that anybody may see: what it says, and the note that was signed."""

    epoch: LogEpoch
    size: int
    root: bytes
    note: str


class TransparencyLog:
    """Synchronous; one thread at a time. `begin` once, then `advance` again and again."""

    def __init__(self, path: Path, mark: HighWater, hub: UUID, signer: Signer, clock: Clock) -> None:
        self._path = path
        self._mark = mark
        self._hub = hub
        self._signer = signer
        self._clock = clock
        self.published: Published | None = None
        self._tiles = OpenTiles()
        self.halted = ""  # why nothing more is signed in this epoch
        self._unkept: tuple[Checkpoint, str] | None = None

    def begin(self) -> Published | None:
        """Compare database and mark, and publish where the log stands; None, and halted, when they contradict each other.

        Raises OSError, sqlite3.Error, Damaged.
        """
        with TreeStore(self._path) as store:
            try:
                self._begin(store)
            except (LogBehind, TileMissing, DamagedEpoch) as error:
                self.halt(str(error))
        return self.published

    def advance(self) -> Published | None:
        """Take up what the ledger has got since, and sign it. Raises OSError, sqlite3.Error, Damaged; then nothing is."""
        if self._unkept is not None:
            self._keep(*self._unkept)
        if self.halted or self.published is None:
            return self.published
        with TreeStore(self._path) as store:
            self._tiles = _grown(store, self._tiles)
            if self._tiles.size > self.published.size:
                self.published = self._publish(store)
        return self.published

    def halt(self, reason: str) -> None:
        """Sign no more in this epoch: what was signed before contradicts what we have."""
        log.error("the transparency log is halted", reason=reason)
        self.halted = self.halted or reason

    def contradicted(self, evidence: Checkpoint, note: str) -> None:
        """Somebody holds a checkpoint of ours that our tree does not lead to: halt, and keep it. Raises OSError; then `advance`
        tries again to keep it.
        """
        if not self.halted:
            self.halt(f"a checkpoint of {evidence.size} entries, signed by this hub, does not belong to this database: it was "
                      f"restored from a backup or is not the only one. {REOPEN}")
            self._unkept = evidence, note
            self._keep(evidence, note)

    def _keep(self, evidence: Checkpoint, note: str) -> None:
        """So that a restart does not forget it. The mark only grows."""
        number = epoch_of(evidence.origin, self._hub)
        self._mark.keep_contradiction(number, note.encode())
        with suppress(LogBehind):  # a damaged mark halts the log at every start by itself
            mark = self._marked()
            if mark is None or (number, evidence.size) > (epoch_of(mark.origin, self._hub), mark.size):
                self._mark.write(note.encode())
        self._unkept = None

    def _begin(self, store: TreeStore) -> None:
        mark, epochs = self._marked(), self._stated(store)
        if not epochs:
            self._begin_first(store, mark)
        elif mark is None:
            raise LogBehind(f"the high-water mark {self._mark.path} is gone: put it back. If it is lost: {REOPEN}")
        self.epoch = (epochs or self._stated(store))[-1]
        self._tiles = _grown(store, OpenTiles.read(store.size(), store.tile))
        if mark is not None:
            self._check_mark(store, mark)
        self.published = self._publish(store)

    def _begin_first(self, store: TreeStore, mark: Checkpoint | None) -> None:
        epoch = LogEpoch(self._hub, 1, self._clock.unix_ms(), 0, EMPTY_ROOT)
        if mark is not None and (mark.origin, mark.size) != (epoch.origin, 0):
            raise LogBehind(f"this hub has signed {mark.size} entries, and the database knows nothing of it: put the right "
                            f"one back. If it was restored from a backup: {REOPEN}")
        # The mark first: a database whose log has begun always has one.
        self._mark.write(Checkpoint(epoch.origin, 0, EMPTY_ROOT).signed(self._signer))
        store.add_epoch(1, epoch.statement(self._signer))

    def _check_mark(self, store: TreeStore, mark: Checkpoint) -> None:
        number, contradiction = epoch_of(mark.origin, self._hub), self._mark.contradiction(self.epoch.number)
        if contradiction.exists():
            raise LogBehind(f"the checkpoint in {contradiction}, signed by this hub, does not belong to this database: it was "
                            f"restored from a backup or is not the only one. {REOPEN}")
        size, root = mark.size, mark.root
        if number < self.epoch.number and (self.epoch.last_size, self.epoch.last_root) == (size, root):
            # The epoch was opened, and nothing has been signed in it yet.
            number, size, root = self.epoch.number, self.epoch.base_size, self.epoch.base_root
        if number != self.epoch.number or size > self._tiles.size:
            raise LogBehind(f"this hub has signed {mark.size} entries in epoch {number}; the database has {self._tiles.size}, in "
                            f"epoch {self.epoch.number}: put the right one back. If it was restored from a backup: {REOPEN}")
        if Frontier.read(size, TileReader(store.tile).node).root() != root:
            raise LogBehind(f"the first {size} entries are not those that this hub has signed: put the right database back. If "
                            f"it was restored from a backup: {REOPEN}. If it was not: suozhan-hub verify")

    def last_epoch(self) -> int:
        """Number of the newest that this hub has signed in, as far as the mark and the database know."""
        with TreeStore(self._path) as store:
            known = {one.number: one for one in self._stated(store)}
            return self._last(known, self._marked() or self._newest(store, known))

    def _last(self, known: Mapping[int, LogEpoch], before: Checkpoint) -> int:
        return max([*known, epoch_of(before.origin, self._hub)])

    def _opened_before(self) -> int:
        """Also where the database and the decisions that told of it were put back since; 0 where nothing says it."""
        try:
            return open_epoch(self._mark.newest_epoch().decode(), self._hub, self._signer.public_key).number
        except ValueError:  # damaged or another hub's: all that is lost by it is that a number may be stated twice
            return 0

    def open_epoch(self) -> LogEpoch:
        """Begin anew over the ledger as it is, behind whatever was signed before. Nothing else may work on the database."""
        with TreeStore(self._path) as store:
            known = {one.number: one for one in self._stated(store)}
            before = self._marked() or self._newest(store, known)
            size = _grown(store, OpenTiles.read(store.size(), store.tile)).size
            number = max(self._last(known, before), self._opened_before()) + 1
            base = self._common(store, known, before, size)
            epoch = LogEpoch(self._hub, number, self._clock.unix_ms(), base.size, base.root(), before.size, before.root)
            statement = epoch.statement(self._signer)
            self._mark.keep_epoch(statement.encode())  # first: the database may be put back once more before it is signed over
            store.add_epoch(number, statement)
        if not self._mark.read():
            # Behind the epoch: a crash between the two leaves no mark, and the old epoch stays halted.
            self._mark.write(before.signed(self._signer))
        return epoch

    def _common(self, store: TreeStore, known: Mapping[int, LogEpoch], before: Checkpoint, size: int) -> Frontier:
        """The largest tree that the last epoch had, as far as we can show, and that this database has. Of earlier epochs only
        what all since then had in common counts: the database may be longer, with another history.
        """
        node, number, limit = TileReader(store.tile).node, epoch_of(before.origin, self._hub), before.size
        signed = [(before.size, before.root)]
        while (epoch := known.get(number)) is not None:
            if note := store.checkpoint(number, limit):
                checkpoint = self._opened(note.encode())
                signed.append((checkpoint.size, checkpoint.root))
            limit = min(limit, epoch.base_size)
            signed += [(epoch.base_size, epoch.base_root)] if epoch.base_size == limit else []
            number -= 1
        for signed_size, root in signed:
            if signed_size <= size and (tree := Frontier.read(signed_size, node)).root() == root:
                return tree
        return Frontier()

    def _newest(self, store: TreeStore, known: Mapping[int, LogEpoch]) -> Checkpoint:
        """Without a mark, what the database itself knows of; as if a first epoch had begun, for it may have, and is lost."""
        for number in sorted(known, reverse=True):
            if note := store.checkpoint(number):
                return self._opened(note.encode())
        return Checkpoint(origin_of(self._hub, max(known, default=1)), 0, EMPTY_ROOT)

    def _publish(self, store: TreeStore) -> Published:
        tree = self._tiles.frontier()
        checkpoint = Checkpoint(self.epoch.origin, tree.size, tree.root())
        note = checkpoint.signed(self._signer)
        self._mark.write(note)
        store.add_checkpoint(self.epoch.number, tree.size, note.decode(), self._clock.unix_ms())
        return Published(self.epoch, tree.size, tree.root(), note.decode())

    def _marked(self) -> Checkpoint | None:
        note = self._mark.read()
        try:
            return self._opened(note) if note else None
        except (MalformedNote, NoteRefused, BadNoteKey) as error:
            raise LogBehind(f"the high-water mark {self._mark.path} is damaged or another hub's ({error}): put the right one "
                            f"back. If it is lost, move it away, then: {REOPEN}") from error

    def _opened(self, note: bytes) -> Checkpoint:
        origin = note.split(b"\n", 1)[0].decode("utf-8", "replace")
        return Checkpoint.open(note, [NoteKey(origin, self._signer.public_key)])

    def _stated(self, store: TreeStore) -> list[LogEpoch]:
        return list(stated(store, self._hub, self._signer.public_key).values())


def _grown(store: TreeStore, tiles: OpenTiles) -> OpenTiles:
    """With all leaves of the ledger, and stored like that."""
    while leaves := store.leaves(tiles.size):
        tiles, changed = tiles.extended(leaves)
        store.write(changed, tiles.size)
    return tiles
