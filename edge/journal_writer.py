"""The journal's one writer: position, sealing, signature and commit, in groups (invariants 1, 2, 5, 7)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from edge.drafts import (
    CallerIdConflict,
    CorruptJournal,
    Draft,
    IdsUnclear,
    JournalBusy,
    JournalFull,
    JournalRefused,
    JournalStopped,
    Stored,
)
from edge.journal_end import JournalEnd
from edge.journal_file import JournalFile
from edge.journal_store import Head, JournalStore, NewRow
from edge.key_copies import KeyCopies
from edge.record_maker import RecordMaker
from edge.said_tags import SaidTags

GROUP_MAX = 256
WAITING_MAX = 4096

# The connection is as good as before: the one statement failed whole.
_PASSING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@dataclass(frozen=True, slots=True)
class _Pending:
    draft: Draft
    id: UUID
    done: asyncio.Future[Stored]

    def settle(self, stored: Stored) -> None:
        if not self.done.done():
            self.done.set_result(stored)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # the caller may have hung up; a refusal nobody hears is no warning


class JournalWriter:
    """Of an open file. `head` is the last record of which it knows that it is on disk.

    `earlier` finds an id in the machine's earlier journals (raises IdsUnclear); `hub_ms` is the time that the hub signed last.
    """

    def __init__(self, file: JournalFile, head: Head, maker: RecordMaker, key_copies: KeyCopies, tags: SaidTags, end: JournalEnd,
                 earlier: Callable[[str], Stored | None], hub_ms: Callable[[], int], reserve_bytes: int) -> None:
        self._file = file
        self.head = head
        self._maker = maker
        self._key_copies = key_copies
        self._tags = tags
        self._end = end
        self._earlier = earlier
        self._hub_ms = hub_ms
        self._reserve_bytes = reserve_bytes
        self._waiting: asyncio.Queue[_Pending] = asyncio.Queue(WAITING_MAX)
        self.appended = asyncio.Event()
        self.group_sizes: list[int] = []

    async def write(self, draft: Draft, record_id: UUID) -> Stored:
        """Returns once it is on disk; the caller may give up waiting, and it is written all the same. Raises JournalRefused."""
        done: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Pending(draft, record_id, done))
        return await asyncio.shield(done)

    def refuse_waiting(self) -> None:
        """When `run` has ended."""
        while not self._waiting.empty():
            self._waiting.get_nowait().fail(JournalStopped(self._end.reason))

    async def run(self) -> None:
        """Until cancelled. Raises what is a bug of ours, and refuses all before."""
        while True:
            group = [await self._waiting.get()]
            while len(group) < GROUP_MAX and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            self.group_sizes = [*self.group_sizes[-99:], len(group)]
            try:
                await self._settle(group)
            except CorruptJournal as error:
                self._end.stop(str(error))
                _fail_all(group, JournalStopped(str(error)))
            except BaseException as error:  # cancelled, or a bug of ours: nobody is to wait for ever
                self._end.refuse(f"the writer failed: {type(error).__name__}")
                _fail_all(group, JournalStopped(self._end.reason))
                raise

    async def _settle(self, group: list[_Pending]) -> None:
        try:
            async with self._file.store() as store:
                await self._commit(store, group)
        except (sqlite3.Error, OSError) as error:
            async with self._file.store() as store:
                await self._recover(store, group, error)
        else:
            self._file.note_trouble("")

    async def _append(self, store: JournalStore, rows: list[NewRow]) -> None:
        await store.append(rows)
        self.head = Head(rows[-1].position, rows[-1].link.digest)
        # A new event each time: clear-then-wait on one event loses wake-ups with two followers.
        appended, self.appended = self.appended, asyncio.Event()
        appended.set()

    async def _commit(self, store: JournalStore, group: list[_Pending]) -> None:
        known = await store.find([pending.id for pending in group])
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
        if self._end.reason or not self._has_room():
            refusal = JournalStopped(self._end.reason) if self._end.reason else JournalFull("disk reserve reached")
            _fail_all((*fresh.values(), *repeats), refusal)
            return
        hub_ms = self._hub_ms()
        if self._maker.needs_key():
            await self._new_key(store, hub_ms)
        rows = self._maker.rows(self.head, hub_ms, [(key, pending.draft, self._tags.tag_of(pending.draft))
                                                    for key, pending in fresh.items()])
        await self._append(store, rows)
        stored = {row.id: (row.position, row.tag) for row in rows}
        for row in rows:
            fresh[row.id].settle(Stored(row.id, row.position, repeat=False))
        for pending in repeats:
            self._answer_repeat(pending, *stored[pending.id])

    async def _new_key(self, store: JournalStore, hub_ms: int) -> None:
        """It is committed before its first use."""
        data_key, row = self._maker.new_key(self.head, hub_ms)
        await self._append(store, [row])
        await asyncio.to_thread(self._key_copies.keep, row.position, row.link.payload, row.link.signature)
        self._maker.use_key(data_key, row.position)

    def _answer_earlier(self, pending: _Pending) -> bool:
        try:
            earlier = self._earlier(pending.draft.caller_id)
        except IdsUnclear as error:
            pending.fail(error)
            return True
        if earlier is not None:
            pending.settle(earlier)
        return earlier is not None

    def _answer_repeat(self, pending: _Pending, position: int, stored: bytes | None) -> None:
        if self._tags.is_repeat(position, stored, self._tags.tag_of(pending.draft)):
            pending.settle(Stored(pending.id, position, repeat=True))
        else:
            pending.fail(CallerIdConflict("caller id used for other content"))

    async def _recover(self, store: JournalStore, group: list[_Pending], error: sqlite3.Error | OSError) -> None:
        """A failed commit may or may not have reached the disk: reopen, and believe only what is read there."""
        self._file.note_trouble(str(error))
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        refusal: JournalRefused = JournalFull(str(error)) if code == sqlite3.SQLITE_FULL else JournalBusy(str(error))
        try:
            if code not in _PASSING:
                store = await self._file.reopened()
            self.head = await store.head()
            known = await store.find([pending.id for pending in group])
        except (sqlite3.Error, OSError) as second:
            self._file.note_trouble(str(second))  # the next submission tries again; a stale head cannot be written on
            known = {}
        except CorruptJournal as damage:
            self._end.stop(str(damage))
            refusal, known = JournalStopped(str(damage)), {}
        for pending in group:
            if pending.id in known:
                self._answer_repeat(pending, *known[pending.id])
            else:
                pending.fail(refusal)

    def _has_room(self) -> bool:
        return shutil.disk_usage(self._file.path.parent).free > self._reserve_bytes


def _fail_all(group: Iterable[_Pending], refusal: JournalRefused) -> None:
    for pending in group:
        pending.fail(refusal)
