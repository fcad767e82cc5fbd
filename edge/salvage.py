"""What can be saved of a damaged journal: every record that the chain and its signature prove, wherever a copy of it lies.

Nothing is written, and the file is never opened with SQLite, which refuses all of it for one bad page and drops what a
damaged log still holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from uuid import UUID

from edge.dropped_log import KEPT_LOG
from edge.journal_rows import journal_rows
from edge.journal_store import KEEP_AND_CALL, Head, JournalIdentity, Standing
from edge.pruned_mark import PrunedMark
from edge.salvage_finds import SalvageFinds
from edge.salvage_proof import NAMED_MAX, SalvageProof, read_place
from edge.sqlite_pages import PageFile
from security.chain import next_digest
from security.run import Run

NO_RECORD = "how many there were, nothing here says any more"
UNVOUCHED = "whether a backup of the hub holds the record, or it is lost, nothing here says any more"

_ENTRIES = """SELECT position, saved, id, previous, digest, number, source, offset, at FROM entries
    WHERE position >= ? ORDER BY position"""
_LOWEST = "SELECT min(position) FROM envelopes WHERE trusted"
_KNOWN = "SELECT position FROM entries WHERE digest IS NOT NULL AND position <= ? ORDER BY position"
_SAVED = "SELECT count(*), count(CASE WHEN position > ? THEN 1 END) FROM entries WHERE saved"


@dataclass(frozen=True, slots=True)
class Saved:
    """A proved record: `digest` follows from `previous` and `payload`, and `signature` holds on it."""

    position: int
    id: UUID
    previous: bytes
    digest: bytes
    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Pruned:
    """Dropped here, as the hub had it in a backup; its row of `digests` says so much, None where that is damaged."""

    position: int
    id: UUID | None
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class Lost:
    """No whole copy was found; what is known of it. A payload here is what the digest covers: only the signature is damaged."""

    position: int
    id: UUID | None
    digest: bytes | None
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong, in words for a technician, and where."""

    where: str
    text: str
    page: int | None = None
    position: int | None = None


class NothingToSalvage(Exception):
    """It cannot be told whose journal this is."""


