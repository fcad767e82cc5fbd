"""One `Replicate` stream at the hub: say where we stand, check, append, acknowledge at commit.

Knows records of known edges, nothing of what they mean: whether a record makes sense is for the projections.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
import structlog

from hub.attention.alarms import Alarms
from hub.ledger.append_rule import Accept, Closed, Fork, Gap, Head
from hub.ledger.batch_check import Broken, check_batch
from hub.ledger.holes import REJOIN, HoleDesk, HoleRefused, MissingRecords
from hub.ledger.instances import Instances
from hub.ledger.journal_head import JournalHead
from hub.ledger.metrics import IngestMetrics
from hub.ledger.reader import read_journal
from hub.ledger.receipt_giver import ReceiptGiver
from hub.ledger.runs import Arrival
from hub.ledger.store import Appended, Ledger
from hub.ledger.wire import (
    Delivery,
    Down,
    MalformedMessage,
    MissingPart,
    Opening,
    Reason,
    Up,
    decode,
    encode_refusal,
    encode_standing,
)
from hub.ledger.writer import MARKS_POLL_S, LedgerUnavailable, LedgerWriter
from security.chain import leaf_hashes
from security.clock import Clock
from security.run import Run
from security.signer import Signer
from security.statements import SignedTime
from security.suites import Verifier

OPEN_TIMEOUT_S = 10.0
SIGNED_TIME_LIFE_MS = 100  # one signature serves all acknowledgements of so long
IN_FLIGHT_MAX_BATCHES = 8
BEGINS_ANEW = ("the machine begins anew by itself within half a minute, and waits under suozhan-hub approvals; if it does not, "
               "run on it: suozhan-edge rejoin")
PASSING = {Reason.UNAVAILABLE, Reason.SUPERSEDED}  # the journal's next stream works, or works already

ALARMING = {Reason.FORKED: "journal-forked", Reason.RESTORED: "journal-restored", Reason.BROKEN_SIGNATURE: "broken-signature"}

Send = Callable[[Down], Awaitable[None]]

log = structlog.get_logger()


class Refused(Exception):
    """Ends the stream with a word that the edge can act on."""

    def __init__(self, reason: Reason, position: int, hint: str) -> None:
        super().__init__(hint)
        self.reason = reason
        self.position = position
        self.hint = hint


class _Session:
    """One stream's state: what it may still say, and what waits for its commit."""

    def __init__(self, journal: JournalHead, edge_head: int, send: Send) -> None:
        self.journal = journal
        self.edge_head = edge_head
        self.verifier = Verifier(journal.suite, journal.public_key)
        self.send = send
        self.superseded = asyncio.Event()
        self.sending = asyncio.Lock()
        # Bounded: a slow disk stops the reading, gRPC's flow control then stops the edge.
        self.waiting: asyncio.Queue[asyncio.Future[Appended] | Refused | None] = asyncio.Queue(IN_FLIGHT_MAX_BATCHES)
        self.position, self.digest, self.backed_up = journal.position, journal.digest, journal.backed_up
        self.missing = MissingRecords()
        self.news = asyncio.Event()

    def learn(self, position: int, digest: bytes, backed_up: int) -> None:
        """Where the journal stands now; said cumulatively, so that one word may answer several batches."""
        if position >= self.position:
            self.position, self.digest = position, digest
        self.backed_up = max(self.backed_up, backed_up)
        self.news.set()


