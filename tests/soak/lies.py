"""What a hub can say that is not so: each lie takes the words of an honest hub, and says something else."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from proto import sync_pb2
from tests.soak.between import REPLICATE, WATCH, CutHere, Raw, Write

FLOOD_MESSAGES = 200_000
HUGE_BYTES = 9 * 1024 * 1024  # gRPC at the edge takes 8 MiB
FOREVER_S = 3_600.0
Word = sync_pb2.ReplicateDown
Tell = Callable[[Any, Write], Awaitable[None]]  # the parsed word, and where to say another
Change = Callable[[Word], None]


@dataclass(frozen=True)
class Lie:
    """`stops`: as far as the machine can tell, its journal has a twin; it begins anew, and somebody approves that. `alarms`: it
    has to raise an alarm that stays. `noticed`: the line says what is wrong while it lasts. `silent`: nothing is said at all.
    """

    name: str
    tell: Tell
    stops: bool = False
    alarms: bool = False
    noticed: bool = True
    silent: bool = False
    method: str = REPLICATE


@dataclass
class Liar:
    """Tells one lie whenever it can; counts the words that did not get through as they were."""

    lie: Lie
    told: int = 0

    def __post_init__(self) -> None:
        self._tells: dict[Write, Tell] = {}  # of each stream, for some remember what they heard: a machine has two journals

    async def up(self, number: int, message: Raw, write: Write) -> None:
        await write(message)

    async def down(self, number: int, message: Raw, write: Write) -> None:
        written: list[bool] = []

        async def compared(data: Raw) -> None:
            written.append(data == message)
            self.told += len(written) == 2 or not written[0]
            await write(data)

        if self.lie.silent:
            self.told += 1
        word = Word.FromString(message) if self.lie.method == REPLICATE else sync_pb2.WatchDown.FromString(message)
        if write not in self._tells:
            self._tells[write] = copy.deepcopy(self.lie.tell)
        await self._tells[write](word, compared)


def _standing(change: Callable[[sync_pb2.Standing], None], *, hello: bool = True, later: bool = True) -> Tell:
    """Changes hellos, acknowledgements, or both."""

    async def tell(word: Word, write: Write) -> None:
        kind = word.WhichOneof("message")
        if (kind == "hello" and hello) or (kind == "standing" and later):
            change(getattr(word, kind))
        await write(word.SerializeToString())

    return tell


def _receipt(change: Callable[[sync_pb2.Receipt], None]) -> Tell:
    async def tell(word: Word, write: Write) -> None:
        if word.WhichOneof("message") == "receipt":
            change(word.receipt)
        await write(word.SerializeToString())

    return tell


def _set(name: str, value: object) -> Callable[[object], None]:
    return lambda message: setattr(message, name, value)


def _flip(name: str) -> Callable[[object], None]:
    """One bit of a field of bytes, or of the first hash of a list."""

    def change(message: object) -> None:
        value = getattr(message, name)
        if isinstance(value, bytes):
            setattr(message, name, _flipped(value))
        elif value:
            value[0] = _flipped(value[0])

    return change


def _flipped(value: bytes) -> bytes:
    return value[:-1] + bytes([value[-1] ^ 1]) if value else b"\1"


def _forge_note(receipt: sync_pb2.Receipt) -> None:
    """Another size under the same signature."""
    origin, size, *rest = receipt.checkpoint.split("\n")
    receipt.checkpoint = "\n".join([origin, str(int(size) + 1), *rest])


def _forge_time(standing: sync_pb2.Standing) -> None:
    standing.time.unix_ms += 1


def _refusal(reason: int, position: int = 0) -> Tell:
    async def tell(_word: Word, write: Write) -> None:
        refusal = sync_pb2.Refusal(position=position, hint="a lie")
        refusal.reason = reason  # type: ignore[assignment] # a number that no version knows, too
        await write(Word(refusal=refusal).SerializeToString())
        raise CutHere("the hub's last word")

    return tell


async def _garbage(_word: Word, write: Write) -> None:
    await write(b"\xff\xff\xff\xff nonsense")


async def _empty(_word: Word, write: Write) -> None:
    await write(b"")


async def _huge(_word: Word, write: Write) -> None:
    await write(bytes(HUGE_BYTES))


async def _end(_word: Word, _write: Write) -> None:
    raise CutHere("over before it began")


async def _silence(_word: Word, _write: Write) -> None:
    await asyncio.sleep(FOREVER_S)


async def _silence_after_hello(word: Word, write: Write) -> None:
    if word.WhichOneof("message") == "hello":
        await write(word.SerializeToString())
    await asyncio.sleep(FOREVER_S)


async def _endless(word: Word, write: Write) -> None:
    """The same word for ever."""
    for _ in range(FLOOD_MESSAGES):
        await write(word.SerializeToString())
        await asyncio.sleep(0)


async def _hello_again(word: Word, write: Write) -> None:
    if word.WhichOneof("message") == "standing":
        word = Word(hello=word.standing)
    await write(word.SerializeToString())


class _First:
    """The first word of a kind, again and again."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._first: Word | None = None

    async def __call__(self, word: Word, write: Write) -> None:
        if word.WhichOneof("message") == self._kind:
            self._first = self._first or word
            word = self._first
        await write(word.SerializeToString())


