"""The journal: durable before acknowledged, once, in order, sealed (invariants 1, 2, 3, 5, 7).

What is said goes through one writer (`journal_writer.py`); what may be forgotten, `retention.py` decides.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import structlog

from edge.drafts import (
    CallerIdConflict,
    CorruptJournal,
    Draft,
    ForeignJournal,
    JournalBusy,
    JournalStopped,
    Stored,
    record_id,
)
from edge.dropped_log import KEPT_LOG, keep_dropped_log, settle
from edge.forerunners import Forerunners
from edge.journal_end import JournalEnd, read_stop
from edge.journal_file import JournalFile
from edge.journal_store import KEEP_AND_CALL, Head, JournalIdentity, JournalStore, NewRow, Standing
from edge.journal_writer import GROUP_MAX, JournalWriter
from edge.key_copies import KeyCopies
from edge.record_maker import RecordMaker
from edge.retention import Retention
from edge.said_tags import SaidTags
from edge.salvage import dropped_records
from security.chain import next_digest
from security.clock import Clock
from security.record import Link, parse_record, signature_holds
from security.run import Run
from security.signer import Signer
from security.suites import Verifier

OLDEST_MAX_BYTES = 1  # a first record comes whatever its size

log = structlog.get_logger()


@dataclass(frozen=True)
class JournalLimits:
    """Bytes that the journal's file may take, and bytes of disk that are left free for what must go on."""

    quota_bytes: int = 4 * 1024**3
    reserve_bytes: int = 256 * 1024**2