class Salvaged:
    """Made by `salvage`, good while its `with` lasts. One thread at a time."""

    def __init__(self, identity: JournalIdentity, head: Head, finds: SalvageFinds, mark: int = 0) -> None:
        self.identity = identity
        self.head = head
        self.damage: tuple[Damage, ...] = ()
        self._finds = finds
        plausible = [one for _, one in finds.standings if one.position <= head.position]
        self.standing: Standing | None = plausible[0] if plausible else None
        # Pruning goes from below: what has no envelope there was pruned, elsewhere it is lost. A log alone says nothing of it.
        lowest = finds.index.execute(_LOWEST).fetchone()[0] or head.position + 1
        backed_up_most = head.position if finds.of_database else 0
        vouched = max(mark, self.standing.backed_up if self.standing else 0)
        self.pruned_to: int = min(lowest - 1, max(mark, self.standing.backed_up if self.standing else backed_up_most))
        # Nothing here says any more of those behind it whether they were pruned, or lost with the damage.
        self.vouched_to: int = min(self.pruned_to, vouched)
        # What the hub says now: it may have come back from an older backup, or its word be damaged here.
        self.backed_up: int = min(self.pruned_to, self.standing.backed_up) if self.standing else 0
        self.saved, saved_behind = finds.index.execute(_SAVED, (self.pruned_to,)).fetchone()
        self.lost: int = head.position - self.pruned_to - saved_behind

    @property
    def nothing_proved(self) -> bool:
        """A damaged file that looks as if nothing had ever been written into it."""
        return not self.head.position and bool(self.damage)

    def entries(self, first: int = 1) -> Iterator[Saved | Pruned | Lost]:
        """Every position up to the head, in order."""
        expected = first
        for row in self._finds.index.execute(_ENTRIES, (first,)):
            yield from map(self._without_trace, range(expected, row[0]))
            yield self._entry(*row)
            expected = row[0] + 1
        yield from map(self._without_trace, range(expected, self.head.position + 1))

    def _without_trace(self, position: int) -> Pruned | Lost:
        return Pruned(position, None, None) if position <= self.pruned_to else Lost(position, None, None, None)

    def _entry(self, position: int, saved: int, record: bytes | None, previous: bytes | None, digest: bytes | None,
               *place: int) -> Saved | Pruned | Lost:
        name = UUID(bytes=record) if record else None
        whole = self._whole(previous, digest, place)
        if saved and name and previous and digest and whole:
            return Saved(position, name, previous, digest, *whole)
        if position <= self.pruned_to:
            return Pruned(position, name, digest)
        return Lost(position, name, digest, whole[0] if whole else None)

    def _whole(self, previous: bytes | None, digest: bytes | None, place: Sequence[int]) -> tuple[bytes, bytes] | None:
        """Payload and signature, if the payload is what the digest covers."""
        at = read_place(place)
        if at is None or previous is None:
            return None
        return next((both for both in self._finds.read(at) if next_digest(previous, both[0]) == digest), None)

    def losses(self) -> Iterator[Lost]:
        return (entry for entry in self.entries(self.pruned_to + 1) if isinstance(entry, Lost))

    def pruned_unknown(self) -> Iterator[int]:
        """Pruned positions whose digest is gone, too."""
        expected = 1
        for (position,) in self._finds.index.execute(_KNOWN, (self.pruned_to,)):
            yield from range(expected, position)
            expected = position + 1
        yield from range(expected, self.pruned_to + 1)

    def after(self, position: int, limit: int, limit_bytes: int) -> Run:
        """Saved records from `position + 1` on, up to the next that is not; at least one if that one is saved."""
        run: list[Saved] = []
        size = 0
        for entry in self.entries(position + 1):
            size += len(entry.payload) + len(entry.signature) if isinstance(entry, Saved) else 0
            if not isinstance(entry, Saved) or len(run) == limit or (run and size > limit_bytes):
                break
            run.append(entry)
        previous = run[0].previous if run else self.digest_at(position) or b""
        return Run(position + 1, previous, [one.payload for one in run], [one.signature for one in run])

    def next_saved(self, position: int) -> int | None:
        """The first saved position behind `position`."""
        found: int | None = self._finds.index.execute("SELECT min(position) FROM entries WHERE saved AND position > ?",
                                                      (position,)).fetchone()[0]
        return found

    def digest_at(self, position: int) -> bytes | None:
        """The genesis digest at 0; None where it is lost, and beyond the head."""
        if position == 0:
            return self.identity.genesis.digest()
        row = self._finds.index.execute("SELECT digest FROM entries WHERE position = ?", (position,)).fetchone()
        return row[0] if row else None

    def find(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """Positions of those ids that are known, pruned and lost ones, too: a caller's repeat is one all the same."""
        marks = ",".join("?" * len(ids))
        rows = self._finds.index.execute(f"SELECT id, position FROM entries WHERE id IN ({marks})",  # noqa: S608 - marks
                                         [one.bytes for one in ids])
        return {UUID(bytes=row[0]): row[1] for row in rows}


@contextmanager
def salvage(path: Path, known: JournalIdentity | None = None, anchors: Mapping[int, bytes] | None = None) -> Iterator[Salvaged]:
    """Nobody may write the file meanwhile. `known`: whose journal it is, from identity.json and the record key; it wins
    over what the file says. `anchors`: digests by position that somebody else, such as the hub, vouches for.

    Raises NothingToSalvage, OSError.
    """
    with PageFile(path, [kept for kept in [Path(f"{path}{KEPT_LOG}")] if kept.exists()]) as pages:
        written = _written_identity(pages)
        identity = known or written
        if identity is None:
            raise NothingToSalvage(f"{path} does not say whose journal it is, and identity.json and keys/record.key do not "
                                   f"either; {KEEP_AND_CALL}")
        with SalvageFinds(pages, identity.genesis) as finds:
            finds.gather(pages.images())
            proof = SalvageProof(finds, identity.genesis, anchors or {})
            head = proof.run()
            finds.index.execute("CREATE INDEX ids ON entries (id)")
            salvaged = Salvaged(identity, head, finds, PrunedMark(path).read())
            salvaged.damage = tuple(_damage(pages, written == identity, finds, proof, salvaged))
            yield salvaged


def damaged_pages(path: Path, identity: JournalIdentity) -> dict[int, str]:
    """What is wrong by page, without a look at the chain. Raises OSError."""
    with PageFile(path) as pages, SalvageFinds(pages, identity.genesis) as finds:
        finds.gather(pages.images())
        return dict(sorted(finds.damaged.items()))


@dataclass(frozen=True, slots=True)
class Dropped:
    """Records behind the head that SQLite reads: those that follow it, and the position of one beyond a gap."""

    records: tuple[Saved, ...]
    beyond: int | None


def dropped_records(path: Path, identity: JournalIdentity, head: Head) -> Dropped:
    """Of the log that was set aside beside the journal (edge/dropped_log.py). Raises OSError."""
    with PageFile(path, [Path(f"{path}{KEPT_LOG}")]) as pages, SalvageFinds(pages, identity.genesis) as finds:
        finds.gather(pages.dropped(len(pages.logs)))
        # With nothing behind it the broken commit is the last one: a crash came between a frame's header and its page, and nobody
        # was told of that record.
        hidden = pages.logs[-1].first_bad is not None
        last = SalvageProof(finds, identity.genesis, {head.position: head.digest}).run(after=head.position)
        found = [one for one in Salvaged(identity, last, finds).entries(head.position + 1) if isinstance(one, Saved)]
    following = [one for number, one in enumerate(found, head.position + 1) if one.position == number]
    return Dropped(tuple(following), last.position if hidden and last.position > head.position + len(following) else None)


def _written_identity(pages: PageFile) -> JournalIdentity | None:
    return next((found for image in pages.images() for found in journal_rows(pages.read(image))), None)


def _damage(pages: PageFile, same: bool, finds: SalvageFinds, proof: SalvageProof, salvaged: Salvaged) -> Iterator[Damage]:
    for number, text in sorted(finds.damaged.items()):
        yield Damage(f"page {number}", text, page=number)
    for log in pages.logs:
        if log.first_bad is not None:
            yield Damage(f"write-ahead log, frame {log.first_bad}", "it does not follow from what stands before it")
    if not same:
        yield Damage("identity", "the row that says whose journal this is, is damaged")
    if (True, salvaged.head) not in finds.heads:
        yield Damage("head", "it is not the last record that is stored")
    if not any(current and one == salvaged.standing for current, one in finds.standings):
        yield Damage("standing", "the row of what the hub has said is damaged; the hub says it again")
    for position, (page, text) in islice(proof.damaged.items(), NAMED_MAX):
        yield Damage(f"position {position}, page {page} or where it goes on", text, page, position)
    for first, last in _ranges(proof.without_row):
        yield Damage(_positions(first, last), "the row of digests is gone; it follows from the record", position=first)
    for first, last in _ranges(islice(salvaged.pruned_unknown(), NAMED_MAX)):
        text = "the hub holds the record" if last <= salvaged.vouched_to else UNVOUCHED
        yield Damage(_positions(first, last), f"the row of digests is gone; {text}", position=first)
    unnamed = (lost.position for lost in salvaged.losses() if lost.position not in proof.damaged)
    for first, last in _ranges(islice(unnamed, NAMED_MAX)):
        yield Damage(_positions(first, last), "no whole copy was found", position=first)


def _ranges(positions: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of each stretch without a gap."""
    for _, stretch in groupby(enumerate(positions), key=lambda pair: pair[1] - pair[0]):
        members = [position for _, position in stretch]
        yield members[0], members[-1]


def _positions(first: int, last: int) -> str:
    return f"position {first}" if first == last else f"positions {first} to {last}"
