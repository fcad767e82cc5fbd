"""One `Replicate` stream at the hub: say where we stand, check, append, acknowledge at commit.

Knows records of known edges, nothing of what they mean: whether a record makes sense is for the projections.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import structlog

from hub.ledger.append_rule import Accept, Fork, Gap
from hub.ledger.batch_check import Broken, ReceivedBatch, check_batch
from hub.ledger.metrics import IngestMetrics
from hub.ledger.store import Appended, JournalHead, Ledger, Run, open_journal, read_journal
from hub.ledger.wire import Down, MalformedMessage, Opening, Reason, Up, decode, encode_refusal, encode_standing
from hub.ledger.writer import LedgerUnavailable, LedgerWriter
from security.clock import Clock
from security.signer import Signer
from security.statements import SignedTime
from security.suites import Verifier

OPEN_TIMEOUT_S = 10.0
IN_FLIGHT_MAX_BATCHES = 8

Send = Callable[[Down], Awaitable[None]]

log = structlog.get_logger()


class Refused(Exception):
    """Ends the stream with a word that the edge can act on."""

    def __init__(self, reason: Reason, position: int, hint: str) -> None:
        super().__init__(hint)
        self.reason = reason
        self.position = position
        self.hint = hint


@dataclass(frozen=True)
class _Session:
    journal: JournalHead
    verifier: Verifier
    send: Send
    superseded: asyncio.Event = field(default_factory=asyncio.Event)
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    # Bounded: a slow disk stops the reading, gRPC's flow control then stops the edge.
    waiting: asyncio.Queue[asyncio.Future[Appended] | Refused | None] = field(
        default_factory=lambda: asyncio.Queue(IN_FLIGHT_MAX_BATCHES)
    )


class Ingest:
    """Takes records of enrolled edges into the ledger."""

    def __init__(self, path: Path, writer: LedgerWriter, clock: Clock, time_signer: Signer,
                 metrics: IngestMetrics) -> None:
        self._path = path
        self._writer = writer
        self._clock = clock
        self._time_signer = time_signer
        self._metrics = metrics
        self._sessions: dict[UUID, _Session] = {}

    async def serve(self, edge: UUID, incoming: AsyncIterator[Up], send: Send) -> None:
        """Until the edge ends the stream, or the hub refuses it with its last message."""
        journal: UUID | None = None
        with self._metrics.streams.track_inprogress():
            try:
                opening = await self._opening(incoming)
                journal = opening.journal
                await self._session(edge, opening, incoming, send)
            except* Refused as group:
                refusal = _first(group)
                await self._refuse(edge, journal, refusal, send)

    async def _opening(self, incoming: AsyncIterator[Up]) -> Opening:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                message = decode(await anext(incoming))
        except (MalformedMessage, StopAsyncIteration, TimeoutError) as error:
            raise Refused(Reason.MALFORMED, 0, f"the stream must begin with an Open message ({error})") from error
        if not isinstance(message, Opening):
            raise Refused(Reason.MALFORMED, 0, "the stream must begin with an Open message")
        return message

    async def _session(self, edge: UUID, opening: Opening, incoming: AsyncIterator[Up], send: Send) -> None:
        try:
            journal = await asyncio.to_thread(open_journal, self._path, opening.journal, edge, opening.position)
        except sqlite3.Error as error:
            raise Refused(Reason.UNAVAILABLE, 0, f"the ledger cannot be written: {error}; try again later") from error
        if journal is None or journal.edge != edge:
            raise Refused(Reason.UNKNOWN_JOURNAL, 0, "this journal is not registered for this machine; enrol it again")
        if opening.position < journal.position:
            hint = (f"the machine's journal ends at {opening.position}, the hub holds {journal.position}: "
                    "it was restored from a backup; give it a new journal")
            raise Refused(Reason.RESTORED, journal.position, hint)
        session = _Session(journal, Verifier(journal.suite, journal.public_key), send)
        older = self._sessions.get(journal.journal)
        self._sessions[journal.journal] = session
        if older is not None:
            log.error("two sessions with one identity, the newest wins", edge=str(edge), journal=str(journal.journal))
            older.superseded.set()
        try:
            await self._say(session, journal.position, journal.digest, journal.backed_up, hello=True)
            await self._work(session, incoming)
        finally:
            if self._sessions.get(journal.journal) is session:
                del self._sessions[journal.journal]

    async def _work(self, session: _Session, incoming: AsyncIterator[Up]) -> None:
        async with asyncio.TaskGroup() as tasks:
            watchers = (tasks.create_task(_until_superseded(session)), tasks.create_task(self._tell_marks(session)))
            acknowledging = tasks.create_task(self._acknowledge(session))
            await self._read(session, incoming)
            await session.waiting.put(None)
            await acknowledging
            for watcher in watchers:
                watcher.cancel()

    async def _read(self, session: _Session, incoming: AsyncIterator[Up]) -> None:
        async for message in incoming:
            self._metrics.batches.inc()
            try:
                broken = await self._take(session, message)
            except MalformedMessage as error:
                await session.waiting.put(Refused(Reason.MALFORMED, 0, str(error)))
                return
            if broken is not None:
                reason = Reason.MALFORMED if broken.malformed else Reason.BROKEN_SIGNATURE
                hint = f"position {broken.position}: {broken.reason}; keep the machine's journal and call the city's IT desk"
                await session.waiting.put(Refused(reason, broken.position, hint))
                return

    async def _take(self, session: _Session, message: Up) -> Broken | None:
        run, broken = await asyncio.to_thread(_check, session, message, self._clock.unix_ms())
        if run is not None:
            await session.waiting.put(await self._writer.append(run))
        return broken

    async def _acknowledge(self, session: _Session) -> None:
        while (item := await session.waiting.get()) is not None:
            if isinstance(item, Refused):
                raise item
            with self._metrics.commit_seconds.time():
                try:
                    result = await item
                except LedgerUnavailable as error:
                    raise Refused(Reason.UNAVAILABLE, 0, f"{error}; keep the records and try again") from error
            match result.verdict:
                case Gap(wanted):
                    raise Refused(Reason.GAP, wanted, f"records are missing before these; begin again at {wanted}")
                case Fork(position):
                    raise Refused(Reason.FORKED, position, "this journal has another history than the hub's: a cloned "
                                  "disk or a restored backup; keep it, and give the machine a new journal")
                case Accept(skip):
                    self._metrics.repeats.inc(skip)
            await self._say(session, result.head.position, result.head.digest, result.backed_up)

    async def _tell_marks(self, session: _Session) -> None:
        told = session.journal.backed_up
        while True:
            changed = self._writer.marks_changed()
            journal = await asyncio.to_thread(read_journal, self._path, session.journal.journal)
            if journal is not None and journal.backed_up != told:
                told = journal.backed_up
                await self._say(session, journal.position, journal.digest, journal.backed_up)
            await changed.wait()

    async def _say(self, session: _Session, position: int, digest: bytes, backed_up: int, *,
                   hello: bool = False) -> None:
        time = SignedTime.sign(self._time_signer, self._clock.unix_ms())
        async with session.sending:
            await session.send(encode_standing(position, digest, backed_up, time, hello=hello))

    async def _refuse(self, edge: UUID, journal: UUID | None, refusal: Refused, send: Send) -> None:
        self._metrics.refusals.labels(refusal.reason.name.lower()).inc()
        log.warning("stream refused", edge=str(edge), journal=str(journal), reason=refusal.reason.name,
                    position=refusal.position, hint=refusal.hint)
        if journal is not None and refusal.reason is not Reason.UNAVAILABLE:
            try:
                await asyncio.to_thread(self._note, journal, f"{refusal.reason.name}: {refusal.hint}")
            except sqlite3.Error as error:
                log.warning("the refusal could not be noted; it stands in this log only", error=str(error))
        await send(encode_refusal(refusal.reason, refusal.position, refusal.hint))

    def _note(self, journal: UUID, text: str) -> None:
        with Ledger(self._path) as ledger:
            ledger.note_refusal(journal, text)


def _check(session: _Session, message: Up, now_ms: int) -> tuple[Run | None, Broken | None]:
    """The good beginning of a message, and what ended it. Raises MalformedMessage."""
    batch = decode(message)
    if not isinstance(batch, ReceivedBatch):
        return None, None  # Open, said twice; we have answered it
    journal = session.journal
    checked = check_batch(batch, session.verifier, journal.edge, journal.journal, now_ms)
    run = Run(journal.journal, batch.first, batch.previous, checked.entries, now_ms)
    return (run if checked.entries else None), checked.broken


async def _until_superseded(session: _Session) -> None:
    await session.superseded.wait()
    raise Refused(Reason.SUPERSEDED, 0, "another session of this machine took over; is its disk or key copied?")


def _first(group: BaseExceptionGroup[Refused]) -> Refused:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
