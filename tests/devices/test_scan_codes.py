"""Pauses between what a scanner sends, and pauses of this machine, which are none of the scanner's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from devices.contract import DeviceFault, now
from devices.scan_codes import HELD_UP_S, PAUSE_MAX_S, QUIET_MIN_S, Codes
from tests import played_time
from tests.played_time import PlayedTime

END = b"\r"


class Line:
    """What was sent lies in the kernel until the loop runs."""

    def __init__(self) -> None:
        self._sent: asyncio.Queue[bytes] = asyncio.Queue()

    def sends(self, data: bytes) -> None:
        self._sent.put_nowait(data)

    async def read(self) -> bytes:
        return await self._sent.get()


Act = Callable[[Line, Codes], Awaitable[None]]


def on(act: Act) -> None:
    async def run() -> None:
        line = Line()
        codes = Codes(line.read, now)
        await act(line, codes)
        await codes.stop()

    played_time.run(run())


def stand_still(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PlayedTime)
    loop.hold_up(seconds)


async def text(codes: Codes) -> bytes:
    return bytes((await codes.next()).units)


def test_what_was_shown_before_is_no_code_though_the_machine_stood_still_in_the_beginning() -> None:
    async def act(line: Line, codes: Codes) -> None:
        await asyncio.sleep(0)  # the pump waits
        stand_still(PAUSE_MAX_S + 1)
        asyncio.get_running_loop().call_later(HELD_UP_S / 2, line.sends, b"BEFORE" + END)
        await codes.settle()
        await asyncio.sleep(HELD_UP_S)
        line.sends(b"MINE" + END)
        assert await text(codes) == b"MINE"

    on(act)


def test_the_other_half_is_no_code_though_the_machine_stood_still_before_it() -> None:
    async def act(line: Line, codes: Codes) -> None:
        await codes.settle()
        line.sends(b"1101")
        with pytest.raises(DeviceFault):
            await codes.next()
        stand_still(QUIET_MIN_S + 1)
        asyncio.get_running_loop().call_later(HELD_UP_S / 2, line.sends, b"05" + END)
        await asyncio.sleep(2 * QUIET_MIN_S)
        line.sends(b"WHOLE" + END)
        assert await text(codes) == b"WHOLE"

    on(act)


def test_a_machine_that_stood_still_in_the_middle_of_a_code_cuts_none() -> None:
    async def act(line: Line, codes: Codes) -> None:
        await codes.settle()
        line.sends(b"1101")
        await asyncio.sleep(PAUSE_MAX_S / 2)
        stand_still(PAUSE_MAX_S)
        asyncio.get_running_loop().call_later(HELD_UP_S / 2, line.sends, b"05" + END)
        assert await text(codes) == b"110105"

    on(act)
