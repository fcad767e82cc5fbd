"""An ID card reader at the end of a serial line: a command and the answer that is its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Protocol, Self

from devices import id_card_frames as frames
from devices.contract import DeviceFault, DeviceState, DeviceUnavailable
from devices.id_card_fields import sam_id
from devices.id_card_frames import Answer, Answers

BAUDS = (115200, 57600, 38400, 19200, 9600)  # those that a reader can be set to; the first is what they come with
BITS_A_BYTE = 10
SHORT_BYTES = 100  # all answers but a reading
SAM_ID_MAX_S = 0.5  # the module's own number, asked of no card
ANSWER_MAX_S = 1.5  # a read takes most readers under 1 s
QUIET_S = 0.3  # within an answer no reader pauses that long, and a busy machine does not either
TRIES_MAX = 3

NONE_FOUND, NOT_SELECTED, NOTHING_MORE, UNKNOWN_COMMAND = 0x80, 0x81, 0x91, 0x21
CARD_FAILED = {0x31, 0x32, 0x33, 0x40, 0x41, 0x47}
BADLY_HEARD = {0x10, 0x11, UNKNOWN_COMMAND, 0x24}  # the command was damaged on its way
UNFIT = {0x60, 0x66}  # self-test failed, not authorised: it takes no command
READ_MIN_BYTES = 4 + frames.TEXT_BYTES

SILENT = "身份证读卡器没有应答。请检查电源和连接线，拔下读卡器重新插上；仍不行请报修。"
GARBLED = "身份证读卡器传来的数据不完整。请检查连接线是否插紧，远离其他电器再试；仍不行请换一根线或报修。"
CHANGED = "身份证读卡器换成了另一台。请重新放证件再读。"
BROKEN = "身份证读卡器自检没有通过或没有授权（状态 {status:02X}），不能读卡。请报修或联系供应商。"

log = logging.getLogger(__name__)


class SerialLine(Protocol):
    """What is needed of the wire; the real one is `devices.serial_port.SerialPort`."""

    @property
    def simulated(self) -> bool: ...

    async def write(self, data: bytes) -> None: ...

    async def read(self) -> bytes: ...

    def discard(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


OpenLine = Callable[[int], SerialLine]  # by baud rate; opens nothing before it is entered


def _is_reading(answer: Answer) -> bool:
    return answer.status in CARD_FAILED or (answer.status == frames.DONE and len(answer.data) >= READ_MIN_BYTES)


FITS: Mapping[bytes, Callable[[Answer], bool]] = {
    frames.SAM_ID: lambda it: it.status == frames.DONE and len(it.data) == frames.SAM_ID_BYTES,
    frames.FIND: lambda it: it.status in (frames.FOUND, NONE_FOUND),
    frames.SELECT: lambda it: it.status == NOT_SELECTED or (it.status == frames.DONE and len(it.data) <= 8),
    frames.READ: _is_reading,
    frames.READ_WITH_FINGERPRINTS: _is_reading,
    frames.READ_NEWEST_ADDRESS: lambda it: (
        it.status in CARD_FAILED | {NOTHING_MORE, UNKNOWN_COMMAND}
        or (it.status == frames.DONE and len(it.data) in frames.ADDRESS_ANSWERS_BYTES)
    ),
}


class CardLine:
    """One reader that answered. The protocol does not say which command an answer belongs to, so that is held thus:

    what came before a command was sent is dropped, and so is what cannot be an answer to it; and after a command that
    got no whole answer nothing is believed before the reader has told its own number, which comes after all it still owed.
    """

    def __init__(self, line: SerialLine, baud: int) -> None:
        self.sam_id = ""
        self.simulated = line.simulated
        self.reading_s = frames.ANSWER_MAX_BYTES * BITS_A_BYTE / baud  # what the longest reading takes on the line
        self._line = line
        self._short_s = SHORT_BYTES * BITS_A_BYTE / baud
        self._in_step = False
        self._heard = False  # any byte at all since it was asked

    async def ask(self, command: bytes) -> Answer:
        """The answer to `command`, asked again when it was lost. DeviceFault when it is lost each time."""
        self._heard = False
        for _ in range(TRIES_MAX):
            if not self._in_step and not await self.fall_in():
                continue
            answer = await self._exchange(command)
            if answer is not None and FITS[command](answer):
                return answer
        raise DeviceFault(GARBLED) if self._heard else DeviceFault(SILENT, DeviceState.OFFLINE)

    async def fall_in(self) -> bool:
        """Ask the reader for its number; whether it answered."""
        answer = await self._exchange(frames.SAM_ID)
        self._in_step = answer is not None and FITS[frames.SAM_ID](answer)
        return self._in_step

    async def _exchange(self, command: bytes) -> Answer | None:
        self._in_step = False
        self._line.discard()
        await self._line.write(frames.encode(command))
        answer = await self._answer(command, SAM_ID_MAX_S if command == frames.SAM_ID else ANSWER_MAX_S)
        if answer is not None:
            self._in_step = True
            if answer.status in UNFIT:
                raise DeviceFault(BROKEN.format(status=answer.status))
            if command == frames.SAM_ID and answer.status == frames.DONE:
                self._is_still(sam_id(answer.data))
        return answer

    def _is_still(self, number: str) -> None:
        """At a serial socket without a plug signal, a change of reader shows in nothing but its number."""
        if self.sam_id not in ("", number):
            raise DeviceUnavailable(CHANGED)
        self.sam_id = number

    async def _answer(self, command: bytes, limit_s: float) -> Answer | None:
        """The first that fits; None at the limit, or at a pause after bytes that were none."""
        answers = Answers()
        clock = asyncio.get_running_loop().time
        long = command in (frames.READ, frames.READ_WITH_FINGERPRINTS)
        last = clock() + limit_s + (self.reading_s if long else self._short_s)
        while (left_s := last - clock()) > 0:
            broken = answers.unfinished or answers.damaged > 0
            try:
                async with asyncio.timeout(min(left_s, QUIET_S) if broken else left_s):
                    came = answers.feed(await self._line.read())
                self._heard = True
            except TimeoutError:
                came = answers.give_up()
                if not came:
                    return None
            for answer in came:
                if FITS[command](answer) or answer.status in BADLY_HEARD | UNFIT:
                    return answer
        return None


class Bauds:
    """Where to look for one reader. Its drivers share it, so that a reader which was found is found at once."""

    def __init__(self) -> None:
        self.last = BAUDS[0]

    def in_order(self) -> tuple[int, ...]:
        """The likeliest twice, since an answer may be lost."""
        return self.last, self.last, *(baud for baud in BAUDS if baud != self.last)


@asynccontextmanager
async def card_line(open_line: OpenLine, bauds: Bauds) -> AsyncIterator[CardLine]:
    """The reader, at the first baud rate at which it answers. Raises DeviceFault when it does at none."""
    for baud in bauds.in_order():
        async with open_line(baud) as line:
            one = CardLine(line, baud)
            if await one.fall_in():
                if baud != bauds.last:
                    log.info("the ID card reader answers at %d baud, not at %d", baud, bauds.last)
                bauds.last = baud
                await one.ask(frames.SAM_ID)  # twice the same: a number heard wrongly would pass for another reader
                yield one
                return
    raise DeviceFault(SILENT, DeviceState.OFFLINE)
