"""Records that were carried over from a journal which could not deliver them: whose they are, and whether we hold them."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from hub.ledger.journal_head import POSITION_MAX, JournalHead, UnknownJournal
from hub.ledger.lineage import follows
from hub.ledger.reader import LedgerReader
from security.record import CarriedRecord, MalformedRecord, Record, parse_record, signature_holds
from security.suites import Verifier

DEPTH_MAX = 32  # a machine that was replaced again before it could deliver carries what it carried


class CarriedRefused(ValueError):
    """What was carried is not a record of the journal that it names, or not by one that may."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A record out of others, signed by the key of its own journal. `in_hole`: it is what was given up there as lost."""

    record: Record
    carried: CarriedRecord
    in_hole: bool


def unpacked(ledger: LedgerReader, journal: UUID, carried: CarriedRecord) -> Unpacked | None:
    """What a journal carries; None when the record's own journal holds it already. Raises CarriedRefused, MalformedRecord."""
    for _ in range(DEPTH_MAX):
        record = parse_record(carried.payload)
        head = _origin(ledger, journal, record)
        _check_signature(head, record, carried)
        if _is_held(ledger, record, carried):
            return None
        if not isinstance(record.content, CarriedRecord):
            return Unpacked(record, carried, ledger.lost_digest(head, record.position) == carried.digest)
        journal, carried = record.journal, record.content
    raise CarriedRefused(f"a record is carried within more than {DEPTH_MAX} others")


def may_carry(ledger: LedgerReader, journal: UUID, of: UUID) -> bool:
    """Whether a journal may carry records of another one. A signature alone is not enough: whoever has a stolen key could
    write on in a journal that has ended, through any machine.

    The hub's own may, with what a person let it import; and those that follow the other one, each let in by a person.
    """
    return journal != of and (follows(ledger, journal, of) or follows(ledger, journal, ledger.own_journal()))


def _origin(ledger: LedgerReader, carrier: UUID, record: Record) -> JournalHead:
    if not 0 < record.position <= POSITION_MAX:
        raise MalformedRecord("the carried record is at a position that no journal reaches")
    try:
        head = ledger.journal(record.journal)
    except UnknownJournal as error:
        raise CarriedRefused(f"a record of journal {record.journal} was carried here, which was never registered") from error
    if not may_carry(ledger, carrier, head.journal):
        raise CarriedRefused(f"a record of journal {head.journal} was carried by journal {carrier}, which does not follow it: is "
                             f"the record key of machine {head.edge} in other hands? Look at both machines")
    return head


def _check_signature(head: JournalHead, record: Record, carried: CarriedRecord) -> None:
    verifier = Verifier(head.suite, head.public_key)
    if record.edge != head.edge or carried.key_id != verifier.key_id:
        raise MalformedRecord("the carried record names another machine or key than its journal")
    if not signature_holds(verifier, carried.signature, carried.digest):
        raise CarriedRefused(f"the record at position {record.position} of journal {head.journal} was carried with a "
                             "signature that does not hold")


def _is_held(ledger: LedgerReader, record: Record, carried: CarriedRecord) -> bool:
    held = ledger.entry(record.journal, record.position)
    return held is not None and held.digest == carried.digest
