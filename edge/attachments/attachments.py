"""Attachments from their first byte until the hub has them safe: sealed as they come in, keys in memory only (invariant 7).

The key goes into the sealed body of the record that names the attachment, and nowhere else. Until then it is here, for ten
minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import structlog

from edge.attachments.attached import Attached
from edge.attachments.blob_folder import BlobFolder
from edge.attachments.intake import Intake
from edge.attachments.room import AttachmentLimits, AttachmentsFull, require_room
from security.clock import Clock

KEPT_MS = 10 * 60 * 1000
SWEEP_S = 30.0
PART_BYTES = 1024 * 1024

log = structlog.get_logger()


class UnknownAttachment(LookupError):
    """Never given, or too long ago."""


@dataclass(slots=True)
class _Blob:
    size: int
    callers: list[str] = field(default_factory=list)
    since_ms: int = 0  # boottime


class Attachments:
    """`async with Attachments(...) as attachments`, one for as long as the agent runs; `run` forgets what nobody names."""

    def __init__(self, folder: BlobFolder, clock: Clock, limits: AttachmentLimits | None = None) -> None:
        self._folder = folder
        self._clock = clock
        self._limits = limits or AttachmentLimits()
        self._unnamed: dict[bytes, _Blob] = {}
        self._named: dict[bytes, _Blob] = {}  # the oldest first
        self._named_bytes = 0
        self._intake = Intake(folder, self._require_room)
        self._open = False
        self._keys: dict[UUID, Attached] = {}
        self._naming = asyncio.Lock()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        self._keys.clear()

    # ---- in: the counter program and the scanner ----

    async def put(self, content: bytes, media_type: str, *, simulated: bool = False,
                  source: Mapping[str, Any] | None = None) -> Attached:
        """Of a driver. Raises AttachmentsFull, TooLarge, UnknownMediaType."""

        async def parts() -> AsyncIterator[bytes]:
            for start in range(0, len(content), PART_BYTES):
                yield content[start:start + PART_BYTES]

        return await self.take(parts(), media_type=media_type, simulated=simulated, source=source)

    async def take(self, parts: AsyncIterator[bytes], *, media_type: str | None = None, simulated: bool = False,
                   source: Mapping[str, Any] | None = None) -> Attached:
        """Sealed part by part, never plain on disk; durable when it returns. What `parts` raises leaves nothing behind. The
        content decides what it is, and is refused when somebody says otherwise.

        Raises AttachmentsFull, TooLarge, UnknownMediaType.
        """
        if not self._open:
            raise AttachmentsFull("the folder cannot be opened")
        found, seal = await self._intake.take(parts, media_type)
        attached = Attached(uuid4(), seal, found, simulated, source)
        self._keep(seal.address, _Blob(seal.sealed_size, since_ms=self._clock.boottime_ms()))
        self._keys[attached.id] = attached
        return attached

    async def _opened(self) -> bool:
        """A disk that is full, or cannot be read now, keeps no agent from its start: it is tried again."""
        if not self._open:
            try:
                found = await asyncio.to_thread(self._folder.open)
            except OSError as error:
                log.warning("attachments cannot be opened", reason=str(error), next="look after this machine's disk")
                return False
            for blob in found:
                self._keep(blob.address, _Blob(blob.size, list(blob.callers), self._clock.boottime_ms()))
            self._open = True
        return True

    def _require_room(self) -> None:
        unnamed_bytes = sum(one.size for one in self._unnamed.values()) + self._intake.incoming_bytes
        require_room(self._folder.folder, self._limits, named_bytes=self._named_bytes, unnamed_bytes=unnamed_bytes,
                     unnamed=len(self._unnamed))

    # ---- named by records ----

    def find(self, attachment: UUID) -> Attached | None:
        """None when it was never given, or is too old."""
        attached = self._keys.get(attachment)
        return attached if attached and self.is_fresh(attached.seal.address) else None

    async def name(self, attached: Sequence[Attached], caller_id: str) -> None:
        """Before that record is said to the journal: from now on they stay until the hub has them safe.

        Raises UnknownAttachment, AttachmentsFull.
        """
        async with self._naming:
            for one in attached:
                await self._name(one.seal.address, caller_id)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _name(self, address: bytes, caller_id: str) -> None:
        blob = self._named.get(address) or self._unnamed.get(address)
        if blob is None:
            raise UnknownAttachment
        if caller_id in blob.callers:
            return
        try:
            await asyncio.to_thread(self._folder.name, address, [*blob.callers, caller_id])
        except OSError as error:
            raise AttachmentsFull(str(error)) from error
        blob.callers.append(caller_id)
        if self._unnamed.pop(address, None):
            self._keep(address, blob)

    # ---- out: the uploader ----

    def changed(self) -> asyncio.Event:
        """Set when another one is named. A hint: take it before `waiting`, wait for it after."""
        return self._changed

    def waiting(self) -> list[bytes]:
        """Addresses of what records name, the oldest first."""
        return list(self._named)

    @property
    def waiting_bytes(self) -> int:
        return self._named_bytes

    def waits(self, address: bytes) -> bool:
        return address in self._named

    def size(self, address: bytes) -> int:
        """Of one that waits; sealed."""
        return self._named[address].size

    def callers(self, address: bytes) -> list[str]:
        """Ids of the records that were to name it."""
        return list(self._named[address].callers)

    def is_fresh(self, address: bytes) -> bool:
        """Whether a counter may still name it."""
        return self.age_ms(address) <= KEPT_MS

    def age_ms(self, address: bytes) -> float:
        """Since it came, or since the agent was started."""
        blob = self._named.get(address) or self._unnamed.get(address)
        return self._clock.boottime_ms() - blob.since_ms if blob else float("inf")

    async def read(self, address: bytes, offset: int, size: int) -> bytes:
        """Raises OSError."""
        return await asyncio.to_thread(self._folder.read, address, offset, size)

    async def intact(self, address: bytes) -> bool:
        """Raises OSError."""
        return await asyncio.to_thread(self._folder.intact, address)

    async def forget(self, address: bytes) -> None:
        """The hub has it safe, or nobody will ever read it. Raises OSError."""
        await asyncio.to_thread(self._folder.forget, address)
        self._drop(address)

    async def set_aside(self, address: bytes) -> str:
        """It is not what was sealed any more, or gone. Returns where it is now. Raises OSError."""
        aside = await asyncio.to_thread(self._folder.set_aside, address)
        self._drop(address)
        return str(aside)

    # ---- memory ----

    async def run(self) -> None:
        while True:
            if await self._opened():
                await self.sweep()
            await asyncio.sleep(SWEEP_S)

    async def sweep(self) -> None:
        """Forget keys of ten minutes ago, and what nobody has named by then."""
        async with self._naming:
            for attached in [one for one in self._keys.values() if not self.is_fresh(one.seal.address)]:
                del self._keys[attached.id]
            try:
                for address in [one for one in self._unnamed if not self.is_fresh(one)]:
                    await self.forget(address)
            except OSError as error:
                log.warning("attachments that nobody names stay for now", reason=str(error))

    def _keep(self, address: bytes, blob: _Blob) -> None:
        if blob.callers:
            self._named[address] = blob
            self._named_bytes += blob.size
        else:
            self._unnamed[address] = blob

    def _drop(self, address: bytes) -> None:
        self._unnamed.pop(address, None)
        if blob := self._named.pop(address, None):
            self._named_bytes -= blob.size
        for attached in [one for one in self._keys.values() if one.seal.address == address]:
            del self._keys[attached.id]
