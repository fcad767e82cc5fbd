"""The `Attach` stream: each message is answered by itself, from what is held; nothing is remembered between two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from threading import Lock
from uuid import UUID

import sqlalchemy as sa
import structlog

from hub.attachments.inbox import Inbox, NoRoom, Part, PartMalformed, TooMuch
from hub.ledger.runs import HASH_BYTES
from hub.outage import trouble
from proto import sync_pb2
from security.tree import split_hashes

QUESTION_MAX = 256

Up = sync_pb2.AttachUp
Down = sync_pb2.AttachDown
Send = Callable[[Down], Awaitable[None]]
_Reason = sync_pb2.AttachRefusal

log = structlog.get_logger()


class AttachDesk:
    """Serves the machines' streams."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        # Of an old stream and a new one: one of them at a time writes, also when what it does in its thread outlives the stream.
        self._turns: dict[UUID, Lock] = {}

    async def serve(self, edge: UUID, incoming: AsyncIterator[Up], send: Send) -> None:
        """Until the machine ends the stream, or is refused with the last message."""
        try:
            async for message in incoming:
                await send(await asyncio.to_thread(self._in_turn, edge, message))
        except PartMalformed as error:
            await _refuse(edge, _Reason.MALFORMED, str(error), send)
        except TooMuch as error:
            await _refuse(edge, _Reason.TOO_MUCH, str(error), send)
        except (NoRoom, OSError) as error:
            await _refuse(edge, _Reason.UNAVAILABLE, f"{error}; the machine keeps its attachments, and tries again", send)
        except sa.exc.DBAPIError as error:
            if not (text := trouble(error)):
                raise
            await _refuse(edge, _Reason.UNAVAILABLE, text, send)

    def _in_turn(self, edge: UUID, message: Up) -> Down:
        with self._turns.setdefault(edge, Lock()):
            return self._answer(edge, message)

    def _answer(self, edge: UUID, message: Up) -> Down:
        match message.WhichOneof("message"):
            case "question":
                fates = self._inbox.fates(edge, _addresses(message.question.addresses))
                return Down(answer=sync_pb2.AttachAnswer(fates=[one.name for one in fates]))
            case "part":
                part = message.part
                if len(part.address) != HASH_BYTES:
                    raise PartMalformed("that is no address of an attachment")
                held = self._inbox.take(edge, Part(part.address, part.size, part.offset, part.data))
                return Down(standing=sync_pb2.AttachStanding(address=part.address, held=held))
        raise PartMalformed("a message that says nothing; is the machine of another version?")


def _addresses(joined: bytes) -> list[bytes]:
    if len(joined) % HASH_BYTES or len(joined) > QUESTION_MAX * HASH_BYTES:
        raise PartMalformed(f"a question names up to {QUESTION_MAX} addresses")
    return split_hashes(joined)


async def _refuse(edge: UUID, reason: sync_pb2.AttachRefusal.Reason, hint: str, send: Send) -> None:
    log.warning("attachments refused", edge=str(edge), reason=sync_pb2.AttachRefusal.Reason.Name(reason), hint=hint)
    await send(Down(refusal=sync_pb2.AttachRefusal(reason=reason, hint=hint)))
