"""The journal: durable before acknowledged, once, in order, sealed (invariants 1, 2, 3, 5, 7).

Position, sealing, signature and commit belong to one writer task that commits in groups.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from uuid import UUID

import structlog

from edge.drafts import (
    CallerIdConflict,
    CorruptJournal,
    Draft,
    ForeignJournal,
    IdsUnclear,
    JournalBusy,
    JournalFull,
    JournalRefused,
    JournalStopped,
    Stored,
    record_id,
)
from edge.dropped_log import KEPT_LOG, keep_dropped_log, settle
from edge.forerunners import Forerunners
from edge.journal_store import KEEP_AND_CALL, Head, JournalStore, NewRow, Standing, read_stop, write_stop
from edge.key_copies import KeyCopies
from edge.record_maker import RecordMaker
from edge.salvage import dropped_records
from security.clock import Clock
from security.record import Link
from security.run import Run
from security.signer import Signer

GROUP_MAX = 256
WAITING_MAX = 4096
PRUNE_STEP = 500
TAG_BYTES = 16


# The connection is as good as before: the one statement failed whole.
_PASSING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

log = structlog.get_logger()


@dataclass(frozen=True)
class JournalLimits:
    """Bytes that the journal's file may take, and bytes of disk that are left free for what must go on."""

    quota_bytes: int = 4 * 1024**3
    reserve_bytes: int = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class _Pending:
    draft: Draft
    id: UUID
    done: asyncio.Future[Stored]


