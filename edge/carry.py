"""Carrying over: what the old journal could not deliver goes verbatim into the new one; what is lost is listed there.

Each record has the same caller's id however often this runs, so a crash anywhere costs nothing (invariant 2).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain, islice, takewhile
from uuid import UUID

import structlog

from edge.drafts import Draft, JournalRefused
from edge.followed import Succession
from edge.journal import Journal
from edge.keys_check import known_identity
from edge.mending import whole
from edge.salvage import NothingToSalvage, Salvaged, salvage
from edge.settlement import KIND, Held, Settled, copy_id
from edge.state import JournalFiles
from security.record import CarriedRecord, SealedBody, WrappedKey, parse_record
from security.suites import Verifier

DONE_KIND = "journal.succeeded"
GROUP = 100
LOST_LISTED_MAX = 200
TROUBLE = (JournalRefused, OSError, ValueError, sqlite3.Error)  # of the journal behind it, or of the disk
UNREADABLE = ("earlier journal {} cannot be read: {}. What the hub lacks of it is not carried over. Put the file and its -wal "
              "back from a copy of this disk, moving away a -shm that lies there, then it goes on by itself, or run suozhan-edge "
              "export on that copy. Without one leave this folder as it is, and call the city's IT desk")

Ask = Callable[[UUID, int, bytes], Awaitable[tuple[int, bool]]]  # see held_over (edge/channel.py)

log = structlog.get_logger()


class EarlierJournalUnreadable(Exception):
    """The old journal is gone, or does not open: the text says which, and what to do."""


@dataclass
class _Count:
    carried: int = 0
    unopened: int = 0
    lost_before: int = 0
    lost: list[dict[str, object]] = field(default_factory=list)


class Carrier:
    """From one identity's journal into a later one of the same name, which is open."""

    def __init__(self, old: JournalFiles, new: JournalFiles, succession: Succession, journal: Journal,
                 tell_lost: Callable[[str], None] = log.error) -> None:
        self._old = old
        self._new = new
        self._succession = succession
        self._old_id = succession.journals[old.name].journal
        self._journal = journal
        self._tell_lost = tell_lost

    async def carry_over(self, ask: Ask) -> None:
        """Nothing to do is done, too. The hub is asked only where its word on this disk is lost.

        Raises EarlierJournalUnreadable, LineLost, HubRefused, TROUBLE.
        """
        if await asyncio.to_thread(self._settled):
            return
        held = await asyncio.to_thread(self._held)
        async with self._salvaged(held.anchors() if held else {}) as salvaged:
            common = await (asyncio.to_thread(_common, salvaged, held) if held else self._common_now(ask, salvaged))
            await self._carry_behind(salvaged, common, salvaged.head.position, _Count())

    def _settled(self) -> bool:
        try:
            Settled.load(self._new)
        except FileNotFoundError:
            return False
        except ValueError as error:
            log.warning("carried over once more", reason=str(error))  # the same ids: nothing is doubled
            return False
        return True

    def _held(self) -> Held | None:
        """None when the file is damaged, or gone: the hub is asked again. Raises OSError."""
        try:
            return Held.load(self._new)
        except (FileNotFoundError, ValueError) as error:
            log.warning("what the hub said of the journal before is lost here", reason=str(error),
                        next="look after this machine's disk; the hub is asked again")
            return None

    async def _common_now(self, ask: Ask, salvaged: Salvaged) -> int:
        head = salvaged.head.position
        position, _ = await ask(self._old_id, head, salvaged.digest_at(head) or b"")
        return await self._last_held(ask, salvaged, min(position, head))

    async def look_back(self, ask: Ask) -> None:
        """A hub that came back from a backup may no longer have what it had: carry that, too.

        Raises EarlierJournalUnreadable, LineLost, HubRefused, TROUBLE.
        """
        settled = await asyncio.to_thread(Settled.load, self._new)
        if not settled.common:
            return
        position, same = await ask(self._old_id, settled.common, settled.digest)
        if position >= settled.common and (same or not settled.digest):
            return
        log.warning("the hub lacks what it had of an earlier journal", journal=str(self._old_id), held=position,
                    before=settled.common, next="it is carried over; was the hub restored from a backup?")
        async with self._salvaged({}) as salvaged:
            common = await self._last_held(ask, salvaged, min(position, settled.common))
            count = _Count(settled.carried, lost_before=settled.lost)
            await self._carry_behind(salvaged, common, settled.common, count)

    async def _last_held(self, ask: Ask, salvaged: Salvaged, most: int) -> int:
        """The last position up to `most` at which hub and machine have the same digest: it covers all before."""
        common, at = 0, await asyncio.to_thread(_known_near, salvaged, most, 0, most)
        while at:
            if (await ask(self._old_id, at, salvaged.digest_at(at) or b""))[1]:
                common = at
            else:
                most = at - 1
            at = await asyncio.to_thread(_known_near, salvaged, (common + most + 1) // 2, common, most)
        return common

    @asynccontextmanager
    async def _salvaged(self, anchors: Mapping[int, bytes]) -> AsyncIterator[Salvaged]:
        """In a thread: reading all pages of a large journal takes minutes, and the counter works meanwhile."""
        with ExitStack() as stack:
            reading = salvage(self._old.db, known_identity(self._old), anchors)
            try:
                salvaged = await asyncio.to_thread(stack.enter_context, reading)
            except (NothingToSalvage, OSError) as error:
                raise EarlierJournalUnreadable(UNREADABLE.format(self._old_id, error)) from error
            if lacking := self._lacking(salvaged):
                raise EarlierJournalUnreadable(UNREADABLE.format(self._old_id, lacking))
            yield salvaged

    def _lacking(self, salvaged: Salvaged) -> str:
        """Why nothing of the old journal is here, though a file is: it would be settled as if it had been empty."""
        if salvaged.identity.genesis.journal != self._old_id:
            return f"{self._old.db} is another one"  # as where the folder between the two is gone
        if not self._old.db.exists():
            return f"{self._old.db} is gone, and its log is not all of it"
        if salvaged.nothing_proved:
            return f"{self._old.db} holds no record that can be proved"
        return ""

    async def _carry_behind(self, salvaged: Salvaged, common: int, last: int, count: _Count) -> None:
        """The records behind `common` up to `last`; then all behind `common` is settled."""
        drafts = self._drafts(salvaged, common, last, count)
        while group := await asyncio.to_thread(list, islice(drafts, GROUP)):
            await asyncio.gather(*[self._journal.submit(draft) for draft in group])
        await self._report(common, count)
        if count.lost:  # before it is settled: a crash tells it twice rather than never
            await asyncio.to_thread(self._tell_lost, self._lost_in_words(count))
        settled = Settled(common, salvaged.digest_at(common) or b"", count.carried, count.lost_before + len(count.lost))
        await asyncio.to_thread(settled.save, self._new)
        log.warning("carried over", old=str(self._old_id), held_by_hub=common, carried=count.carried,
                    lost=len(count.lost), without_key=count.unopened)

    def _lost_in_words(self, count: _Count) -> str:
        places = [int(str(one["position"])) for one in count.lost]
        return (f"{len(places)} records of the earlier {self._old.name} journal {self._old_id}, at positions {places[0]} to "
                f"{places[-1]}, are damaged in every copy here, and the hub does not hold them: they could not be carried over "
                f"(the record {DONE_KIND} lists them)")

    def _drafts(self, salvaged: Salvaged, common: int, last: int, count: _Count) -> Iterator[Draft]:
        key_id = Verifier(salvaged.identity.genesis.suite, salvaged.identity.genesis.public_key).key_id
        keys: dict[int, WrappedKey | None] = {}
        for entry in takewhile(lambda one: one.position <= last, salvaged.entries(common + 1)):
            saved = whole(self._old, salvaged, entry)
            if saved is None:
                count.lost.append({"position": entry.position, "id": str(entry.id) if entry.id else None,
                                   "digest": entry.digest.hex() if entry.digest else None})
                continue
            record = parse_record(saved.payload)
            if isinstance(record.content, WrappedKey):
                keys[saved.position] = record.content
            key = None
            if isinstance(record.content, SealedBody):
                at = record.content.key_position
                key = keys[at] = keys[at] if at in keys else self._key_at(salvaged, at)
                count.unopened += key is None and at > common
            count.carried += 1
            carried = CarriedRecord(saved.previous, key_id, saved.payload, saved.signature, key)
            yield Draft(copy_id(salvaged.identity.genesis.journal, saved.position), KIND, b"", record.simulated, carried=carried)

    def _key_at(self, salvaged: Salvaged, position: int) -> WrappedKey | None:
        """One that the hub has goes along, too: a hub that is restored gets the body again before it gets that one again."""
        entry = next(salvaged.entries(position), None) if position > 0 else None
        saved = whole(self._old, salvaged, entry) if entry is not None and entry.position == position else None
        content = parse_record(saved.payload).content if saved else None
        return content if isinstance(content, WrappedKey) else None

    async def _report(self, common: int, count: _Count) -> None:
        for number, start in enumerate(range(0, max(len(count.lost), 1), LOST_LISTED_MAX)):
            body = {"old_edge": str(self._succession.old_edge), "old_journal": str(self._old_id),
                    "reason": self._succession.reason, "held_by_hub": common, "carried": count.carried,
                    "without_key": count.unopened, "lost_records": len(count.lost),
                    "lost": count.lost[start:start + LOST_LISTED_MAX]}
            caller_id = f"{DONE_KIND}:{self._old_id.hex[:8]}:{common}:{number}"
            await self._journal.submit(Draft(caller_id, DONE_KIND, json.dumps(body, sort_keys=True).encode()))


def _known_near(salvaged: Salvaged, at: int, common: int, most: int) -> int:
    """A position behind `common` up to `most` with a digest here, the nearest to `at`, rather before it; 0 for none."""
    return next((one for one in chain(range(at, common, -1), range(at + 1, most + 1)) if salvaged.digest_at(one)), 0)


def _common(salvaged: Salvaged, held: Held) -> int:
    """The last position at which both have the same digest: it covers all before."""
    common = min(held.known, held.position)
    for position, digest in enumerate(held.digests, common + 1):
        if salvaged.digest_at(position) == digest:
            common = position
    return common
