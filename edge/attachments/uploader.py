"""Attachments to hub: behind all records, one part in flight, from where the hub says it is (invariants 2 and 3).

What the hub has is asked again: every hour, and when it says that another part of the journal is backed up than before, as after
a backup or a restore. A blob goes when the hub says that it is safe.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from edge.alarms import Alarms
from edge.attachments.attachments import Attachments
from edge.attachments.wire import QUESTION_MAX, Attach, Exchange, Fate, exchange
from edge.drafts import JournalRefused
from edge.line import HubRefused, Line, LineLost
from edge.pace import Pace
from security.clock import Clock

PART_MAX_BYTES = 64 * 1024
IDLE_LOOK_S = 0.1
LOOK_S = 5.0
LOOK_MS = 5_000
ASK_AGAIN_MS = 3600 * 1000
ORPHAN_MS = 4 * 3600 * 1000  # of one run of the agent; so long nobody says that a record names it
STUCK_MAX = 3
ALARM = "attachment-damaged"
HINT = "本机有一份待上传的附件（扫描件）已损坏，无法上传。请保留相关纸质材料，必要时请办事人补扫，并联系市信息中心检查本机硬盘。"

log = structlog.get_logger()


class Records(Protocol):
    """What an uploader asks of this machine's journals."""

    def all_held(self) -> bool:
        """Whether the hub holds all records: then attachments may have the line."""

    def backed_up(self) -> object:
        """Another value than before: a backup was made since."""

    async def has(self, caller_id: str) -> bool:
        """Whether a record was stored under that id. Raises JournalRefused when that is not known now."""


@dataclass(frozen=True, slots=True)
class _Said:
    """The hub's word of one attachment, and when it was said."""

    fate: Fate
    backed_up: object
    at_ms: int


