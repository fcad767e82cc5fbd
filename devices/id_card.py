"""Driver for readers of ID cards at a serial port (GA/T 467, business-terminal interface)."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import Self

from devices import id_card_fields as fields
from devices import id_card_frames as frames
from devices.contract import (
    CardAbsent,
    CardRefused,
    DeviceError,
    DeviceFault,
    DeviceIdentity,
    DeviceState,
    DeviceStatus,
    DeviceUnavailable,
    Reading,
    now,
)
from devices.id_card_fields import IdCard
from devices.id_card_line import NOT_SELECTED, NOTHING_MORE, UNKNOWN_COMMAND, Bauds, CardLine, OpenLine, card_line

KIND = "id-card"
MODEL = "GA/T 467"
POLL_S = 0.1  # a card that is laid down waits half of this on average; each look costs about 0.2 ms of a core
BETWEEN_READS_MAX_S = 0.5  # besides the time of one reading: no hand changes a card for another and back within both
READING_MAX_S = 1.0  # what counts as that, besides its time on the line
TRIES_MAX = 3

NOT_OPEN = "身份证读卡器未打开。请重新开始读卡。"
MOVED = "证件没有读完就被移动或换过了。请把证件平放在读卡器上，读完再拿开。"
NOT_READ = "没有读出证件。请拿起证件，重新平放在读卡器上；仍不行请到公安机关检查证件。"
NOT_AN_ID_CARD = "这张卡不是可以在这里读的身份证件，或者芯片坏了。请换身份证件再放；仍不行请到公安机关检查证件。"
NOT_GENUINE = "这张证件没有通过读卡器的安全认证。请重新放一次；仍不行请用其他证件，并到公安机关检查证件。"
REFUSALS = {
    0x31: NOT_GENUINE,
    0x32: NOT_GENUINE,
    0x33: NOT_GENUINE,
    0x40: NOT_AN_ID_CARD,
    NOT_SELECTED: NOT_AN_ID_CARD,
}


class IdCardDriver:
    """`async with IdCardDriver(name, partial(SerialPort, path), bauds) as driver: reading = await driver.read()`.

    `bauds` outlives the drivers of one reader. Fingerprints are read only where `fingerprints` says so.
    """

    kind = KIND

    def __init__(
        self,
        name: str,
        open_line: OpenLine,
        bauds: Bauds,
        *,
        fingerprints: bool = False,
        now: Callable[[], datetime] = now,
    ) -> None:
        self._name = name
        self._open_line = open_line
        self._bauds = bauds
        self._read_command = frames.READ_WITH_FINGERPRINTS if fingerprints else frames.READ
        self._now = now
        self._stack = AsyncExitStack()
        self._line: CardLine | None = None

    async def probe(self) -> DeviceStatus:
        """Ask the reader for its number; at each baud rate, until it answers. Touches no card."""
        try:
            async with card_line(self._open_line, self._bauds) as line:
                return DeviceStatus(DeviceState.ONLINE, DeviceIdentity(MODEL, line.sam_id))
        except DeviceError as error:
            return DeviceStatus(error.state)

    async def __aenter__(self) -> Self:
        self._line = await self._stack.enter_async_context(card_line(self._open_line, self._bauds))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line = None
        await self._stack.aclose()

    async def read(self) -> Reading[IdCard]:
        """The card that lies on the reader, or the next that is laid on it; it is waited for until cancelled.

        CardAbsent: lifted or changed in the middle. CardRefused: not such a card. DeviceFault: it cannot be read.
        """
        if self._line is None:
            raise DeviceUnavailable(NOT_OPEN)
        line = self._line
        while not await _lies_there(line):
            await asyncio.sleep(POLL_S)
        card = await self._read_card(line)
        return Reading(self._name, KIND, card, line.simulated, self._now(), serial=line.sam_id)

    async def _read_card(self, line: CardLine) -> IdCard:
        last: DeviceError = CardAbsent(MOVED)
        for _ in range(TRIES_MAX):
            try:
                return await read_card(line, self._read_command)
            except _NotRead as error:
                last = error.ending
            if not await _lies_there(line):
                raise CardAbsent(MOVED)
        raise last


async def read_card(line: CardLine, read_command: bytes = frames.READ) -> IdCard:
    """Select the card that was found, read it and its newest address, and both again: the same bytes each time, or none.

    A selection is of one card, so a reader refuses to go on with another. Some select by themselves whatever lies there;
    then the address, which names nobody, could be another person's, and the second reading shows the change. It also
    finds what the one-byte check of a frame misses.
    """
    clock = asyncio.get_running_loop().time
    _done(await line.ask(frames.SELECT), frames.DONE)
    asked_at = clock()
    first = _done(await line.ask(read_command), frames.DONE)
    read_at = clock()
    address = await _newest_address(line)
    again_at = clock()
    second = await line.ask(read_command)
    if second.status != frames.DONE and await _lies_there(line):  # some read once for each selection
        _done(await line.ask(frames.SELECT), frames.DONE)
        again_at = clock()
        second = await line.ask(read_command)
    ended_at = clock()
    # The shorter of the two: where this machine stood still in the first one, a hand did not.
    reading_s = min(read_at - asked_at, ended_at - again_at, READING_MAX_S + line.reading_s)
    between_s = ended_at - read_at - reading_s
    if first != second or between_s > BETWEEN_READS_MAX_S or await _newest_address(line) != address:
        raise _NotRead(CardAbsent(MOVED))
    await line.ask(frames.SAM_ID)  # the number that the reading carries is that of the reader which read it
    return fields.id_card(first.data, fields.newest_address(address.data) if address.status == frames.DONE else None)


async def _newest_address(line: CardLine) -> frames.Answer:
    return _done(await line.ask(frames.READ_NEWEST_ADDRESS), frames.DONE, NOTHING_MORE, UNKNOWN_COMMAND)


class _NotRead(Exception):
    """Once more, and if it stays so, `ending`."""

    def __init__(self, ending: DeviceError) -> None:
        super().__init__(str(ending))
        self.ending = ending


async def _lies_there(line: CardLine) -> bool:
    return (await line.ask(frames.FIND)).status == frames.FOUND


def _done(answer: frames.Answer, *statuses: int) -> frames.Answer:
    if answer.status in REFUSALS:
        raise _NotRead(CardRefused(REFUSALS[answer.status]))
    if answer.status not in statuses:
        raise _NotRead(DeviceFault(NOT_READ, DeviceState.USER_ERROR))
    return answer