class Journal:
    """One journal of this machine, open for writing: `async with Journal(...) as journal`."""

    def __init__(self, path: Path, signer: Signer, hub_sealing_key: bytes, clock: Clock,
                 limits: JournalLimits | None = None, forerunners: Forerunners | None = None) -> None:
        self._forerunners = forerunners
        self._key_copies = KeyCopies(path)
        self._path = path
        self._signer = signer
        self._hub_sealing_key = hub_sealing_key
        self._clock = clock
        self._limits = limits or JournalLimits()
        self._waiting: asyncio.Queue[_Pending] = asyncio.Queue(WAITING_MAX)
        self._tag_key = os.urandom(32)  # memory only: a tag on disk tells nothing about its content
        self._appended = asyncio.Event()
        self._store_in_use = asyncio.Lock()  # the writer may have to open the file again under the uplink's feet
        self._ended = asyncio.Event()
        self._trouble = ""  # why the last write failed; logged when it changes
        self._standing_on_disk: Standing | None = None
        self._proved = 0  # receipts of an earlier stream may be of a tree that the hub has no more
        self.group_sizes: list[int] = []

    async def __aenter__(self) -> Journal:
        async with AsyncExitStack() as stack:
            self._store = await self._new_store().__aenter__()
            stack.push_async_callback(self._close_store)
            self.identity = self._store.identity
            if self._signer.public_key != self.identity.genesis.public_key:
                raise ForeignJournal(f"{self._path} is not of the key in keys/record.key; restore both from one copy")
            self._maker = RecordMaker(self.identity.genesis, self._signer, self._hub_sealing_key, self._clock)
            self.head = await self._store.head()
            kept = await asyncio.to_thread(keep_dropped_log, self._path)
            self.stopped = read_stop(self._path) or (await self._put_back() if kept else "")
            try:
                self.standing = self._standing_on_disk = await self._store.standing()
            except CorruptJournal as error:
                self.standing = Standing(0, 0, 0)  # the hub says it again
                self.stopped = self.stopped or str(error)
            self._started_at = self.head.position
            self.stopped = self.stopped or await self._store.head_damage(self.head, self.standing.backed_up)
            if self.stopped:
                self.stop(self.stopped)
            writer = self._writer = asyncio.create_task(self._write(), name="journal-writer")
            stack.push_async_callback(self._close_writer, writer)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def _new_store(self) -> JournalStore:
        return JournalStore(self._path, quota_bytes=self._limits.quota_bytes)

    async def _put_back(self) -> str:
        """Write again what SQLite dropped with a damaged log: the same bytes behind the same head. "" or why that fails."""
        dropped = await asyncio.to_thread(dropped_records, self._path, self.identity, self.head)
        rows = [NewRow(one.position, one.id, one.previous, Link(one.payload, one.signature, one.digest), None)
                for one in dropped.records]
        for begin in range(0, len(rows), GROUP_MAX):
            await self._append(rows[begin:begin + GROUP_MAX])
        if dropped.beyond is not None:
            return (f"{self._path}-wal is damaged: the record at position {self.head.position + 1} is lost, those up to "
                    f"{dropped.beyond} stand in {self._path}{KEPT_LOG}; {KEEP_AND_CALL}")
        if rows:
            log.warning("log of the journal was damaged", put_back=len(rows), next="look after this machine's disk")
        await asyncio.to_thread(settle, self._path, keep=bool(rows))
        return ""

    async def _close_store(self) -> None:
        await self._store.__aexit__(None, None, None)

    async def _close_writer(self, writer: asyncio.Task[None]) -> None:
        self.stopped = self.stopped or "the agent is stopping"
        writer.cancel()
        await asyncio.wait([writer])
        while not self._waiting.empty():
            self._fail(self._waiting.get_nowait(), JournalStopped(self.stopped))

    @property
    def key_id(self) -> bytes:
        """Fingerprint of the record key."""
        return self._signer.key_id

    @property
    def queued(self) -> int:
        """Records that the hub has not acknowledged."""
        return self.head.position - self.standing.position

    async def submit(self, draft: Draft) -> Stored:
        """Returns once the record is on disk. Cancelling the caller does not undo it: saying it again finds it.

        Raises CallerIdConflict, JournalFull, JournalBusy, JournalStopped; then nothing was stored.
        """
        if self.stopped:
            raise JournalStopped(self.stopped)
        done: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Pending(draft, record_id(self.identity.genesis.edge, draft.caller_id), done))
        return await asyncio.shield(done)

    async def find(self, caller_id: str) -> Stored | None:
        """The stored result of a caller's id, however long ago."""
        return await self._find(caller_id, None)

    async def repeat(self, caller_id: str, kind: str, said: bytes) -> Stored | None:
        """`find`, when the same is said again. Raises CallerIdConflict when something else is said under the id."""
        return await self._find(caller_id, self._tag(kind, said))

    async def _find(self, caller_id: str, tag: bytes | None) -> Stored | None:
        key = record_id(self.identity.genesis.edge, caller_id)
        try:
            async with self._store_in_use:
                found = (await self._store.find([key])).get(key)
        except sqlite3.Error as error:
            raise JournalBusy(str(error)) from error
        except CorruptJournal as error:
            raise JournalStopped(str(error)) from error
        if found is None:
            return self._earlier(caller_id)
        if tag is not None and not self._is_repeat(*found, tag):
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
        async with self._store_in_use:
            return await self._store.after(position, limit, limit_bytes)

    async def digest_at(self, position: int) -> bytes | None:
        """Ours at that position, None beyond the head. Raises CorruptJournal, sqlite3.Error."""
        async with self._store_in_use:
            return await self._store.digest_at(position)

    async def pruned_to(self) -> int:
        """The last position whose envelope is no longer here. Raises CorruptJournal, sqlite3.Error."""
        async with self._store_in_use:
            first = await self._store.first_held()
        return self.head.position if first is None else first - 1

    def appended(self) -> asyncio.Event:
        """Set at the next append. A hint: take it before reading the head, wait for it after."""
        return self._appended

    async def take_standing(self, standing: Standing) -> None:
        """Keep what the hub said, then prune what it has in a backup and has proved.

        A disk that does not take it, or is damaged there, stops no delivery: nothing is pruned, and it is tried again with the
        next receipt.
        """
        before, self.standing = self.standing, standing
        try:
            if standing.backed_up < before.backed_up:
                self.standing = await self._with_what_was_pruned(standing, before)
            if await self._keep_standing():
                await self._prune()
        except (sqlite3.Error, OSError) as error:
            self._note_trouble(str(error))
        except CorruptJournal as error:
            if not self.stopped:
                self.stop(str(error))

    async def _keep_standing(self) -> bool:
        """Whether there was something to write."""
        standing = self.standing
        if standing == self._standing_on_disk:
            return False
        async with self._store_in_use:
            await self._store.set_standing(standing)
        self._standing_on_disk = standing
        return True

    async def _with_what_was_pruned(self, standing: Standing, before: Standing) -> Standing:
        """A hub that came back from a backup does not know that this very backup was made: what was pruned because of it is not
        missing now.
        """
        pruned = min(before.backed_up, await self.pruned_to(), standing.position)
        return replace(standing, backed_up=max(standing.backed_up, pruned))

    async def _prune(self) -> None:
        last = min(self.standing.backed_up - 1, self._proved)
        async with self._store_in_use:
            first = await self._store.first_held()
        while first is not None and first <= last:
            # In steps, so that a counter never waits behind a long clean-up.
            async with self._store_in_use:
                await self._store.prune(min(first + PRUNE_STEP - 1, last))
            first += PRUNE_STEP
        await asyncio.to_thread(self._key_copies.forget, last)

    async def proved(self, position: int) -> None:
        """The hub's log as it is now proves everything up to there; what is in a backup, too, may go. Raises CorruptJournal."""
        self._proved = position
        try:
            if not self.stopped:  # its page may be what is damaged, and delivery goes on
                await self._keep_standing()
            await self._prune()
        except (sqlite3.Error, OSError) as error:
            self._note_trouble(str(error))

    async def signed_at(self, position: int) -> tuple[bytes, bytes] | None:
        """Digest and signature of a record that is still here. Raises CorruptJournal, sqlite3.Error."""
        async with self._store_in_use:
            first = await self._store.first_held()
            if first is None or not first <= position <= self.head.position:
                return None
            digest = await self._store.digest_at(position)
            run = await self._store.after(position - 1, 1, 1)
        return (digest, run.signatures[0]) if digest and run else None

    async def damage_at(self, position: int) -> str:
        """Why the record there is not what was signed; "" if it is, or is pruned. Raises CorruptJournal, sqlite3.Error."""
        async with self._store_in_use:
            first = await self._store.first_held()
            held = first is not None and first <= position <= self.head.position
            return await self._store.damage_at(position) if held else ""

    async def known_of(self, first: int, last: int) -> list[tuple[bytes, bytes]]:
        """Digest and id of each record from `first` to `last`, pruned or not. Raises CorruptJournal, sqlite3.Error."""
        async with self._store_in_use:
            return await self._store.known_of(first, last)

    async def ended(self) -> None:
        """Until `stop` was called; at once when the journal was opened with its end on disk. Raises what ended the writer."""
        stopped = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait([stopped, self._writer], return_when=asyncio.FIRST_COMPLETED)
            if not stopped.done():
                self._writer.result()  # a bug of ours: better no agent than one whose counter waits for ever
        finally:
            stopped.cancel()

    def stop(self, reason: str) -> None:
        """Take no more records, after a restart neither: its history is in doubt. What is stored stays, and is delivered."""
        log.error("journal stopped", journal=str(self.identity.genesis.journal), reason=reason)
        self.stopped = reason
        self._ended.set()
        try:
            write_stop(self._path, reason)
        except OSError as error:
            log.warning("the stop is not on disk", error=str(error), next="make room, and keep the agent running")

    def _note_trouble(self, text: str) -> None:
        if text != self._trouble:
            log.warning("journal cannot be written", error=text, next="make room, or end the program that holds it")
        self._trouble = text

    # ---- the writer ----

    async def _write(self) -> None:
        while True:
            group = [await self._waiting.get()]
            while len(group) < GROUP_MAX and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            self.group_sizes = [*self.group_sizes[-99:], len(group)]
            try:
                async with self._store_in_use:
                    await self._commit(group)
            except (sqlite3.Error, OSError) as error:
                async with self._store_in_use:
                    await self._recover(group, error)
            except CorruptJournal as error:
                self.stop(str(error))
                self._fail_all(group, JournalStopped(str(error)))
            except BaseException as error:
                self.stopped = self.stopped or f"the writer failed: {type(error).__name__}"
                self._fail_all(group, JournalStopped(self.stopped))
                raise
            else:
                self._trouble = ""

    async def _commit(self, group: list[_Pending]) -> None:
        known = await self._store.find([pending.id for pending in group])
        fresh: dict[UUID, _Pending] = {}
        repeats: list[_Pending] = []
        for pending in group:
            if pending.id in known:
                self._answer_repeat(pending, *known[pending.id])
            elif pending.id in fresh:
                repeats.append(pending)
            elif not self._answer_earlier(pending):
                fresh[pending.id] = pending
        if not fresh:
            return
        if self.stopped or not self._has_room():
            refusal = JournalStopped(self.stopped) if self.stopped else JournalFull("disk reserve reached")
            self._fail_all((*fresh.values(), *repeats), refusal)
            return
        hub_ms = self.standing.hub_ms
        if self._maker.needs_key():  # it is committed before its first use
            data_key, row = self._maker.new_key(self.head, hub_ms)
            await self._append([row])
            await asyncio.to_thread(self._key_copies.keep, row.position, row.link.payload, row.link.signature)
            self._maker.use_key(data_key, row.position)
        rows = self._maker.rows(self.head, hub_ms, [(key, pending.draft, self._tag_of(pending.draft))
                                                    for key, pending in fresh.items()])
        await self._append(rows)
        stored = {row.id: (row.position, row.tag) for row in rows}
        for row in rows:
            self._settle(fresh[row.id], Stored(row.id, row.position, repeat=False))
        for pending in repeats:
            self._answer_repeat(pending, *stored[pending.id])

    def _answer_earlier(self, pending: _Pending) -> bool:
        try:
            earlier = self._earlier(pending.draft.caller_id)
        except IdsUnclear as error:
            self._fail(pending, error)
            return True
        if earlier is not None:
            self._settle(pending, earlier)
        return earlier is not None

    async def _append(self, rows: list[NewRow]) -> None:
        await self._store.append(rows)
        self.head = Head(rows[-1].position, rows[-1].link.digest)
        # A new event each time: clear-then-wait on one event loses wake-ups with two followers.
        appended, self._appended = self._appended, asyncio.Event()
        appended.set()

    async def _recover(self, group: list[_Pending], error: sqlite3.Error | OSError) -> None:
        """A failed commit may or may not have reached the disk: reopen, and believe only what is read there."""
        self._note_trouble(str(error))
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        refusal: JournalRefused = JournalFull(str(error)) if code == sqlite3.SQLITE_FULL else JournalBusy(str(error))
        try:
            if code not in _PASSING:
                before, self._store = self._store, await self._new_store().__aenter__()
                await before.__aexit__(None, None, None)
            self.head = await self._store.head()
            known = await self._store.find([pending.id for pending in group])
        except (sqlite3.Error, OSError) as second:
            self._note_trouble(str(second))  # the next submission tries again; a stale head cannot be written on
            known = {}
        except CorruptJournal as damage:
            self.stop(str(damage))
            refusal, known = JournalStopped(str(damage)), {}
        for pending in group:
            if pending.id in known:
                self._answer_repeat(pending, *known[pending.id])
            else:
                self._fail(pending, refusal)

    def _has_room(self) -> bool:
        return shutil.disk_usage(self._path.parent).free > self._limits.reserve_bytes

    def _tag_of(self, draft: Draft) -> bytes:
        if draft.carried is not None:
            return self._tag(draft.kind, draft.carried.payload)
        return self._tag(draft.kind, draft.body if draft.said is None else draft.said)

    def _tag(self, kind: str, said: bytes) -> bytes:
        return hmac.digest(self._tag_key, kind.encode() + b"\0" + said, "sha256")[:TAG_BYTES]

    def _is_repeat(self, position: int, stored: bytes | None, tag: bytes) -> bool:
        # Tags of an earlier start were keyed with a key that is gone: then the id alone decides.
        return position <= self._started_at or (stored is not None and hmac.compare_digest(stored, tag))

    def _answer_repeat(self, pending: _Pending, position: int, stored: bytes | None) -> None:
        if self._is_repeat(position, stored, self._tag_of(pending.draft)):
            self._settle(pending, Stored(pending.id, position, repeat=True))
        else:
            self._fail(pending, CallerIdConflict("caller id used for other content"))

    @staticmethod
    def _settle(pending: _Pending, stored: Stored) -> None:
        if not pending.done.done():
            pending.done.set_result(stored)

    def _fail_all(self, group: Iterable[_Pending], refusal: JournalRefused) -> None:
        for pending in group:
            self._fail(pending, refusal)

    @staticmethod
    def _fail(pending: _Pending, error: Exception) -> None:
        if not pending.done.done():
            pending.done.set_exception(error)
            pending.done.exception()  # the caller may have hung up; a refusal nobody hears is no warning
