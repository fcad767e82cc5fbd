"""A spine whose machine has scans: real attachments, uploader, desk and projection; stand-ins only for wire and clock."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from uuid import UUID

import sqlalchemy as sa

from edge.attachments.attached import Attached
from edge.attachments.attachments import Attachments
from edge.attachments.blob_folder import BlobFolder
from edge.attachments.room import AttachmentLimits
from edge.attachments.uploader import Records, Uploader
from edge.attachments.wire import Attach
from edge.drafts import Draft, record_id
from edge.journal import Journal
from edge.line import HubRefused, Line, LineLost
from hub.attachments.files import BlobFiles
from hub.attachments.inbox import Fate, Inbox, Part
from hub.attachments.reading import AttachmentReader
from hub.attachments.wire import AttachDesk
from hub.database import open_engine
from hub.enrolment.sites import add_site
from hub.enrolment.tables import edges
from hub.projection.projector import Projector
from hub.transactions.view import TransactionView
from tests.hub.transactions.test_projector import transaction
from tests.spine import CEILING_S, CutWire, Spine

MARK = b"%PDF-1.7 the resident's own papers "


def scan(size: int = 200_000) -> bytes:
    """A document that can be looked for on a disk."""
    return MARK + os.urandom(size - 2 * len(MARK)) + MARK


class NoRecords:
    """Of a machine that is alone with its attachments: all records are held, and every caller's id is one."""

    def __init__(self, *, held: bool = True, stored: bool = True, backups: int = 0) -> None:
        self.held, self.stored, self.backups = held, stored, backups

    def all_held(self) -> bool:
        return self.held

    def backed_up(self) -> object:
        return self.backups

    async def has(self, caller_id: str) -> bool:
        return self.stored


class ScanningSpine(Spine):
    """Machine and hub, both with their folders of attachments."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.engine = open_engine(self.hub_db)
        add_site(self.engine, "A01", "古魏镇服务所", "office", "")
        with self.engine.begin() as connection:
            connection.execute(edges.insert().values(edge=str(self.edge_id), site="A01", machine="窗口1", enrolled_ms=1))
        self.files = BlobFiles.beside(self.hub_db)
        self.blobs = folder / "machine-attachments"
        self.reserve_bytes = 0
        self.desk = AttachDesk(self)  # type: ignore[arg-type] # an inbox by what it does

    def attachments(self, quota_bytes: int = 10**9) -> Attachments:
        """As of one start of the agent; not yet open."""
        return Attachments(BlobFolder(self.blobs), self.clock, AttachmentLimits(quota_bytes, 0))

    def take(self, edge: UUID, part: Part) -> int:
        """Of an inbox, as the hub is now."""
        return self.inbox().take(edge, part)

    def fates(self, edge: UUID, addresses: Sequence[bytes]) -> list[Fate]:
        """Of an inbox, as the hub is now."""
        return self.inbox().fates(edge, addresses)

    def inbox(self) -> Inbox:
        return Inbox(self.engine, self.files, self.hub_db, self.clock, self.reserve_bytes)

    def wire(self, plan: dict[tuple[str, int], str] | None = None) -> CutWire:
        """A line to the hub."""
        return CutWire(self.desk, self.edge_id, plan)  # type: ignore[arg-type] # any desk with `serve`

    def uploader(self, attachments: Attachments, attach: Attach, records: Records, rate_bytes_s: int = 0) -> Uploader:
        line = Line("attach", self.clock, Random(1))
        return Uploader(attachments, attach, line, records, self.alarms, self.clock, rate_bytes_s)

    async def store(self, journal: Journal, attachments: Attachments, caller: str, *attached: Attached) -> None:
        """As the door does it."""
        await attachments.name(attached, caller)
        await journal.submit(Draft(caller, "transaction", naming(*attached)))

    async def upload(self, attachments: Attachments, wire: CutWire, records: Records | None = None) -> None:
        """Streams, one after the other, until the hub holds all; a broken line is tried again."""
        uploader = self.uploader(attachments, wire.replicate, records or NoRecords())
        async with asyncio.timeout(CEILING_S):
            while not all(self.files.holds(one) for one in attachments.waiting()):
                session = asyncio.create_task(uploader.session())
                while not session.done() and not all(self.files.holds(one) for one in attachments.waiting()):
                    await asyncio.wait([session], timeout=0.005)
                await end(session)
        self.inbox().fates(self.edge_id, attachments.waiting())  # whose row is not written yet is written by that

    def project(self) -> None:
        projector = Projector(self.engine, self.hub_db, self.unsealer(), [TransactionView(self.engine)])
        while projector.step():
            pass

    def reader(self) -> AttachmentReader:
        return AttachmentReader(self.engine, self.hub_db, self.files, self.unsealer())

    def rows(self, table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(table)).all())


def naming(*attached: Attached) -> bytes:
    """A transaction's body."""
    body = json.loads(transaction())
    body["attachments"] = [one.body() for one in attached]
    return json.dumps(body).encode()


async def end(session: asyncio.Task[None]) -> None:
    session.cancel()
    with suppress(LineLost, HubRefused, asyncio.CancelledError):
        await session


@asynccontextmanager
async def uploading(uploader: Uploader) -> AsyncIterator[asyncio.Task[None]]:
    """One session, beside what is done inside."""
    session = asyncio.create_task(uploader.session())
    try:
        yield session
    finally:
        await end(session)


def record_of(spine: Spine, caller: str) -> UUID:
    """Its id."""
    return record_id(spine.edge_id, caller)