class Journal:
    """One journal of this machine, open for writing: `async with Journal(...) as journal`."""

    def __init__(self, path: Path, signer: Signer, hub_sealing_key: bytes, clock: Clock,
                 limits: JournalLimits | None = None, forerunners: Forerunners | None = None) -> None:
        self._path = path
        self._signer = signer
        self._hub_sealing_key = hub_sealing_key
        self._clock = clock
        self._limits = limits or JournalLimits()
        self._forerunners = forerunners

    async def __aenter__(self) -> Journal:
        async with AsyncExitStack() as stack:
            file = self._file = await stack.enter_async_context(JournalFile(self._path, self._limits.quota_bytes))
            self.identity: JournalIdentity = file.identity
            genesis = self.identity.genesis
            if self._signer.public_key != genesis.public_key:
                raise ForeignJournal(f"{self._path} is not of the key in keys/record.key; restore both from one copy")
            self._end = JournalEnd(self._path, genesis.journal)
            key_copies = self._key_copies = KeyCopies(self._path)
            async with file.store() as store:
                head = await store.head()
                kept = await asyncio.to_thread(keep_dropped_log, self._path)
                stopped = read_stop(self._path) or (await self._put_back(store, head) if kept else "")
                head = await store.head()
                try:
                    standing = await store.standing()
                except CorruptJournal as error:
                    standing = Standing(0, 0, 0)  # the hub says it again
                    stopped = stopped or str(error)
                stopped = stopped or await store.head_damage(head, standing.backed_up)
            if stopped:
                self.stop(stopped)
            self._retention = Retention(file, self._end, key_copies, standing)
            self._heard = asyncio.Event()
            self._tags = SaidTags(head.position)
            maker = self._maker = RecordMaker(genesis, self._signer, self._hub_sealing_key, self._clock)
            self._writer = JournalWriter(file, head, maker, key_copies, self._tags, self._end, self._earlier,
                                         lambda: self.standing.hub_ms, self._limits.reserve_bytes)
            self._writing = asyncio.create_task(self._writer.run(), name="journal-writer")
            stack.push_async_callback(self._close_writer)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _put_back(self, store: JournalStore, head: Head) -> str:
        """Write again what SQLite dropped with a damaged log: the same bytes behind the same head. "" or why that fails."""
        dropped = await asyncio.to_thread(dropped_records, self._path, self.identity, head)
        rows = [NewRow(one.position, one.id, one.previous, Link(one.payload, one.signature, one.digest), None)
                for one in dropped.records]
        for begin in range(0, len(rows), GROUP_MAX):
            await store.append(rows[begin:begin + GROUP_MAX])
        if dropped.beyond is not None:
            return (f"{self._path}-wal is damaged: the record at position {head.position + len(rows) + 1} is lost, those up to "
                    f"{dropped.beyond} stand in {self._path}{KEPT_LOG}; {KEEP_AND_CALL}")
        if rows:
            log.warning("log of the journal was damaged", put_back=len(rows), next="look after this machine's disk")
        await store.begin_log_anew()
        await asyncio.to_thread(settle, self._path, keep=bool(rows))
        return ""

    async def _close_writer(self) -> None:
        self._end.refuse("the agent is stopping")
        self._writing.cancel()
        await asyncio.wait([self._writing])
        self._writer.refuse_waiting()

    @property
    def head(self) -> Head:
        """The last record on disk."""
        return self._writer.head

    @property
    def standing(self) -> Standing:
        """What the hub said last."""
        return self._retention.standing

    @property
    def stopped(self) -> str:
        """Why it takes no more records; "" while it does."""
        return self._end.reason

    @property
    def key_id(self) -> bytes:
        """Fingerprint of the record key."""
        return self._signer.key_id

    @property
    def queued(self) -> int:
        """Records that the hub has not acknowledged."""
        return self.head.position - self.standing.position

    @property
    def group_sizes(self) -> list[int]:
        """Submissions in each of the last commits."""
        return self._writer.group_sizes

    async def submit(self, draft: Draft) -> Stored:
        """Returns once the record is on disk. Cancelling the caller does not undo it: saying it again finds it.

        Raises CallerIdConflict, JournalFull, JournalBusy, JournalStopped; then nothing was stored.
        """
        if self.stopped:
            raise JournalStopped(self.stopped)
        return await self._writer.write(draft, record_id(self.identity.genesis.edge, draft.caller_id))

    async def find(self, caller_id: str) -> Stored | None:
        """The stored result of a caller's id, however long ago."""
        return await self._find(caller_id, None)

    async def repeat(self, caller_id: str, kind: str, said: bytes) -> Stored | None:
        """`find`, when the same is said again. Raises CallerIdConflict when something else is said under the id."""
        return await self._find(caller_id, self._tags.tag(kind, said))

    async def _find(self, caller_id: str, tag: bytes | None) -> Stored | None:
        key = record_id(self.identity.genesis.edge, caller_id)
        try:
            async with self._file.store() as store:
                found = (await store.find([key])).get(key)
        except sqlite3.Error as error:
            raise JournalBusy(str(error)) from error
        except CorruptJournal as error:
            raise JournalStopped(str(error)) from error
        if found is None:
            return self._earlier(caller_id)
        if tag is not None and not self._tags.is_repeat(*found, tag):
            raise CallerIdConflict("caller id used for other content")
        return Stored(key, found[0], repeat=True)

    def _earlier(self, caller_id: str) -> Stored | None:
        """The id alone decides: what was said with it then is no longer known. Raises IdsUnclear."""
        return self._forerunners.find(caller_id) if self._forerunners else None

    async def in_ledger(self, stored: Stored) -> bool:
        """Whether the hub holds it. Of an earlier journal: from there, or the copy of it that was carried over.

        Raises JournalBusy, JournalStopped, NotEnrolled, OSError, ValueError.
        """
        passed = set()
        while self._forerunners and stored.earlier is not None and stored.earlier not in passed:
            passed.add(stored.earlier)
            wanted = await asyncio.to_thread(self._forerunners.copy_of, stored)
            if wanted is None:
                return True
            copy = await self.find(wanted)
            if copy is None:
                return False
            stored = copy
        return stored.earlier is None and stored.position <= self.standing.position

    async def after(self, position: int, limit: int, limit_bytes: int) -> Run:
        """Committed records behind `position`, in order; none if there is nothing new.

        Raises CorruptJournal when the next one is damaged, or sqlite3.Error.
        """
        async with self._file.store() as store:
            return await store.after(position, limit, limit_bytes)

    async def oldest_queued_ms(self) -> int | None:
        """Unix ms of the oldest record that the hub does not hold, as claimed when it was written. None: there is none, or it
        cannot be read; whoever delivers it meets the same, and says so."""
        try:
            oldest = await self.after(self.standing.position, 1, OLDEST_MAX_BYTES)
        except (CorruptJournal, sqlite3.Error):
            return None
        return parse_record(oldest.payloads[0]).times.claimed_ms if oldest.payloads else None

    async def digest_at(self, position: int) -> bytes | None:
        """Ours at that position, None beyond the head. Raises CorruptJournal, sqlite3.Error."""
        async with self._file.store() as store:
            return await store.digest_at(position)

    async def pruned_to(self) -> int:
        """The last position whose envelope is no longer here. Raises CorruptJournal, sqlite3.Error."""
        async with self._file.store() as store:
            first = await store.first_held()
        return self.head.position if first is None else first - 1

    def appended(self) -> asyncio.Event:
        """Set at the next append. A hint: take it before reading the head, wait for it after."""
        return self._writer.appended

    def heard(self) -> asyncio.Event:
        """Set at the hub's next word. A hint, as `appended`."""
        return self._heard

    async def take_standing(self, standing: Standing) -> None:
        """Keep what the hub said, then prune what it has in a backup and has proved."""
        await self._retention.take(standing)
        heard, self._heard = self._heard, asyncio.Event()
        heard.set()

    async def proved(self, position: int) -> None:
        """The hub's log as it is now proves everything up to there; what is in a backup, too, may go. Raises CorruptJournal."""
        await self._retention.proved(position)

    async def signed_at(self, position: int) -> tuple[bytes, bytes] | None:
        """Digest and signature of a record that is still here. Raises CorruptJournal, sqlite3.Error."""
        async with self._file.store() as store:
            first = await store.first_held()
            if first is None or not first <= position <= self.head.position:
                return None
            digest = await store.digest_at(position)
            run = await store.after(position - 1, 1, 1)
        return (digest, run.signatures[0]) if digest and run else None

    async def damage_at(self, position: int) -> str:
        """Why the record there is not what was signed; "" if it is, or is pruned. Raises CorruptJournal, sqlite3.Error."""
        async with self._file.store() as store:
            first = await store.first_held()
            held = first is not None and first <= position <= self.head.position
            return await store.damage_at(position) if held else ""

    async def known_of(self, first: int, last: int) -> list[tuple[bytes, bytes]]:
        """Digest and id of each record from `first` to `last`, pruned or not. Raises CorruptJournal, sqlite3.Error."""
        async with self._file.store() as store:
            return await store.known_of(first, last)

    async def key_behind(self, position: int) -> tuple[int, bytes, bytes] | None:
        """Position, payload and signature of the data-key record under which the records behind `position`, which is pruned, are
        sealed, from its second copy. None where that is gone or damaged: then what is said from now on gets another key.
        Raises CorruptJournal, sqlite3.Error.
        """
        at = await asyncio.to_thread(self._key_copies.newest, position)
        copy = await asyncio.to_thread(self._key_copies.find, at) if at is not None else None
        if at is None or copy is None or not await self._is_signed(at, *copy):
            self._maker.forget_key(position)
            return None
        return at, *copy

    async def _is_signed(self, position: int, payload: bytes, signature: bytes) -> bool:
        previous, digest = await self.digest_at(position - 1), await self.digest_at(position)
        genesis = self.identity.genesis
        return (previous is not None and digest is not None and next_digest(previous, payload) == digest
                and signature_holds(Verifier(genesis.suite, genesis.public_key), signature, digest))

    async def ended(self) -> None:
        """Until `stop` was called; at once when the journal was opened with its end on disk. Raises what ended the writer."""
        stopped = asyncio.ensure_future(self._end.wait())
        try:
            await asyncio.wait([stopped, self._writing], return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                self._writing.result()  # a bug of ours: better no agent than one whose counter waits for ever
        finally:
            stopped.cancel()

    def stop(self, reason: str) -> None:
        """Take no more records, after a restart neither: its history is in doubt. What is stored stays, and is delivered."""
        self._end.stop(reason)
