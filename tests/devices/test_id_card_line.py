"""One command, its own answer: on a line that is played byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import pytest

from devices.contract import DeviceFault, DeviceUnavailable
from devices.id_card_frames import FIND, READ, READ_NEWEST_ADDRESS, SAM_ID, SELECT, encode
from devices.id_card_line import BAUDS, Bauds, CardLine, card_line
from tests import played_time

NUMBER = bytes(15) + b"\1"
FOUND, NONE = b"\x00\x00\x9f" + bytes(4), b"\x00\x00\x80"
SELECTED = b"\x00\x00\x90" + bytes(8)
MINE, OTHERS = (b"\x00\x00\x90\x01\x00\x04\x00" + bytes([who]) * 1280 for who in (1, 2))
SAM = b"\x00\x00\x90" + NUMBER
TEST_MAX_S = 60.0


class Played:
    """A wire that answers the n-th command with the n-th of `answers`, each the bytes on the line, or nothing."""

    simulated = True

    def __init__(self, *answers: bytes) -> None:
        self.commands: list[bytes] = []
        self.opened: list[int] = []
        self._answers = list(answers)
        self._came = asyncio.Event()
        self._unread = b""

    def at(self, baud: int) -> Self:
        self.opened.append(baud)
        return self

    def comes(self, data: bytes) -> None:
        self._unread += data
        self._came.set()

    async def write(self, data: bytes) -> None:
        self.commands.append(data[7:-1])
        if self._answers and (answer := self._answers.pop(0)):
            self.comes(answer)

    async def read(self) -> bytes:
        while not self._unread:
            self._came.clear()
            await self._came.wait()
        data, self._unread = self._unread, b""
        return data

    def discard(self) -> None:
        self._unread = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def run(act: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(TEST_MAX_S):
            await act()

    played_time.run(bounded())


def test_what_came_before_a_command_is_not_its_answer() -> None:
    async def act() -> None:
        wire = Played(encode(SAM), encode(FOUND), encode(FOUND))
        line = CardLine(wire, BAUDS[0])
        assert (await line.ask(FIND)).status == 0x9F
        wire.comes(encode(NONE))
        assert (await line.ask(FIND)).status == 0x9F

    run(act)


def test_what_cannot_be_an_answer_to_the_command_is_passed_over() -> None:
    async def act() -> None:
        every = [encode(one) for one in (SAM, FOUND, NONE, SELECTED, MINE, b"\x00\x00\x91", b"\x00\x00\x41")]
        for command, answer in ((FIND, NONE), (SELECT, SELECTED), (READ, MINE), (READ_NEWEST_ADDRESS, b"\x00\x00\x91")):
            others = [one for one in every if one != encode(answer)]
            if command == FIND:
                others.remove(encode(FOUND))
            if command in (READ, READ_NEWEST_ADDRESS):
                others.remove(encode(b"\x00\x00\x41"))
            wire = Played(encode(SAM), b"".join(others) + encode(answer))
            got = await CardLine(wire, BAUDS[0]).ask(command)
            assert encode(answer)[7:-1] == bytes([0, 0, got.status]) + got.data

    run(act)


def test_after_a_lost_answer_nothing_is_believed_before_the_reader_told_its_number() -> None:
    """A reading that comes too late, after the next one was asked for, is not taken for it."""

    async def act() -> None:
        wire = Played(encode(SAM), b"", encode(OTHERS) + encode(SAM), encode(MINE))
        got = await CardLine(wire, BAUDS[0]).ask(READ)
        assert wire.commands == [SAM_ID, READ, SAM_ID, READ]
        assert got.data == MINE[3:]

    run(act)


def test_an_answer_that_was_given_up_is_owed_by_the_next_command_too() -> None:
    async def act() -> None:
        wire = Played(encode(SAM))
        line = CardLine(wire, BAUDS[0])
        asking = asyncio.create_task(line.ask(READ))
        await asyncio.sleep(0.02)
        asking.cancel()
        await asyncio.wait([asking])
        wire._answers = [encode(OTHERS) + encode(SAM), encode(MINE)]
        assert (await line.ask(READ)).data == MINE[3:]
        assert wire.commands == [SAM_ID, READ, SAM_ID, READ]

    run(act)


@pytest.mark.parametrize("status", [0x10, 0x11, 0x21, 0x24])
def test_a_command_that_the_reader_heard_badly_is_said_again(status: int) -> None:
    async def act() -> None:
        wire = Played(encode(SAM), encode(bytes([0, 0, status])), encode(MINE))
        assert (await CardLine(wire, BAUDS[0]).ask(READ)).data == MINE[3:]

    run(act)


def test_a_damaged_answer_is_asked_for_again_at_once() -> None:
    async def act() -> None:
        broken = bytearray(encode(MINE))
        broken[-1] ^= 1
        clock = asyncio.get_running_loop().time
        before = clock()
        wire = Played(encode(SAM), bytes(broken), encode(SAM), encode(MINE))
        assert (await CardLine(wire, BAUDS[0]).ask(READ)).data == MINE[3:]
        assert clock() - before < 1.0

    run(act)


def test_a_reader_that_babbles_is_given_up() -> None:
    async def act() -> None:
        wire = Played()
        line = CardLine(wire, BAUDS[0])

        async def babble() -> None:
            while True:
                wire.comes(b"\xaa\xaa\xaa\x96\x69\x05")
                await asyncio.sleep(0.01)

        babbling = asyncio.create_task(babble())
        with pytest.raises(DeviceFault, match="不完整"):
            await line.ask(FIND)
        babbling.cancel()
        await asyncio.wait([babbling])

    run(act)


def test_another_reader_on_the_same_line_is_noticed() -> None:
    async def act() -> None:
        wire = Played(encode(SAM), b"", encode(b"\x00\x00\x90" + bytes(16)))
        line = CardLine(wire, BAUDS[0])
        with pytest.raises(DeviceUnavailable, match="另一台"):
            await line.ask(READ)

    run(act)


def test_the_likeliest_baud_rate_is_tried_twice_and_then_the_others() -> None:
    async def act() -> None:
        bauds = Bauds()
        for answers, opened in (
            ([b"", encode(SAM), encode(SAM)], [115200, 115200]),
            ([b""] * 4 + [encode(SAM)] * 2, [115200, 115200, 57600, 38400, 19200]),
            ([encode(SAM)] * 2, [19200]),
        ):
            wire = Played(*answers)
            async with card_line(wire.at, bauds) as line:
                assert line.sam_id == "00.00-00000000-0000000000-0016777216"
            assert wire.opened == opened
        wire = Played()
        with pytest.raises(DeviceFault, match="没有应答"):
            async with card_line(wire.at, bauds):
                pytest.fail("nobody answered")
        assert wire.opened == [19200, 19200, 115200, 57600, 38400, 9600]

    run(act)


def test_a_number_that_was_heard_wrongly_is_no_reader_s() -> None:
    """Two wrong bytes may have the right check."""

    async def act() -> None:
        wrong = bytearray(encode(SAM))
        wrong[12] ^= 0x20
        wrong[13] ^= 0x20
        with pytest.raises(DeviceUnavailable):
            async with card_line(Played(bytes(wrong), encode(SAM)).at, Bauds()):
                pytest.fail("it has a wrong number")

    run(act)
