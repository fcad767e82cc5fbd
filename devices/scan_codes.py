"""From what a scanner sends, in pieces of any size and at any time, to whole codes."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from devices.contract import DeviceFault, Unreadable
from devices.scan_text import ENDS, UNITS_MAX

PAUSE_MAX_S = 0.3  # inside a code; scanners leave 0 to 100 ms between two keys, by radio up to 150
QUIET_MIN_S = 1.0  # after a half code: what comes sooner is its other half
SETTLE_MAX_S = 3.0
HELD_UP_S = 0.02
KEPT_MAX = 16
KEPT_MAX_S = 2.0  # a code that nobody asked for until then was not meant for who asks later

SPOILED = -1  # a unit that no code has: what came is no text
HALF = "只收到半个码。请重新扫一次；总是如此请管理员把扫码枪设置为“以回车结尾”。"
TOO_LONG = "这个码太长了。请确认扫的是业务用的码，再扫一次。"
ODD = "扫码枪发来了不认识的内容。请重新扫一次；总是如此请管理员检查扫码枪的设置（键盘布局为美式英语，关闭大写锁定）。"
BABBLES = "扫码枪不停地发送数据。请拔下扫码枪重新插上；仍不行请报修。"

log = logging.getLogger(__name__)
Units = Iterable[int]


@dataclass(frozen=True)
class Code:
    """All that was sent for one code, without its end: bytes, or what was typed (`devices.wedge_keys`)."""

    units: tuple[int, ...] = field(repr=False)
    observed_at: datetime


class Codes:
    """Pumps a wire and cuts what it gives at every end. What is not whole is no code, and two are never one.

    A code with a pause of PAUSE_MAX_S in it is spoiled, and so is all that comes before the scanner has been
    quiet for QUIET_MIN_S. One waits in `next` at a time.
    """

    def __init__(self, read: Callable[[], Awaitable[Units]], now: Callable[[], datetime]) -> None:
        self._read = read
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._units: list[int] = []
        self._foreign = False  # what is under way had begun before it was asked for
        self._whole: deque[tuple[float, Code | DeviceFault]] = deque(maxlen=KEPT_MAX)
        self._came = asyncio.Event()
        self._quiet = asyncio.Event()  # clear while all that comes is thrown away
        self._pause = self._loop.call_later(PAUSE_MAX_S, self._late)  # what is under way is no code
        self._pump = asyncio.create_task(self._keep_pumping(), name="scanner")
        self._pump.add_done_callback(self._ended)

    async def settle(self) -> None:
        """Wait for the moment from which every code counts. Raises DeviceFault when there is none."""
        try:
            async with asyncio.timeout(SETTLE_MAX_S):
                await self._quiet.wait()
        except TimeoutError as error:
            raise DeviceFault(BABBLES) from error

    async def next(self) -> Code:
        """The oldest code of the last KEPT_MAX_S, or the next. Raises DeviceFault in place of a code that was spoiled,
        and what ended the wire.
        """
        while True:
            while self._whole:
                came_at, code = self._whole.popleft()
                if self._loop.time() - came_at > KEPT_MAX_S:
                    log.info("a code that nobody was waiting for is forgotten")
                elif isinstance(code, DeviceFault):
                    raise code
                else:
                    return code
            if self._pump.done():
                self._pump.result()
            self._came.clear()
            await self._came.wait()

    def forget(self) -> None:
        """What came until now is for nobody: what is whole, what was spoiled, and all of a code of which the beginning came."""
        self._whole.clear()
        self._foreign = bool(self._units)

    async def stop(self) -> None:
        """Let go of the wire and forget everything."""
        self._pause.cancel()
        self._pump.cancel()
        await asyncio.wait([self._pump])
        self._whole.clear()

    def _spoil(self, hint: str) -> None:
        """What comes at this moment is no code: tell so once, then wait for quiet."""
        self._units.clear()
        if self._quiet.is_set():
            self._quiet.clear()
            self._put(Unreadable(hint))

    async def _keep_pumping(self) -> None:
        while True:
            self._take(await self._read())

    def _take(self, units: Units) -> None:
        for unit in units:
            if self._quiet.is_set():
                self._take_one(unit)
        self._pause.cancel()
        self._pause = self._loop.call_later(PAUSE_MAX_S if self._quiet.is_set() else QUIET_MIN_S, self._late)

    def _take_one(self, unit: int) -> None:
        if unit == SPOILED:
            self._spoil(ODD)
        elif unit not in ENDS:
            self._units.append(unit)
        elif self._units:
            self._put(Code(tuple(self._units), self._now()))
            self._units.clear()
        if len(self._units) > UNITS_MAX:
            self._spoil(TOO_LONG)

    def _late(self) -> None:
        """Was it the scanner that paused, or this loop? What came while the loop was held up is taken first."""
        self._pause = self._loop.call_later(HELD_UP_S, self._paused)

    def _paused(self) -> None:
        if self._units:
            self._spoil(HALF)
            self._pause = self._loop.call_later(QUIET_MIN_S, self._late)
        else:
            self._quiet.set()

    def _put(self, code: Code | DeviceFault) -> None:
        if self._foreign:
            self._foreign = False
            log.info("a code that had begun before anybody asked is forgotten")
            return
        self._whole.append((self._loop.time(), code))
        self._came.set()

    def _ended(self, pump: asyncio.Task[None]) -> None:
        if not pump.cancelled():
            pump.exception()  # told by `next`, if anybody asks
        self._came.set()