class Ingest:
    """Takes records of enrolled edges into the ledger."""

    def __init__(self, path: Path, writer: LedgerWriter, clock: Clock, time_signer: Signer, metrics: IngestMetrics,
                 receipts: ReceiptGiver, holes: HoleDesk, alarms: Alarms) -> None:
        self._alarms = alarms
        self._instances = Instances()
        self._receipts = receipts
        self._holes = holes
        self._path = path
        self._writer = writer
        self._clock = clock
        self._time_signer = time_signer
        self._metrics = metrics
        self._sessions: dict[UUID, _Session] = {}
        self._time: SignedTime | None = None
        # What is noted for people may wait for somebody's lock, and must keep nobody else waiting: a thread of its own.
        self._notes = ThreadPoolExecutor(1, "ingest-notes")

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
            journal = await asyncio.to_thread(read_journal, self._path, opening.journal)
        except sqlite3.Error as error:
            raise Refused(Reason.UNAVAILABLE, 0, f"the ledger cannot be read: {error}; try again later") from error
        if journal is None or journal.edge != edge:
            raise Refused(Reason.UNKNOWN_JOURNAL, 0, "this journal is not registered for this machine, as after a restore from "
                          f"an older backup; ask for: suozhan-hub invite SITE --replaces {edge}, and run on it: suozhan-edge "
                          "rejoin TOKEN --reason TEXT")
        if journal.closed:
            raise Refused(Reason.CLOSED, journal.position, f"this journal has ended ({journal.closed}); {BEGINS_ANEW}")
        if opening.position < journal.position:
            hint = (f"the machine's journal ends at {opening.position}, the hub holds {journal.position}: "
                    f"it was restored from a backup, or its disk is a copy; {BEGINS_ANEW}")
            raise Refused(Reason.RESTORED, journal.position, hint)
        if self._instances.comes_back(journal.journal, opening.instance):
            await self._alarm("clone", edge, f"two machines take turns with the identity {edge}: a copied disk, or a backup that "
                              "runs beside its original. Find both, and run on the one that is no original, or on both: "
                              "suozhan-edge rejoin")
        session = _Session(journal, opening.position, send)
        older = self._sessions.get(journal.journal)
        self._sessions[journal.journal] = session
        if older is not None:
            log.error("two sessions with one identity, the newest wins", edge=str(edge), journal=str(journal.journal))
            older.superseded.set()
        try:
            skew_ms = opening.unix_ms - self._clock.unix_ms() if opening.unix_ms else None
            await self._say(session, hello=True)
            await self._note(lambda ledger: ledger.open_session(opening.journal, edge, opening.position, skew_ms))
            await self._work(session, opening, incoming)
        finally:
            if self._sessions.get(journal.journal) is session:
                del self._sessions[journal.journal]

    async def _work(self, session: _Session, opening: Opening, incoming: AsyncIterator[Up]) -> None:
        async def give(message: Down) -> None:
            async with session.sending:
                await session.send(message)

        async with asyncio.TaskGroup() as tasks:
            watchers = [tasks.create_task(watching) for watching in (
                _until_superseded(session), self._follow_marks(session), self._tell_news(session),
                self._receipts.follow(session.journal, opening, give))]
            acknowledging = tasks.create_task(self._acknowledge(session))
            await self._read(session, incoming)
            await session.waiting.put(None)
            await acknowledging
            await self._say(session)
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
        checked = await asyncio.to_thread(_check, session, message, self._clock.unix_ms())
        if isinstance(checked, MissingPart):
            await self._take_missing(session, checked)
            return None
        arrival, broken = checked
        if arrival is not None:
            await session.waiting.put(await self._writer.append(arrival))
        return broken

    async def _take_missing(self, session: _Session, part: MissingPart) -> None:
        if not session.missing.has_room_for(part) and not await self._settle_hole(session):
            return
        session.missing.add(part)
        if not part.more:
            await self._settle_hole(session)

    async def _settle_hole(self, session: _Session) -> bool:
        """Whether the journal goes on behind what is missing by now; if not, the stream ends."""
        hole, receipt, data_key = session.missing.take(Head(session.position, session.digest), session.edge_head)
        try:
            approval = await asyncio.to_thread(self._holes.settle, session.journal, hole, receipt, data_key)
        except HoleRefused as error:
            await session.waiting.put(Refused(Reason.HOLE, hole.first, f"positions {hole.first} to {hole.last}: {error}"))
            return False
        except (sqlite3.Error, sa.exc.DBAPIError) as error:
            reason = str(error).splitlines()[0]
            await session.waiting.put(Refused(Reason.UNAVAILABLE, 0, f"the ledger could not commit: {reason}; try again"))
            return False
        if approval.state == "approved":
            session.learn(hole.last, hole.digests[-1], session.backed_up)
            return True
        decision = (f"waits for a decision at the hub (suozhan-hub approvals approve {approval.id})"
                    if approval.state == "waiting" else f"was refused at the hub; {REJOIN}")
        await session.waiting.put(Refused(
            Reason.HOLE, hole.first, f"positions {hole.first} to {hole.last} are lost at the hub and pruned here; request "
            f"{approval.id} {decision}"))
        return False

    async def _acknowledge(self, session: _Session) -> None:
        while (item := await session.waiting.get()) is not None:
            try:
                appended = await self._outcome(item)
            except Refused:
                await self._say(session)  # what was committed before it
                raise
            session.learn(appended.head.position, appended.head.digest, appended.backed_up)

    async def _outcome(self, item: asyncio.Future[Appended] | Refused) -> Appended:
        """Of one batch, after its commit. Raises Refused."""
        if isinstance(item, Refused):
            raise item
        with self._metrics.commit_seconds.time():
            try:
                appended = await item
            except LedgerUnavailable as error:
                raise Refused(Reason.UNAVAILABLE, 0, f"{error}; keep the records and try again") from error
        match appended.verdict:
            case Gap(wanted):
                raise Refused(Reason.GAP, wanted, f"records are missing before these; begin again at {wanted}")
            case Fork(position):
                raise Refused(Reason.FORKED, position, "this journal has another history than the hub's: a cloned "
                              f"disk or a restored backup; keep it. {BEGINS_ANEW[0].upper()}{BEGINS_ANEW[1:]}")
            case Closed(reason):
                raise Refused(Reason.CLOSED, 0, f"this journal has ended ({reason}); {BEGINS_ANEW}")
            case Accept(skip):
                self._metrics.repeats.inc(skip)
        return appended

    async def _follow_marks(self, session: _Session) -> None:
        while True:
            changed = self._writer.marks_changed()
            try:
                journal = await asyncio.to_thread(read_journal, self._path, session.journal.journal)
            except sqlite3.Error:  # told by the writer, which looks at the same rows
                await asyncio.sleep(MARKS_POLL_S)
                continue
            if journal is not None and journal.backed_up > session.backed_up:
                session.learn(journal.position, journal.digest, journal.backed_up)
            await changed.wait()

    async def _tell_news(self, session: _Session) -> None:
        while True:
            await session.news.wait()
            await self._say(session)

    async def _say(self, session: _Session, *, hello: bool = False) -> None:
        """Send where the journal stands, if that is news."""
        async with session.sending:
            if hello or session.news.is_set():
                session.news.clear()
                await session.send(encode_standing(session.position, session.digest, session.backed_up, self._signed_time(),
                                                   hello=hello))

    def _signed_time(self) -> SignedTime:
        now = self._clock.unix_ms()
        if self._time is None or not 0 <= now - self._time.unix_ms < SIGNED_TIME_LIFE_MS:
            self._time = SignedTime.sign(self._time_signer, now)
        return self._time

    async def _alarm(self, kind: str, edge: UUID, text: str) -> None:
        """Trouble with the database keeps no stream waiting; what is alarming goes on, and is told again."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._notes, self._alarms.raise_alarm, kind, f"edge {edge}", text)
        except (sqlite3.Error, sa.exc.DBAPIError) as error:
            log.warning("the alarm is not in the database", kind=kind, error=str(error).splitlines()[0])

    async def _refuse(self, edge: UUID, journal: UUID | None, refusal: Refused, send: Send) -> None:
        self._metrics.refusals.labels(refusal.reason.name.lower()).inc()
        log.warning("stream refused", edge=str(edge), journal=str(journal), reason=refusal.reason.name,
                    position=refusal.position, hint=refusal.hint)
        if journal is not None and refusal.reason not in PASSING:
            text = f"{refusal.reason.name}: {refusal.hint}"
            if refusal.reason in ALARMING:
                where = f"journal {journal}, position {refusal.position}"
                await self._alarm(ALARMING[refusal.reason], edge, f"{where}: {refusal.hint}")
            await self._note(lambda ledger: ledger.note_refusal(journal, edge, text))
        await send(encode_refusal(refusal.reason, refusal.position, refusal.hint))

    async def _note(self, write: Callable[[Ledger], None]) -> None:
        """One after the other, so that a stream's end is noted behind its beginning."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._notes, self._write, write)
        except sqlite3.Error as error:
            log.warning("not noted in the ledger's journals, only here", error=str(error))

    def _write(self, write: Callable[[Ledger], None]) -> None:
        with Ledger(self._path) as ledger:
            write(ledger)


def _check(session: _Session, message: Up, now_ms: int) -> tuple[Arrival | None, Broken | None] | MissingPart:
    """The good beginning of a message, and what ended it. Raises MalformedMessage."""
    delivery = decode(message)
    if isinstance(delivery, MissingPart):
        return delivery
    if not isinstance(delivery, Delivery):
        return None, None  # Open, said twice; we have answered it
    batch, journal = delivery.run, session.journal
    checked = check_batch(batch, session.verifier, journal.edge, journal.journal)
    good = len(checked.digests)
    if not good:
        return None, checked.broken
    signatures = batch.signatures[:good]
    leaves = leaf_hashes(session.verifier.key_id, journal.journal.bytes, batch.first, checked.digests, signatures, now_ms)
    run = Run(batch.first, batch.previous, batch.payloads[:good], signatures)
    return Arrival(journal.journal, run, checked.digests, leaves, now_ms, delivery.edge_head), checked.broken


async def _until_superseded(session: _Session) -> None:
    await session.superseded.wait()
    raise Refused(Reason.SUPERSEDED, 0, "another session of this machine took over; is its disk or key copied?")


def _first(group: BaseExceptionGroup[Refused]) -> Refused:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
