"""Which attachments a record names, and what is in them: opened for who may read them, one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from hub.attachments.files import BlobFiles
from hub.attachments.tables import attachment_names, attachments
from hub.ledger.carried import unpacked
from hub.ledger.data_keys import DataKeys
from hub.ledger.reader import LedgerReader
from hub.transactions.body import NamedAttachment, parse_body
from security.attachment import open_attachment
from security.record import CarriedRecord, MalformedRecord, Record, SealedBody, WrappedKey, parse_record
from security.sealing import Unsealer


class NoAttachment(LookupError):
    """No record that the hub can read names one with that number."""


class SeveralRecords(LookupError):
    """Machines choose the ids of their records: journals that have one with this id."""

    def __init__(self, journals: list[str]) -> None:
        super().__init__(f"several journals have a record with this id: {', '.join(journals)}")


class NotArrived(LookupError):
    """A record names it, and its machine has not delivered it yet: scans come behind all records."""


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """The attachment with a number of a record, and when it arrived (None: not yet)."""

    number: int
    media_type: str
    size: int
    address: str
    cursor: int
    journal: str
    position: int
    arrived_ms: int | None


class AttachmentReader:
    """Synchronous; call it in a thread."""

    def __init__(self, engine: sa.Engine, database: Path, files: BlobFiles, unsealer: Unsealer) -> None:
        self._engine = engine
        self._database = database
        self._files = files
        self._unsealer = unsealer

    def names(self, record: UUID, journal: UUID | None) -> list[NamedPlace]:
        """In order. Raises NoAttachment, SeveralRecords."""
        columns = [attachment_names.c[name] for name in NamedPlace.__dataclass_fields__ if name != "arrived_ms"]
        query = sa.select(*columns, attachments.c.arrived_ms).select_from(attachment_names.outerjoin(
            attachments, attachments.c.address == attachment_names.c.address)).where(
            attachment_names.c.record == str(record)).order_by(attachment_names.c.cursor, attachment_names.c.number)
        if journal is not None:
            query = query.where(attachment_names.c.journal == str(journal))
        with self._engine.connect() as connection:
            found = [NamedPlace(**row) for row in connection.execute(query).mappings()]
        journals = list(dict.fromkeys(one.journal for one in found))
        if not found:
            raise NoAttachment
        if len(journals) > 1:
            raise SeveralRecords(journals)
        return found

    def read(self, record: UUID, number: int, journal: UUID | None) -> tuple[NamedPlace, NamedAttachment, bytes]:
        """What it is, and its content, whole. Raises NoAttachment, SeveralRecords, NotArrived, SealBroken, MalformedRecord,
        CarriedRefused, MeaninglessBody, Damaged, OSError, sa.exc.DBAPIError.
        """
        place = next((one for one in self.names(record, journal) if one.number == number), None)
        if place is None:
            raise NoAttachment
        try:
            sealed = self._files.path(bytes.fromhex(place.address)).read_bytes()
        except FileNotFoundError as error:
            raise NotArrived from error
        named = parse_body(self._body(place)).attachments[number - 1]
        return place, named, open_attachment(named.seal, sealed)

    def _body(self, place: NamedPlace) -> bytes:
        with LedgerReader(self._database) as ledger:
            record, key = self._record(ledger, place)
            if not isinstance(record.content, SealedBody):
                raise MalformedRecord("the record that named it is no sealed one any more")
            return DataKeys(self._unsealer).open(ledger, record, record.content, key)

    def _record(self, ledger: LedgerReader, place: NamedPlace) -> tuple[Record, WrappedKey | None]:
        """Where it was projected from; a carried one may stand in its own journal since."""
        [entry] = ledger.feed(place.cursor - 1, 1)
        record = parse_record(entry.payload)
        if not isinstance(record.content, CarriedRecord):
            return record, None
        if (inner := unpacked(ledger, record.journal, record.content)) is not None:
            return inner.record, inner.carried.data_key
        own = ledger.entry(UUID(place.journal), place.position)
        assert own is not None  # for that reason it is not unpacked
        return parse_record(own.payload), None


def described(place: NamedPlace) -> dict[str, Any]:
    """For a list: without what nobody needs who reads it."""
    return {"number": place.number, "media_type": place.media_type, "size": place.size, "arrived_ms": place.arrived_ms}
