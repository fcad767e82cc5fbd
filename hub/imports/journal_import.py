"""One journal of a file: what continues it here is appended, what cannot be is carried, what is held is counted."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from hub.imports.check import ImportRefused
from hub.imports.copies import CarriedCopies
from hub.ledger.append_rule import Accept, Fork
from hub.ledger.batch_check import check_batch
from hub.ledger.journal_head import JournalHead
from hub.ledger.own_journal import Deciding, OwnJournal
from hub.ledger.runs import Arrival
from hub.ledger.store import Appended, Ledger
from security.bundle.missing import Missing
from security.chain import leaf_hashes
from security.clock import Clock
from security.record import PAYLOAD_MAX_BYTES, CarriedRecord, Record, SealedBody, WrappedKey, parse_record
from security.run import Run
from security.suites import Verifier

CARRIED_MAX_BYTES = PAYLOAD_MAX_BYTES - 1024  # of a payload: another record is around it

Places = list[tuple[int, int]]  # first and last, in order


@dataclass
class Imported:
    """What became of one journal's records. `unheld` are places of records that neither the file nor the hub has; `forked` is the
    position up to which both histories are the same, `waits` what has to happen before the records can be taken.
    """

    journal: UUID
    edge: UUID
    first: int = 0
    last: int = 0
    records: int = 0
    appended: Places = field(default_factory=list)
    carried: Places = field(default_factory=list)
    carried_before: int = 0
    unheld: Places = field(default_factory=list)
    without_key: int = 0
    too_long: Places = field(default_factory=list)
    forked: int | None = None
    waits: str = ""

    def saw(self, run: Run) -> None:
        self.first, self.last = self.first or run.first, run.last
        self.records += len(run)

    @property
    def held(self) -> int:
        """In this very journal, before."""
        taken = size(self.appended) + size(self.carried) + self.carried_before + size(self.too_long)
        return 0 if self.waits else self.records - taken


class JournalImport:
    """Of a registered journal: `take` its runs and `miss` what lies between them, in order. Each run is one commit."""

    def __init__(self, ledger: Ledger, own: OwnJournal, head: JournalHead, copies: CarriedCopies, clock: Clock) -> None:
        self._ledger = ledger
        self._own = own
        self._head = head
        self._copies = copies
        self._clock = clock
        self._verifier = Verifier(head.suite, head.public_key)
        self._keys: dict[int, WrappedKey] = {}
        self._common = 0  # the last position known to be the same here and there
        self.imported = Imported(head.journal, head.edge)

    def take(self, run: Run) -> None:
        """Raises ImportRefused, sqlite3.Error, Damaged."""
        checked = check_batch(run, self._verifier, self._head.edge, self._head.journal)
        if checked.broken is not None:
            raise ImportRefused(f"the file was changed while it was read ({checked.broken.reason}); give the command again")
        records = [parse_record(payload) for payload in run.payloads]
        self._keys |= {one.position: one.content for one in records if isinstance(one.content, WrappedKey)}
        now_ms = self._clock.unix_ms()
        leaves = leaf_hashes(self._verifier.key_id, self._head.journal.bytes, run.first, checked.digests, run.signatures, now_ms)
        with self._own.transaction(self._ledger) as deciding:
            held = self._ledger.journal(self._head.journal)
            appended = self._ledger.append_within(Arrival(held.journal, run, checked.digests, leaves, now_ms))
            known = self._known(held, run, checked.digests, appended)
            carried = self._carry(deciding, run, checked.digests, records, self._outside(held, run, known, appended))
        # A crash before this line: the next import finds all of it held or carried.
        self._count(run, known, appended, carried)

    def miss(self, part: Missing) -> None:
        """What is not in the file is lost where it is not here, either. Raises sqlite3.Error, Damaged."""
        held, last = self._ledger.journal(self._head.journal), part.records[-1].digest
        if part.last <= held.position and last == self._ledger.digest_at(held, part.last):
            self._common = part.last  # the digest covers all before
        holes = {at for hole in self._ledger.holes(held) for at in range(hole.first, hole.last + 1)}
        for at, record in enumerate(part.records, part.first):
            other = at > held.position or (at > self._common and record.digest not in {None, self._ledger.digest_at(held, at)})
            if other or at in holes:
                _extend(self.imported.unheld, [at])

    def _known(self, held: JournalHead, run: Run, digests: Sequence[bytes], appended: Appended) -> int:
        """How many, from the first, are of the history that was held here before."""
        if isinstance(appended.verdict, Accept):
            return appended.verdict.skip
        both = range(min(held.position, run.last) - run.first + 1)
        return bisect_left(both, True, key=lambda at: self._ledger.digest_at(held, run.first + at) != digests[at])

    def _outside(self, held: JournalHead, run: Run, known: int, appended: Appended) -> list[int]:
        """Positions that this journal holds no record for: known ones in a hole, and all that it could not append."""
        behind = run.first + known
        holes = [at for hole in self._ledger.holes(held)
                 for at in range(max(hole.first, run.first), min(hole.last + 1, behind))]
        refused = [] if isinstance(appended.verdict, Accept) else [*range(behind, run.last + 1)]
        if len(refused) < len(run):
            self._common = run.last - len(refused)
        return holes + refused

    def _carry(self, deciding: Deciding, run: Run, digests: Sequence[bytes], records: Sequence[Record],
               positions: Sequence[int]) -> list[int]:
        """Into the hub's own journal, verbatim, what is not there or elsewhere yet; the positions that were."""
        if not positions:
            return []
        self._own.catch_up(self._ledger)
        self._copies.catch_up(self._ledger)
        fresh = [at for at in positions if digests[at - run.first] not in self._copies
                 and len(run.payloads[at - run.first]) <= CARRIED_MAX_BYTES]
        chosen = [(self._carried(run, digests, records, at - run.first), records[at - run.first].simulated) for at in fresh]
        self._own.carry(deciding, chosen)
        _extend(self.imported.too_long, [at for at in positions if len(run.payloads[at - run.first]) > CARRIED_MAX_BYTES])
        self.imported.carried_before += sum(digests[at - run.first] in self._copies for at in positions)
        return fresh

    def _carried(self, run: Run, digests: Sequence[bytes], records: Sequence[Record], at: int) -> CarriedRecord:
        content, key = records[at].content, None
        if isinstance(content, SealedBody):
            key = self._keys.get(content.key_position)
            self.imported.without_key += key is None and content.key_position > self._common
        previous = digests[at - 1] if at else run.previous
        return CarriedRecord(previous, self._verifier.key_id, run.payloads[at], run.signatures[at], key)

    def _count(self, run: Run, known: int, appended: Appended, carried: Sequence[int]) -> None:
        said = self.imported
        said.saw(run)
        _extend(said.carried, carried)
        if isinstance(appended.verdict, Accept):
            _extend(said.appended, range(run.first + known, run.last + 1))
        if isinstance(appended.verdict, Fork) and said.forked is None:
            said.forked = run.first + known - 1


def _extend(places: Places, positions: Iterable[int]) -> None:
    for position in positions:
        if places and places[-1][1] == position - 1:
            places[-1] = places[-1][0], position
        else:
            places.append((position, position))


def size(places: Places) -> int:
    return sum(last - first + 1 for first, last in places)
