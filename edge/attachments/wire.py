"""The `Attach` stream as plain questions and answers: one message in flight, so that a record never waits behind more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from enum import IntEnum

from edge.line import HubRefused, LineLost
from proto import sync_pb2

ANSWER_MAX_S = 30.0
QUESTION_MAX = 256

Up = sync_pb2.AttachUp
Down = sync_pb2.AttachDown
Attach = Callable[[AsyncIterator[Up]], AsyncGenerator[Down, None]]


class Fate(IntEnum):
    """What the hub says of an attachment (AttachAnswer.Fate)."""

    WANTED = 0
    UNNAMED = 1
    HELD = 2
    SAFE = 3
    MISSED = 4


class Exchange:
    """One stream, open. Raises LineLost, HubRefused."""

    def __init__(self, said: asyncio.Queue[Up], answers: AsyncGenerator[Down, None]) -> None:
        self._said = said
        self._answers = answers

    async def fates(self, addresses: Sequence[bytes]) -> list[Fate]:
        """Of each, up to QUESTION_MAX."""
        answer = await self._say(Up(question=sync_pb2.AttachQuestion(addresses=b"".join(addresses))), "answer")
        fates = answer.answer.fates
        if len(fates) != len(addresses) or not set(fates) <= set(Fate):
            raise HubRefused("the hub's answer about attachments cannot be read; is it of the same version?")
        return [Fate(one) for one in fates]

    async def part(self, address: bytes, size: int, offset: int, data: bytes) -> int:
        """How many bytes the hub holds then: its word counts. All of them: it is verified and durable there."""
        part = sync_pb2.AttachPart(address=address, size=size, offset=offset, data=data)
        standing = (await self._say(Up(part=part), "standing")).standing
        if standing.address != address or standing.held > size:
            raise HubRefused("the hub's answer about an attachment cannot be read; is it of the same version?")
        return standing.held

    async def _say(self, message: Up, expected: str) -> Down:
        await self._said.put(message)
        return _expected(await self._heard(), expected)

    async def _heard(self) -> Down:
        try:
            async with asyncio.timeout(ANSWER_MAX_S):
                message = await anext(self._answers, None)
        except TimeoutError as error:
            raise LineLost("the hub does not answer about attachments; check the line, and the hub") from error
        if message is None:
            raise LineLost("the hub has ended the stream")
        return message


@asynccontextmanager
async def exchange(attach: Attach) -> AsyncIterator[Exchange]:
    """A stream. `attach` is the stub's method, or a stand-in of the same shape."""
    said: asyncio.Queue[Up] = asyncio.Queue(1)

    async def messages() -> AsyncGenerator[Up, None]:
        while True:
            yield await said.get()

    answers = attach(messages())
    try:
        yield Exchange(said, answers)
    finally:
        await answers.aclose()


def _expected(message: Down, kind: str) -> Down:
    if message.HasField("refusal"):
        raise HubRefused(f"{sync_pb2.AttachRefusal.Reason.Name(message.refusal.reason)}: {message.refusal.hint}")
    if not message.HasField(kind):
        raise HubRefused("the hub's answer about attachments cannot be read; is it of the same version?")
    return message
