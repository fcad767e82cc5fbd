"""What one record says: its place, and whether its seal opens under a key that is used as keys are."""

from __future__ import annotations

from hub.audit.key_register import KeyRegister
from hub.ledger.carried import Unpacked, unpacked
from hub.ledger.data_keys import DataKeys
from hub.ledger.reader import LedgerReader
from hub.ledger.runs import Entry
from security.record import CarriedRecord, MalformedRecord, Record, SealedBody, WrappedKey, parse_record
from security.sealing import SealBroken


def judge_record(entry: Entry, ledger: LedgerReader, keys: DataKeys, register: KeyRegister) -> None:
    """Raises MalformedRecord, SealBroken, KeyReused, CarriedRefused, DamagedRow. Kinds that we do not know are none of it."""
    record = parse_record(entry.payload)
    if (record.edge, record.journal, record.position) != (entry.edge, entry.journal, entry.position):
        raise MalformedRecord("the record says twice where it stands, and not the same")
    match record.content:
        case CarriedRecord() as content:
            if (inner := unpacked(ledger, record.journal, content)) is not None:
                _judge_seal(inner.record, inner, ledger, keys, register)
        case _:
            _judge_seal(record, None, ledger, keys, register)


def _judge_seal(record: Record, within: Unpacked | None, ledger: LedgerReader, keys: DataKeys, register: KeyRegister) -> None:
    in_place = within is None or within.in_hole  # else another branch of its journal may have another key at that position
    match record.content:
        case WrappedKey() as wrapped:
            opened = keys.learn(record, wrapped) if in_place else keys.carried(record, wrapped)
            register.learn(record.journal, record.position, opened.secret)
        case SealedBody() as sealed:
            if not 0 < sealed.key_position < record.position:
                raise SealBroken(f"position {sealed.key_position}, named as the data key, is not before it")
            opened = keys.key(ledger, record, sealed, within.carried.data_key if within else None)
            opened.open(sealed, position=record.position, kind=record.kind)
            if within is None or not within.in_hole:  # what was found again comes behind those that came behind its hole
                register.use(record.journal, sealed.key_position, opened.secret, sealed.counter, carried=within is not None)
