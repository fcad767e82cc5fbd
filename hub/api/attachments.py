"""A record's attachments, opened. Who reads one is a record of the hub's own journal, before anything of it is given out."""

from __future__ import annotations

import asyncio
from uuid import UUID

import sqlalchemy as sa
import structlog
from fastapi import Depends, FastAPI, Response

from hub.api.app import guard
from hub.api.errors import ApiError
from hub.api.messages import AttachmentAnswer
from hub.api.tokens import Scope
from hub.attachments.reading import AttachmentReader, NamedPlace, NoAttachment, NotArrived, SeveralRecords, described
from hub.ledger.carried import CarriedRefused
from hub.ledger.own_journal import OwnJournal
from hub.projection.view import MeaninglessBody
from security.clock import Clock
from security.record import MalformedRecord
from security.sealing import SealBroken

KIND = "attachment.read"
AT_ONCE_MAX = 4  # each is whole in memory, twice

log = structlog.get_logger()


def add_attachments(app: FastAPI, engine: sa.Engine, clock: Clock, reader: AttachmentReader, own_journal: OwnJournal) -> None:
    at_once = asyncio.Semaphore(AT_ONCE_MAX)
    needed = Depends(guard(engine, clock, Scope.ATTACHMENTS))

    @app.get("/v1/attachments/{record}")
    async def names(record: UUID, journal: UUID | None = None, _token: str = needed) -> list[AttachmentAnswer]:
        """What a record names, and what of it has arrived."""
        try:
            found = await asyncio.to_thread(reader.names, record, journal)
        except (NoAttachment, SeveralRecords) as error:
            raise _missing(error) from error
        return [AttachmentAnswer(**described(one)) for one in found]

    @app.get("/v1/attachments/{record}/{number}", response_class=Response)
    async def content(record: UUID, number: int, journal: UUID | None = None, token: str = needed) -> Response:
        """One, as it was scanned. That it was read, and by which token, stands in the ledger from then on."""
        try:
            async with at_once:
                place, named, data = await asyncio.to_thread(reader.read, record, number, journal)
        except (NoAttachment, SeveralRecords, NotArrived) as error:
            raise _missing(error) from error
        except (SealBroken, MalformedRecord, MeaninglessBody, CarriedRefused) as error:
            log.warning("damaged attachment", record=str(record), number=number, error=str(error))
            raise ApiError(500, "damaged-attachment", f"{error}; at the hub, run: suozhan-hub verify") from error
        await asyncio.to_thread(own_journal.note, KIND, _access(record, place, token))
        return Response(data, media_type=named.media_type, headers={
            "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"})


def _access(record: UUID, place: NamedPlace, token: str) -> dict[str, object]:
    return {"record": str(record), "journal": place.journal, "position": place.position, "number": place.number, "token": token}


def _missing(error: LookupError) -> ApiError:
    match error:
        case NotArrived():
            return ApiError(404, "not-arrived", "its machine has not delivered this attachment yet: scans come behind all "
                                                "records; ask again later")
        case SeveralRecords():
            return ApiError(409, "several-records", f"{error}; say which one with journal=")
    return ApiError(404, "no-attachment", "no record that the hub can read names such an attachment")
