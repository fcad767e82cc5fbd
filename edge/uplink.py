"""Journal to hub: begin where the hub says it stands, keep a bounded window in flight, believe acknowledgements only.

The far side's position is the truth; on any error both sides forget and start again from its hello (invariant 2).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from edge.doubt import CONFIRM_RETRY_S, Doubt
from edge.drafts import CorruptJournal
from edge.journal import Journal
from edge.journal_store import Standing
from edge.line import HubRefused, Line, LineLost
from edge.pace import Pace
from edge.receipt_book import ReceiptBook
from edge.right_of_way import RightOfWay
from edge.wire import (
    Down,
    HubEpoch,
    HubReceipt,
    HubRefusal,
    HubStanding,
    MalformedReply,
    Reason,
    Up,
    decode,
    encode_batch,
    encode_missing,
    encode_open,
)
from security.clock import Clock
from security.statements import ForgedStatement
from security.suites import Verifier

BATCH_MAX_RECORDS = 2_000
BATCH_MAX_BYTES = 1024 * 1024
BEHIND_MAX_BYTES = 16 * 1024  # of a batch that goes behind another journal's records
SILENCE_MAX_S = 15.0
MISSING_STEP = 20_000
INSTANCE_BYTES = 16
HOLE_RETRY_S = 30.0
DISPUTE_RETRY_S = 1_200.0  # each try takes the line from the machine that this one may be a copy of

Replicate = Callable[[AsyncIterator[Up]], AsyncGenerator[Down, None]]

log = structlog.get_logger()


class Uplink:
    """One journal's way up. `replicate` is the stub's method, or a stand-in of the same shape; `way` is asked where another
    journal has the line first.
    """

    def __init__(self, journal: Journal, receipts: ReceiptBook, replicate: Replicate, line: Line, time_verifier: Verifier,
                 clock: Clock, doubt: Doubt | None = None, way: RightOfWay | None = None) -> None:
        self._doubt = doubt or Doubt()
        self._way = way
        self._receipts = receipts
        self._journal = journal
        self._replicate = replicate
        self._line = line
        self._time_verifier = time_verifier
        self._clock = clock
        self._pace = Pace(1, BEHIND_MAX_BYTES) if way else Pace()
        self._instance = os.urandom(INSTANCE_BYTES)

    async def run(self) -> None:
        await self._line.keep(self.session)

    async def session(self) -> None:
        """One stream, until the hub ends it. Raises LineLost, HubRefused."""
        self._pace.begin()
        session = _Session(self._journal, self._receipts, self._pace, self._clock, self._instance, self._way)
        async with aclosing(self._replicate(session.requests())) as replies:
            try:
                while (message := await _next(replies, session)) is not None:
                    await self._take(session, message)
                session.check()
            except MalformedReply as error:
                raise HubRefused(f"{error}; is the hub of the same version?") from error
            except CorruptJournal as error:
                self._journal.stop(str(error))
                raise HubRefused(str(error)) from error
            except sqlite3.Error as error:
                raise LineLost(f"the journal cannot be read now ({error}); look after this machine's disk") from error
            finally:
                session.end()

    async def _take(self, session: _Session, message: Down) -> None:
        match decode(message):
            case HubRefusal(reason, position, hint):
                await self._refused(reason, position, hint)
            case HubReceipt() | HubEpoch() as proof:
                if not (self._journal.stopped or self._doubt.open):  # of another history they prove nothing here
                    await self._receipts.take(proof)
            case HubStanding() as word:
                if not await self._same_history(word):
                    session.dispute(word.position)
                    return
                try:
                    hub_ms = word.time.check(self._time_verifier)
                except ForgedStatement as error:
                    raise HubRefused(str(error)) from error
                await self._journal.take_standing(Standing(word.position, word.backed_up, hub_ms))
                self._doubt.settle()
                self._line.connected()
                session.stands(word.position)

    async def _same_history(self, word: HubStanding) -> bool:
        """False: the hub is to hear of it, so that it notes the fork. Raises HubRefused when there is nothing to tell."""
        ours = await self._journal.digest_at(word.position)
        if ours != word.digest:
            reason = f"the hub holds another history of this journal at position {word.position}: a cloned or restored disk"
            retry_s = self._doubted(reason)
            if word.hello and ours is not None and self._journal.head.position:
                return False
            raise HubRefused(f"{reason}; keep this machine as it is and call the city's IT desk", retry_s)
        if word.hello and word.position < self._journal.standing.position:
            log.warning("the hub went back", held=word.position, before=self._journal.standing.position,
                        next="what it lacks is sent again; it was restored from a backup")
        return True

    def _doubted(self, reason: str) -> float:
        """End the journal once the hub means it. Returns after how many seconds to ask again."""
        if not self._doubt.confirmed(asyncio.get_running_loop().time()):
            log.warning("the hub doubts our history", reason=reason, next="it is asked again before the journal ends")
            return CONFIRM_RETRY_S
        if not self._journal.stopped:
            self._journal.stop(reason)
        return DISPUTE_RETRY_S

    async def _refused(self, reason: Reason, position: int, hint: str) -> None:
        """Raises LineLost, HubRefused; CorruptJournal when our own record there is not what was signed."""
        log.warning("hub refused", reason=reason.name, position=position, hint=hint)
        match reason:
            case Reason.GAP | Reason.UNAVAILABLE:
                raise LineLost(f"{reason.name}: {hint}")
            case Reason.HOLE:
                raise HubRefused(f"{reason.name}: {hint}", HOLE_RETRY_S)
            case Reason.FORKED | Reason.RESTORED | Reason.CLOSED:
                text = f"{reason.name}: {hint}"
                raise HubRefused(text, self._doubted(text))
            case Reason.BROKEN_SIGNATURE | Reason.MALFORMED if damage := await self._journal.damage_at(position):
                raise CorruptJournal(damage)  # for ever: whoever carries it over signs the same content again
        raise HubRefused(f"{reason.name}: {hint}")


async def _next(replies: AsyncGenerator[Down, None], session: _Session) -> Down | None:
    """The next message; None at the end of the stream. Raises LineLost when the hub owes an answer too long."""
    receiving = asyncio.ensure_future(anext(replies, None))
    try:
        while not receiving.done():
            await asyncio.wait([receiving], timeout=SILENCE_MAX_S)
            if not receiving.done() and session.owed_for_s() > SILENCE_MAX_S:
                session.check()
                raise LineLost("the hub does not answer; check the line, and the hub")
        return receiving.result()
    finally:
        if not receiving.done():
            receiving.cancel()
            await asyncio.wait([receiving])  # a generator in the middle of a step cannot be closed


@dataclass(frozen=True, slots=True)
class _Flying:
    """A batch that is not acknowledged yet."""

    last: int
    size_bytes: int
    sent_s: float
    full: bool


class _Session:
    """The sending half of one stream: what is in flight, and where the next batch begins."""

    def __init__(self, journal: Journal, receipts: ReceiptBook, pace: Pace, clock: Clock, instance: bytes,
                 way: RightOfWay | None) -> None:
        self._instance = instance
        self._way = way
        self._journal = journal
        self._receipts = receipts
        self._clock = clock
        self._pace = pace
        self._loop = asyncio.get_running_loop()
        self._hello: asyncio.Future[int] = self._loop.create_future()
        self._in_flight: deque[_Flying] = deque()
        self._owed_since: float | None = self._loop.time()
        self._held = 0
        self._acknowledged = asyncio.Event()
        self._failed: Exception | None = None

    def owed_for_s(self) -> float:
        """For how long the hub has owed a hello, an acknowledgement or an end; 0 when it owes nothing."""
        return 0.0 if self._owed_since is None else self._loop.time() - self._owed_since

    def dispute(self, position: int) -> None:
        """Send what the hub cannot accept at that position, so that it notes the fork for the people who must act."""
        if not self._hello.done():
            self._hello.set_result(min(position, self._journal.head.position - 1))

    def stands(self, position: int) -> None:
        self._held = position
        if not self._hello.done():
            self._hello.set_result(position)
        while self._in_flight and self._in_flight[0].last <= position:
            flown = self._in_flight.popleft()
            self._pace.answered(flown.sent_s, self._loop.time(), full=flown.full)
        self._owed_since = self._loop.time() if self._in_flight or self._failed else None
        self._acknowledged.set()

    def check(self) -> None:
        """Raise what ended the sending half."""
        if self._failed is not None:
            raise self._failed

    def end(self) -> None:
        self._hello.cancel()

    async def requests(self) -> AsyncIterator[Up]:
        """What the stream sends. gRPC drops an error of its request iterator, so it ends the stream and `check` raises it."""
        try:
            async with aclosing(self._messages()) as messages:
                async for message in messages:
                    yield message
        except Exception as error:  # noqa: BLE001 - raised by check
            self._failed = error
            self._owed_since = self._owed_since or self._loop.time()  # the hub owes the end of the stream

    async def _messages(self) -> AsyncGenerator[Up, None]:
        checkpoint = await self._receipts.opening()
        yield encode_open(self._journal.identity.genesis.journal, self._journal.head.position, self._clock.unix_ms(),
                          checkpoint, self._instance)
        position = await self._hello
        if await self._journal.digest_at(position) is None:
            return  # the hub holds more than we have; _same_history says so
        pruned_to = await self._journal.pruned_to()
        if position < pruned_to:
            async for message in self._missing(position, pruned_to):
                yield message
            position = pruned_to
            while self._held < pruned_to:  # once somebody has approved it
                self._acknowledged.clear()
                await self._acknowledged.wait()
        while True:
            await self._until_free()
            appended = self._journal.appended()
            run = await self._journal.after(position, BATCH_MAX_RECORDS, min(self._pace.batch_bytes, BATCH_MAX_BYTES))
            if not run:
                await appended.wait()
                continue
            position = run.last
            full = self._flying_bytes() + run.size_bytes >= self._pace.window_bytes or (
                self._way is not None and position < self._journal.head.position)
            self._in_flight.append(_Flying(position, run.size_bytes, self._loop.time(), full))
            self._owed_since = self._owed_since or self._loop.time()
            yield encode_batch(run, self._journal.key_id, self._journal.head.position)
            while self._flying_bytes() >= self._pace.window_bytes:
                self._acknowledged.clear()
                await self._acknowledged.wait()

    async def _until_free(self) -> None:
        if self._way is None:
            return
        while self._in_flight:
            self._acknowledged.clear()
            await self._acknowledged.wait()
        await self._way.free()

    async def _missing(self, held: int, pruned_to: int) -> AsyncIterator[Up]:
        """All that is known of what the hub lost and this machine no longer has, and the key of what comes behind it."""
        shown = await self._receipts.shown_for(pruned_to)
        key = await self._journal.key_behind(pruned_to)
        for first in range(held + 1, pruned_to + 1, MISSING_STEP):
            last = min(first + MISSING_STEP - 1, pruned_to)
            yield encode_missing(first, await self._journal.known_of(first, last), shown, more=last < pruned_to,
                                 data_key=key[1:] if key and first <= key[0] <= last else None)

    def _flying_bytes(self) -> int:
        return sum(one.size_bytes for one in self._in_flight)
