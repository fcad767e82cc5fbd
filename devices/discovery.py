"""What is plugged into this machine, through udev: looked at once in the beginning, and again at every event."""

import asyncio
import logging
from contextlib import suppress
from types import TracebackType
from typing import Self

from pyudev import Context, Monitor

from devices.plugged import Plugged, plugged
from devices.sdk_thread import SdkThread

SUBSYSTEMS = ("tty", "input", "usb", "video4linux")
TOGETHER_S = 0.05  # one plugging is dozens of events
LOOK_MAX_S = 5.0
LOOK_AGAIN_S = 60.0  # where no udev tells of events
STOP_MAX_S = 1.0

log = logging.getLogger(__name__)


class Discovery:
    """`async with Discovery() as discovery:` follows it. An event is a hint, `plugged` is the truth.

    Knowing a device is no leave to use it: only what the site's device list names is opened.
    """

    def __init__(self) -> None:
        self._plugged: tuple[Plugged, ...] = ()
        self._generation = 0
        self._change = asyncio.Event()
        self._hint = asyncio.Event()
        self._thread = SdkThread("udev")
        self._context: Context | None = None  # the thread's: libudev's are not safe to share
        self._monitor: Monitor | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def plugged(self) -> tuple[Plugged, ...]:
        """All devices that are of use to us, by identity. A device may be several: a scanner and a printer."""
        return self._plugged

    @property
    def generation(self) -> int:
        """Rises with every change of `plugged`; take it before reading that. 0 until the first look."""
        return self._generation

    async def changed(self, after: int) -> int:
        """Wait until `generation` is above `after` and return it."""
        while self._generation <= after:
            await self._change.wait()
        return self._generation

    def find(self, identity: str) -> Plugged | None:
        """The device of that `Plugged.identity`, None while it is not plugged in."""
        return next((one for one in self._plugged if one.identity == identity), None)

    async def __aenter__(self) -> Self:
        self._monitor = Monitor.from_netlink(Context())
        for subsystem in SUBSYSTEMS:
            self._monitor.filter_by(subsystem)
        self._monitor.start()  # before the first look, so that nothing falls between
        asyncio.get_running_loop().add_reader(self._monitor.fileno(), self._told)
        self._following = asyncio.create_task(self._follow(), name="discovery")
        try:
            async with asyncio.timeout(LOOK_MAX_S):
                await self.changed(0)
        except TimeoutError:
            log.warning("udev gave no answer in %.0f s, going on without what is plugged in", LOOK_MAX_S)
        except asyncio.CancelledError:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._monitor is not None:
            asyncio.get_running_loop().remove_reader(self._monitor.fileno())
            self._monitor = None
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
        if not await self._thread.stop(STOP_MAX_S):
            log.warning("a look at udev hangs and was left behind")
        if following is not None and not following.cancelled():
            following.result()  # a bug: it ends by being cancelled only

    async def _follow(self) -> None:
        while True:
            self._hint.clear()
            try:
                self._tell(await self._thread.call(self._look, LOOK_MAX_S))
            except TimeoutError:
                log.warning("a look at udev takes longer than %.0f s", LOOK_MAX_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_S):
                    await self._hint.wait()
            await asyncio.sleep(TOGETHER_S)

    def _told(self) -> None:
        with suppress(OSError):  # more events than were kept: all the more reason to look
            while self._monitor is not None and self._monitor.poll(timeout=0) is not None:
                pass
        self._hint.set()

    def _look(self) -> tuple[Plugged, ...]:
        if self._context is None:
            self._context = Context()
        seen = []
        for subsystem in SUBSYSTEMS:
            for device in self._context.list_devices(subsystem=subsystem):
                one = plugged(subsystem, device.device_node, tuple(device.device_links), device.properties)
                if one is not None:
                    seen.append(one)
        return tuple(sorted(seen, key=lambda one: (one.identity, one.path)))

    def _tell(self, seen: tuple[Plugged, ...]) -> None:
        if seen == self._plugged and self._generation > 0:
            return
        for one in set(seen) - set(self._plugged):
            log.info("plugged in: %s %s at %s", one.kind, one.model, one.path)
        for one in set(self._plugged) - set(seen):
            log.info("unplugged: %s %s from %s", one.kind, one.model, one.path)
        self._plugged = seen
        self._generation += 1
        change, self._change = self._change, asyncio.Event()
        change.set()
