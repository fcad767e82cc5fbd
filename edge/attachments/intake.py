"""Attachments on their way in: sealed part by part, never plain on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import structlog

from edge.attachments.blob_folder import BlobFile, BlobFolder
from edge.attachments.media_types import HEAD_BYTES, check_media_type
from edge.attachments.room import AttachmentsFull
from security.attachment import AttachmentSeal, AttachmentSealer

log = structlog.get_logger()


class Intake:
    """Of one folder. `require_room` raises AttachmentsFull; it is asked at every part, when `incoming_bytes` counts that, too."""

    def __init__(self, folder: BlobFolder, require_room: Callable[[], None]) -> None:
        self._folder = folder
        self._require_room = require_room
        self.incoming_bytes = 0

    async def take(self, parts: AsyncIterator[bytes], said: str | None) -> tuple[str, AttachmentSeal]:
        """The media type, and how it was sealed; durable when it returns. What `parts` raises leaves nothing behind.

        Raises AttachmentsFull, TooLarge, UnknownMediaType.
        """
        file = self._folder.begin()
        try:
            return await self._sealed(parts, file, said)
        except BaseException:  # of a sender who hangs up or is cancelled, too
            await asyncio.to_thread(file.discard)
            raise

    async def _sealed(self, parts: AsyncIterator[bytes], file: BlobFile, said: str | None) -> tuple[str, AttachmentSeal]:
        sealer, head, taken = AttachmentSealer(), b"", 0
        try:
            async for part in parts:
                head += part[:HEAD_BYTES - len(head)]
                if len(head) == HEAD_BYTES:
                    check_media_type(head, said)
                taken += len(part)
                self.incoming_bytes += len(part)
                self._require_room()
                await _whole(partial(_seal_into, file, sealer, part))
            media_type = check_media_type(head, said)
            rest, seal = sealer.end()
            await _whole(partial(file.finish, rest, seal.address))
        finally:
            self.incoming_bytes -= taken
        return media_type, seal


def _seal_into(file: BlobFile, sealer: AttachmentSealer, part: bytes) -> None:
    file.write(sealer.add(part))


async def _whole(step: Callable[[], None]) -> None:
    """In a thread, to its end: who is cancelled may only then take away what it has written. Raises AttachmentsFull."""
    running = asyncio.ensure_future(asyncio.to_thread(step))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        running.exception()  # nobody waits for it any more
        raise
    except OSError as error:
        log.warning("attachment not kept", reason=str(error), next="make room on this machine's disk")
        raise AttachmentsFull(str(error)) from error
