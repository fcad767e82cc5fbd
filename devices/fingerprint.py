"""Driver for fingerprint readers: enrol a finger, compare a finger with a template one to one.

Any program that speaks the line protocol of `devices.fingerprint_worker` is such a reader; that program, not this driver, has
a stand-in. libfprint is asked directly and not through fprintd, which keeps prints on disk unsealed.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar
from uuid import UUID

from devices.contract import DeviceError, DeviceState, DeviceStatus, DeviceUnavailable, Reading, now
from devices.fingerprint_process import Event, FingerprintProcess, FingerprintSession

Data = TypeVar("Data")
KIND = "fingerprint"
RETRIES = {
    "too-short": "按得太快了。请把手指按住，等提示后再抬起。",
    "center-finger": "手指放偏了。请抬起手指，对准正中再按。",
    "remove-finger": "请把手指完全抬起，再重新按一次。",
}
UNCLEAR = "指纹不清楚。请擦净手指和指纹仪，抬起手指再按一次。"


@dataclass(frozen=True)
class Template:
    """What a reader compares a finger with. To be sealed before it is kept or sent; `repr` shows nothing of it."""

    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Match:
    """Whether the finger was that of the template: the answer to this request, and to no other."""

    request: UUID
    matched: bool

    def __bool__(self) -> bool:
        return self.matched


@dataclass(frozen=True)
class Feedback:
    """What to show to the person at the reader. `done` presses of `of` are taken; `of` is 0 where one is enough."""

    word: str
    hint: str
    done: int = 0
    of: int = 0


Tell = Callable[[Feedback], None]


def silent(_feedback: Feedback) -> None:
    """For whom nobody listens."""


class FingerprintDriver:
    """`async with FingerprintDriver(process, name) as driver: reading = await driver.enrol(tell)`.

    Nothing here has a time limit of its own, but libfprint lets go of a sensor that was on for about three minutes, so that
    it does not overheat: DeviceUnavailable in the state DEVICE_BUSY, for some minutes.
    """

    kind = KIND

    def __init__(
        self, process: FingerprintProcess, name: str, tell: Tell = silent, now: Callable[[], datetime] = now
    ) -> None:
        self._process = process
        self._name = name
        self._tell = tell
        self._now = now
        self._stack = AsyncExitStack()
        self._session: FingerprintSession | None = None

    async def probe(self) -> DeviceStatus:
        """Which reader it is, DEVICE_BUSY while it is held. Leaves the sensor dark."""
        try:
            found = await self._process.look()
        except DeviceError as error:
            return DeviceStatus(error.state, reasons=error.reasons)
        return DeviceStatus(DeviceState.DEVICE_BUSY if self._process.held else DeviceState.ONLINE, found.identity)

    async def __aenter__(self) -> Self:
        self._session = await self._stack.enter_async_context(self._process.opened())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session = None
        await self._stack.aclose()

    async def read(self) -> Reading[Template]:
        """Enrol: the only complete observation that a reader makes by itself. To compare takes a template and a request,
        and a single scan is an image of a finger, which nobody at a counter needs."""
        return await self.enrol(self._tell)

    async def enrol(self, tell: Tell) -> Reading[Template]:
        """The template of one finger, pressed as often as the reader asks for. Waits for it until cancelled.

        libfprint does not look whether all presses are of one finger: who enrols has to see whose it is.
        """
        session = self._opened()
        data = await session.enrol(_translated(tell))
        return self._reading(session, Template(data))

    async def verify(self, template: Template, request: UUID, tell: Tell | None = None) -> Reading[Match]:
        """Whether the finger that is pressed next is that of the template. Bad presses are told and waited out.

        TemplateRefused: it was made with another kind of reader.
        """
        session = self._opened()
        matched = await session.verify(template.data, _translated(tell or self._tell))
        return self._reading(session, Match(request, matched))

    def _opened(self) -> FingerprintSession:
        if self._session is None:
            raise DeviceUnavailable("指纹仪未打开。请重新开始采集或比对。")
        return self._session

    def _reading(self, session: FingerprintSession, data: Data) -> Reading[Data]:
        found = session.found
        return Reading(self._name, KIND, data, found.simulated, self._now(), serial=found.identity.serial)


def _translated(tell: Tell) -> Callable[[Event], None]:
    def event(said: Event) -> None:
        feedback = feedback_of(said)
        if feedback is not None:
            tell(feedback)

    return event


def feedback_of(said: Event) -> Feedback | None:
    """What an event of the line protocol means to a person; None for those that mean nothing, or are not known."""
    match said:
        case {"event": "finger", "needed": True, "present": False}:
            return Feedback("finger-needed", "请把手指按在指纹仪上。")
        case {"event": "finger", "needed": False, "present": True}:
            return Feedback("finger-present", "请抬起手指。")
        case {"event": "progress", "done": int(done), "of": int(of)}:
            return Feedback("progress", f"已采集 {done} 次，共 {of} 次。", done, of)
        case {"event": "retry", "reason": str(reason)}:
            return Feedback(reason if reason in RETRIES else "unclear", RETRIES.get(reason, UNCLEAR))
    return None
