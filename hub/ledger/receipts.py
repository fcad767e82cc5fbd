"""Receipts: the proof, for one journal, that what the hub acknowledged is in the tree under a signed checkpoint.

One proof for the journal's newest record; the chain covers the earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from hub.ledger.stated_epochs import stated
from hub.ledger.transparency import Published
from hub.ledger.tree_store import Place, TreeStore
from security.checkpoint import Checkpoint
from security.log_epoch import epoch_of
from security.note import BadNoteKey, MalformedNote, NoteKey, NoteRefused
from security.proofs import check_consistency, check_inclusion, consistency_proof, inclusion_proof
from security.tiles import TileReader
from security.tree import Frontier


class ForeignCheckpoint(ValueError):
    """An edge holds a checkpoint that this hub's key has not signed."""


class Contradiction(Exception):
    """An edge holds a checkpoint of the present epoch, or of a later one, that this hub's key signed and that its tree does not
    lead to.
    """

    def __init__(self, checkpoint: Checkpoint, note: str) -> None:
        super().__init__(f"a checkpoint of {checkpoint.size} entries ({checkpoint.origin}) does not belong to this database")
        self.checkpoint = checkpoint
        self.note = note


@dataclass(frozen=True, slots=True)
class Receipt:
    """`place` is None when there is nothing new of the journal: a checkpoint only. Proofs are lists of 32-byte hashes."""

    checkpoint: str
    size: int
    consistency: list[bytes]
    place: Place | None
    inclusion: list[bytes]


@dataclass(frozen=True, slots=True)
class Known:
    """What an edge knows of our log: the size of the newest checkpoint that it accepted (0: none), and the epochs it missed.
    `doubt`: why an epoch that has ended had two histories, "" if all is well.
    """

    size: int
    missed: list[str]
    doubt: str = ""


class Receipts:
    """Synchronous; call it in a thread."""

    def __init__(self, path: Path, hub: UUID, log_key: bytes) -> None:
        self._path = path
        self._hub = hub
        self._log_key = log_key

    def known_by(self, note: str, published: Published) -> Known:
        """What follows from the newest checkpoint that an edge holds ("": none). Raises Contradiction, ForeignCheckpoint,
        DamagedEpoch, TileMissing.
        """
        with TreeStore(self._path) as store:
            epochs = stated(store, self._hub, self._log_key)
            if not note:
                return Known(0, list(epochs)[-1:])
            held = self._opened(note)
            number = epoch_of(held.origin, self._hub)
            missed = [one for one, epoch in epochs.items() if epoch.number > number]
            if any(epochs[one].base_size < held.size for one in missed):
                return Known(0, missed)  # it is beyond the base of a new epoch: gone, and no proof can lead from there
            reader = TileReader(store.tile)
            if held.size <= published.size and Frontier.read(held.size, reader.node).root() == held.root:
                return Known(held.size, missed)
        if number >= published.epoch.number:
            raise Contradiction(held, note)
        # A person has ended that epoch: to halt this one, too, would mend nothing. The edge sees for itself.
        return Known(0, missed, (
            f"the machine holds a checkpoint of {held.size} entries of epoch {number}, to which this ledger does not lead: this "
            "hub signed two histories then. The machine keeps the proof; tell the security officer"))

    def receipt(self, journal: UUID, after: int, known_size: int, published: Published) -> Receipt:
        """For the journal's newest record behind position `after`, and from a checkpoint of `known_size` (0: none).

        Raises ProofRefused or TileMissing when tiles are damaged.
        """
        with TreeStore(self._path, readonly=True) as store:
            reader = TileReader(store.tile)
            place = store.newest_place(journal, after, published.size)
            inclusion = [] if place is None else inclusion_proof(place.index, published.size, reader.node)
            consistency = consistency_proof(known_size, published.size, reader.node)
            # A damaged tile must not look like a rewritten history at every edge.
            if place is not None:
                check_inclusion(reader.node(0, place.index), place.index, published.size, inclusion, published.root)
            known_root = Frontier.read(known_size, reader.node).root()
            check_consistency(known_size, known_root, published.size, published.root, consistency)
        return Receipt(published.note, published.size, consistency, place, inclusion)

    def _opened(self, note: str) -> Checkpoint:
        try:
            origin = note.split("\n", 1)[0]
            return Checkpoint.open(note.encode(), [NoteKey(origin, self._log_key)])
        except (MalformedNote, NoteRefused, BadNoteKey) as error:
            raise ForeignCheckpoint(f"the machine holds a checkpoint that this hub has not signed: {error}") from error
