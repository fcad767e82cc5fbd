"""The records of one journal in a bundle: place, chain, every signature, and the proofs between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from security.bundle.coverage import Coverage, Covered, How
from security.bundle.entries import Entry, Journal, Proof, Range
from security.bundle.log_check import LogCheck
from security.bundle.missing import Missing
from security.bundle.register import Registration
from security.bundle.unproved import Unproved
from security.chain import leaf_hash, next_digest
from security.record import MalformedRecord, PlaceCheck, Record, parse_record, signature_holds
from security.suites import UnsoundKey, Verifier

ASK = "ask whoever exported it"


@dataclass(frozen=True, slots=True)
class CoveredJournal:
    """What a bundle proves of one journal, range by range. `registration` is None when the bundle does not show it."""

    journal: Journal
    key_id: bytes
    registration: Registration | None
    ranges: Sequence[Sequence[Covered]]


class JournalCheck:
    """Each method takes the next part of the journal, and raises Unproved when it is not what it should be."""

    def __init__(self, journal: Journal, registration: Registration | None, log: LogCheck, *, complete: bool) -> None:
        """`complete`: each range has to end with a proof, as the hub can give it."""
        try:
            self._verifier = Verifier(journal.suite, journal.public_key)
        except UnsoundKey as error:
            raise Unproved(f"its key proves nothing: {error}") from error
        self._journal = journal
        self._registration = registration
        self._log = log
        self._complete = complete
        self._place = PlaceCheck(journal.edge, journal.journal)
        self._ranges: list[Coverage] = []
        self._last: Entry | Missing | None = None
        self._digest: bytes | None = None  # behind the last part; None where the chain is cut
        self.position = 0

    def take_range(self, part: Range) -> None:
        self.close()
        if part.first <= self.position:
            raise Unproved(f"it begins at position {part.first}, and {self.position} was there before; {ASK}")
        if part.first == 1 and part.previous != self._journal.genesis.digest():
            raise Unproved(f"the digest before it is not that with which this journal begins; {ASK}")
        self._ranges.append(Coverage())
        self.position, self._digest, self._last = part.first - 1, part.previous, None

    def take_entry(self, part: Entry) -> Record:
        """The record in it."""
        if self._digest is None:
            raise Unproved(f"no range begins before it; {ASK}")
        record = self._placed(part)
        digest = next_digest(self._digest, part.payload)
        if not signature_holds(self._verifier, part.signature, digest):
            raise Unproved("its signature does not hold: it, or what the chain has before it, is not what the machine signed; "
                           f"{ASK}")
        self._ranges[-1].entry(part.position)
        self.position, self._digest, self._last = part.position, digest, part
        return record

    def take_missing(self, part: Missing) -> None:
        if not self._ranges or part.first != self.position + 1:
            raise Unproved(f"it begins at position {part.first} instead of {self.position + 1}; {ASK}")
        self._require_proved()
        self._ranges[-1].missing(part.first, part.last, How(part.why.value), part.accepted)
        self.position, self._digest, self._last = part.last, part.records[-1].digest, part

    def take_proof(self, part: Proof) -> None:
        """Of the part before."""
        last = self._last
        if isinstance(last, Entry) and part.position == last.position and part.signature is None and self._digest is not None:
            self._check_claims(last, part)
            self._check_leaf(self._digest, last.signature, part)
            self._ranges[-1].proof(part)
        elif isinstance(last, Missing) and last.first <= part.position <= last.last and part.signature is not None:
            self._check_receipt(last.records[part.position - last.first].digest, part.signature, part)
            self._ranges[-1].receipt(part)
        else:
            raise Unproved(f"the proof belongs to no record before it; {ASK}")

    def close(self) -> None:
        """The range ends."""
        if self._ranges:
            self._require_proved()
            self._ranges[-1].cut()
        self._digest = self._last = None

    def covered(self) -> CoveredJournal:
        """So far."""
        return CoveredJournal(self._journal, self._verifier.key_id, self._registration, [one.covered() for one in self._ranges])

    def _placed(self, part: Entry) -> Record:
        expected = self.position + 1
        if part.position != expected:
            raise Unproved(f"it is position {part.position}, and {expected} comes next; {ASK}")
        try:
            record = parse_record(part.payload)
        except MalformedRecord as error:
            raise Unproved(f"it is no record: {error}") from error
        place = (self._journal.edge, self._journal.journal, expected)
        if not self._place.holds(part.payload, expected) or (record.edge, record.journal, record.position) != place:
            raise Unproved(f"it is not a record of this machine, journal and position; {ASK}")
        return record

    def _check_claims(self, entry: Entry, proof: Proof) -> None:
        if (entry.index, entry.arrived_ms) not in {(None, None), (proof.index, proof.arrived_ms)}:
            raise Unproved(f"its proof is for another place or arrival than it says; {ASK}")

    def _check_receipt(self, digest: bytes | None, signature: bytes, proof: Proof) -> None:
        if digest is None or not signature_holds(self._verifier, signature, digest):
            raise Unproved(f"the signature in its proof is not that of this machine's record; {ASK}")
        self._check_leaf(digest, signature, proof)

    def _check_leaf(self, digest: bytes, signature: bytes, proof: Proof) -> None:
        owner = self._journal.journal.bytes
        leaf = leaf_hash(self._verifier.key_id, owner, proof.position, digest, signature, proof.arrived_ms)
        self._log.check_leaf(leaf, proof)

    def _require_proved(self) -> None:
        pending = self._ranges[-1].pending if self._complete else None
        if pending is not None:
            raise Unproved(f"positions {pending[0]} to {pending[1]} are not proved to be in the ledger, no proof comes behind "
                           f"them; {ASK}", position=pending[0])