class _Old:
    """After each receipt the one that came before it."""

    def __init__(self) -> None:
        self._before: Word | None = None

    async def __call__(self, word: Word, write: Write) -> None:
        await write(word.SerializeToString())
        if word.WhichOneof("message") == "receipt":
            if self._before:
                await write(self._before.SerializeToString())
            self._before = word


async def _resource(_word: sync_pb2.WatchDown, write: Write) -> None:
    version = sync_pb2.ResourceVersion(name="catalogue", epoch=9, number=9)
    payload = sync_pb2.ResourcePayload(audience="all", version=version, content=b"a lie").SerializeToString()
    resource = sync_pb2.Resource(key_id=bytes(32), payload=payload, signature=bytes(64))
    await write(sync_pb2.WatchDown(resource=resource).SerializeToString())


async def _epoch(_word: Word, write: Write) -> None:
    await write(Word(epoch="suozhan.hub/epoch\na lie\n\n\u2014 suozhan.hub/x AAAAAAAA\n").SerializeToString())


def _add(name: str, by: int) -> Callable[[object], None]:
    return lambda message: setattr(message, name, getattr(message, name) + by)


LIES = (
    Lie("hello: a position beyond the journal", _standing(_add("position", 1_000), later=False), stops=True),
    Lie("hello: a position that no database can hold", _standing(_set("position", 2**63 + 5), later=False)),
    Lie("hello: another history", _standing(_flip("digest"), later=False), noticed=False),  # its next word agrees
    Lie("hello: a digest of 31 bytes", _standing(_set("digest", bytes(31)), later=False)),
    Lie("hello: no digest", _standing(_set("digest", b""), later=False)),
    Lie("hello: more backed up than held", _standing(_add("backed_up", 10**9), later=False)),
    Lie("hello: a time that nobody signed", _standing(_forge_time, later=False)),
    Lie("hello, again and again", _hello_again, noticed=False),
    Lie("acknowledgement: a position beyond the journal", _standing(_add("position", 1_000), hello=False)),
    Lie("acknowledgement: another history", _standing(_flip("digest"), hello=False)),  # each hello agrees: no twin
    Lie("acknowledgements that go back", _First("standing"), noticed=False),
    Lie("acknowledgement: a time that nobody signed", _standing(_forge_time, hello=False)),
    Lie("receipt: a forged checkpoint", _receipt(_forge_note), alarms=True, noticed=False),
    Lie("receipt: a forged proof", _receipt(_flip("inclusion")), alarms=True, noticed=False),
    Lie("receipt: a log that did not grow out of the last", _receipt(_flip("consistency")), alarms=True, noticed=False),
    Lie("receipt: of the record before", _receipt(_add("position", -1)), alarms=True, noticed=False),
    Lie("receipt: of a record that was never written", _receipt(_add("position", 1_000)), alarms=True, noticed=False),
    Lie("receipt: another place in the tree", _receipt(_add("index", 1)), alarms=True, noticed=False),
    Lie("receipt: another time of arrival", _receipt(_add("arrived_ms", 1)), alarms=True, noticed=False),
    Lie("receipt: the same again and again", _First("receipt"), noticed=False),
    Lie("receipt: an old checkpoint", _Old(), alarms=True, noticed=False),
    Lie("an epoch that nobody signed", _epoch, alarms=True, noticed=False),
    Lie("bytes that are no message", _garbage),
    Lie("an empty message", _empty),
    Lie("a message of 9 MB", _huge),
    Lie("the end at once", _end, silent=True),
    Lie("silence", _silence, silent=True),
    Lie("silence after the hello", _silence_after_hello, silent=True),
    Lie("an endless stream", _endless, noticed=False),
    *(Lie(f"refusal: {name}", _refusal(number, 2**64 - 1), stops=name in ("FORKED", "RESTORED", "CLOSED"))
      for name, number in sync_pb2.Refusal.Reason.items()),
    Lie("refusal: a reason that does not exist", _refusal(99)),
    Lie("watch: bytes that are no message", _garbage, noticed=False, method=WATCH),
    Lie("watch: a resource that nobody signed", _resource, noticed=False, method=WATCH),
    Lie("watch: an endless stream", _endless, noticed=False, method=WATCH),
    Lie("watch: silence", _silence, noticed=False, silent=True, method=WATCH),
)
