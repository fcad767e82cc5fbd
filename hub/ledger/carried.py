"""Records that were carried over from a journal which could not deliver them: whose they are, and whether we hold them."""

from __future__ import annotations

from hub.ledger.store import Ledger, UnknownJournal
from security.record import CarriedRecord, MalformedRecord, Record, parse_record, signature_holds
from security.suites import Verifier

DEPTH_MAX = 32  # a machine that was replaced again before it could deliver carries what it carried


class CarriedRefused(ValueError):
    """What was carried is not a record of the journal that it names."""


def unpacked(ledger: Ledger, carried: CarriedRecord) -> tuple[Record, CarriedRecord] | None:
    """The record itself, signed by the key of its own journal; None when its own journal holds it already.

    Raises CarriedRefused, MalformedRecord.
    """
    for _ in range(DEPTH_MAX):
        record = _checked(ledger, carried)
        held = ledger.entry(record.journal, record.position)
        if held is not None and held.digest == carried.digest:
            return None
        if not isinstance(record.content, CarriedRecord):
            return record, carried
        carried = record.content
    raise CarriedRefused(f"a record is carried within more than {DEPTH_MAX} others")


def _checked(ledger: Ledger, carried: CarriedRecord) -> Record:
    record = parse_record(carried.payload)
    try:
        journal = ledger.journal(record.journal)
    except UnknownJournal as error:
        raise CarriedRefused(f"a record of journal {record.journal} was carried here, which was never registered") from error
    verifier = Verifier(journal.suite, journal.public_key)
    if record.edge != journal.edge or carried.key_id != verifier.key_id:
        raise MalformedRecord("the carried record names another machine or key than its journal")
    if not signature_holds(verifier, carried.signature, carried.digest):
        raise CarriedRefused(f"the record at position {record.position} of journal {journal.journal} was carried with a "
                             "signature that does not hold")
    return record
