"""Follows the readers and cards that pcscd sees, in a thread of its own, through pcscd's restarts."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from devices import pcsc_calls as pcsc
from devices.cards import ReaderState
from devices.contract import DeviceState
from devices.sdk_thread import SdkThread

LOOK_AGAIN_MS = 1000  # a reader that came between listing and waiting shows up at the next look
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
STOP_MAX_S = 2.0
STOP_POLL_S = 0.02

Report = Callable[[DeviceState, tuple[ReaderState, ...]], None]
log = logging.getLogger(__name__)


class Monitor:
    """Calls `report` from its thread: once after the first look, then after every change."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._thread = threading.Thread(target=self._run, name="pcsc monitor", daemon=True)
        self._stopping = threading.Event()
        self._context: int | None = None
        self._insertions: dict[str, tuple[int, int]] = {}  # reader: (pcscd's event count, our insertion number)
        self._last: tuple[DeviceState, tuple[ReaderState, ...]] | None = None

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> bool:
        """End the thread; False when pcscd held it for STOP_MAX_S, then it is left behind (a daemon thread)."""
        self._stopping.set()
        canceller = SdkThread("pcsc cancel")
        last_look = time.monotonic() + STOP_MAX_S
        while self._thread.is_alive() and time.monotonic() < last_look:
            if not canceller.stuck:  # a cancel before the wait began is lost, so it is said again
                await canceller.finish(self._cancel, STOP_POLL_S)
            await asyncio.sleep(STOP_POLL_S)
        await canceller.stop(STOP_POLL_S)
        return not self._thread.is_alive()

    def _cancel(self) -> None:
        if (context := self._context) is not None:
            pcsc.cancel(context)

    def _run(self) -> None:
        backoff_s = BACKOFF_FIRST_S
        while not self._stopping.is_set():
            try:
                with self._held_context() as context:
                    backoff_s = BACKOFF_FIRST_S
                    self._follow(context)
            except pcsc.PcscError as error:
                news = self._tell(DeviceState.OFFLINE, ())
                if news and not self._stopping.is_set():
                    log.warning("card service unreachable (%s), looked for until it comes; start pcscd", error)
                self._stopping.wait(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)

    @contextmanager
    def _held_context(self) -> Iterator[int]:
        context = self._context = pcsc.establish()
        try:
            yield context
        finally:
            self._context = None
            pcsc.release(context)

    def _follow(self, context: int) -> None:
        known: dict[str, int] = {}
        seen: dict[str, ReaderState] = {}
        while not self._stopping.is_set():
            names = pcsc.readers(context)
            known = {name: known.get(name, pcsc.STATE_UNAWARE) for name in names}
            seen = {name: state for name, state in seen.items() if name in known}
            if all(name in seen for name in names):
                self._tell(DeviceState.ONLINE, tuple(seen.values()))
            try:
                changes = pcsc.status_change(context, LOOK_AGAIN_MS, [(pcsc.NEW_READERS, 0), *known.items()])
            except pcsc.PcscError as error:
                if error.code != pcsc.UNKNOWN_READER:  # unplugged since it was listed
                    raise
                continue
            for name, state, atr in changes:
                if name in known:
                    known[name] = state & ~pcsc.STATE_CHANGED
                    seen[name] = self._reader_state(name, state, atr)

    def _reader_state(self, name: str, state: int, atr: bytes) -> ReaderState:
        present = bool(state & pcsc.STATE_PRESENT)
        events, insertion = self._insertions.get(name, (-1, 0))
        if present and state >> pcsc.CARD_EVENTS_SHIFT != events:
            events, insertion = state >> pcsc.CARD_EVENTS_SHIFT, insertion + 1
        self._insertions[name] = (events, insertion)
        if state & (pcsc.STATE_UNKNOWN | pcsc.STATE_UNAVAILABLE):
            return ReaderState(name, DeviceState.HARDWARE_ERROR, False, b"", insertion)
        if state & pcsc.STATE_MUTE:
            return ReaderState(name, DeviceState.USER_ERROR, True, b"", insertion)
        return ReaderState(name, DeviceState.ONLINE, present, atr if present else b"", insertion)

    def _tell(self, service: DeviceState, states: tuple[ReaderState, ...]) -> bool:
        """Whether it was news."""
        if (service, states) == self._last:
            return False
        if service is DeviceState.ONLINE and self._last == (DeviceState.OFFLINE, ()):
            log.info("card service is there again")
        self._last = (service, states)
        self._report(service, states)
        return True