class Uploader:
    """`attach` is the stub's method, or a stand-in of the same shape; `rate_bytes_s` of 0 is no limit."""

    def __init__(self, attachments: Attachments, attach: Attach, line: Line, records: Records, alarms: Alarms, clock: Clock,
                 rate_bytes_s: int = 0) -> None:
        self._attachments = attachments
        self._attach = attach
        self._line = line
        self._records = records
        self._alarms = alarms
        self._clock = clock
        self._rate_bytes_s = rate_bytes_s
        self._pace = Pace()
        self._said: dict[bytes, _Said] = {}

    async def run(self) -> None:
        await self._line.keep(self.session)

    async def session(self) -> None:
        """One stream, from when there is something to say. Raises LineLost, HubRefused."""
        await self._until_due()
        self._pace.begin()
        async with exchange(self._attach) as hub:
            try:
                while True:
                    await self._round(hub)
                    await self._until_due()
            except OSError as error:
                raise LineLost(f"attachments cannot be read now ({error}); look after this machine's disk") from error

    # ---- what is due ----

    async def _until_due(self) -> None:
        while True:
            changed = self._attachments.changed()
            if self._due():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await changed.wait()

    def _due(self) -> list[bytes]:
        """What the hub was never asked about, or may say something else of by now; the oldest first."""
        backed_up, now_ms = self._records.backed_up(), self._clock.boottime_ms()
        return [one for one in self._attachments.waiting() if self._is_due(one, backed_up, now_ms)]

    def _is_due(self, address: bytes, backed_up: object, now_ms: int) -> bool:
        said = self._said.get(address)
        if said is None or now_ms - said.at_ms > ASK_AGAIN_MS:
            return True
        if said.fate is Fate.WANTED:  # its record may be on its way to the disk
            return self._attachments.is_fresh(address) and now_ms - said.at_ms > LOOK_MS
        return said.backed_up != backed_up

    async def _until_idle(self) -> None:
        """Records go first, between any two messages of ours."""
        while not self._records.all_held():
            await asyncio.sleep(IDLE_LOOK_S)

    # ---- with the hub ----

    async def _round(self, hub: Exchange) -> None:
        """Ask about all that is due, send what the hub lacks, forget what it has safe.

        What the hub knows no record of comes last: it may refuse that, and the rest need not wait.
        """
        due, unnamed = self._due(), list[bytes]()
        for start in range(0, len(due), QUESTION_MAX):
            addresses = [one for one in due[start:start + QUESTION_MAX] if self._attachments.waits(one)]
            await self._until_idle()
            backed_up = self._records.backed_up()  # asked before: what comes meanwhile is asked about again
            fates = await hub.fates(addresses)
            self._line.connected()
            for address, fate in zip(addresses, fates, strict=True):
                if fate is Fate.WANTED:
                    unnamed.append(address)
                else:
                    await self._keep(address, await self._upload(hub, address) if fate is Fate.MISSED else fate, backed_up)
        for address in unnamed:
            backed_up = self._records.backed_up()
            await self._keep(address, await self._unnamed(hub, address), backed_up)

    async def _keep(self, address: bytes, fate: Fate, backed_up: object) -> None:
        """In mind, until it is due again; or not at all."""
        self._said[address] = _Said(fate, backed_up, self._clock.boottime_ms())
        if fate is Fate.SAFE:
            await self._attachments.forget(address)
            del self._said[address]

    async def _unnamed(self, hub: Exchange, address: bytes) -> Fate:
        """What is to be said from now on of one that the hub neither has nor knows a record of."""
        stored = await self._is_stored(address)
        if stored:
            return await self._upload(hub, address)
        if stored is None or self._attachments.age_ms(address) < ORPHAN_MS:
            return Fate.WANTED
        log.warning("attachment forgotten", address=address.hex(), reason="no record names it, neither here nor at the hub")
        return Fate.SAFE

    async def _is_stored(self, address: bytes) -> bool | None:
        """Whether a record here names it; None where that is not known now. It is named before its record is written."""
        try:
            for caller in self._attachments.callers(address):
                if await self._records.has(caller):
                    return True
        except JournalRefused:
            return None
        return False

    async def _upload(self, hub: Exchange, address: bytes) -> Fate:
        if damage := await self._damage(address):
            await asyncio.to_thread(self._alarms.raise_alarm, ALARM, damage, HINT)
            return Fate.WANTED if self._attachments.waits(address) else Fate.SAFE
        size, stuck = self._attachments.size(address), 0
        await self._until_idle()
        held = await hub.part(address, size, 0, b"")
        while held < size:
            before, held = held, await self._send(hub, address, size, held)
            stuck = stuck + 1 if held <= before else 0
            if stuck >= STUCK_MAX:
                raise HubRefused(f"the hub does not keep attachment {address.hex()}; look at the hub's log and its disk")
        log.info("attachment uploaded", address=address.hex(), size=size)
        return Fate.HELD

    async def _send(self, hub: Exchange, address: bytes, size: int, held: int) -> int:
        """The next part, once no record waits."""
        data = await self._attachments.read(address, held, min(self._pace.window_bytes, PART_MAX_BYTES))
        await self._until_idle()
        loop = asyncio.get_running_loop()
        sent_s = loop.time()
        now_held = await hub.part(address, size, held, data)
        self._pace.answered(sent_s, loop.time(), full=True)
        if self._rate_bytes_s:
            await asyncio.sleep(max(len(data) / self._rate_bytes_s - (loop.time() - sent_s), 0))
        return now_held

    async def _damage(self, address: bytes) -> str:
        """Why it is not what was sealed any more; "" if it is. What is damaged is put aside; what cannot be read now stays."""
        where = f"attachment {address.hex()}, which records {', '.join(self._attachments.callers(address))} name"
        try:
            if await self._attachments.intact(address):
                return ""
        except FileNotFoundError:
            await self._attachments.set_aside(address)
            return f"{where}, is gone; look for {address.hex()}.blob in a copy of this disk"
        except OSError as error:
            return f"{where}, cannot be read ({error}); it is tried again. Look after this machine's disk"
        aside = await self._attachments.set_aside(address)
        return f"{where}, is damaged, and kept as {aside}; look after this machine's disk"
