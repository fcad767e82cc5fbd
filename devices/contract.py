"""The driver contract: what a device driver gives, and the three ways it can end."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar
from uuid import UUID, uuid4

TEXT_MAX_CHARS = 256
REASON_MAX_CHARS = 64
REASONS_MAX = 16
UNREADABLE = "unreadable"  # of what was last presented: the device itself may be sound

Data_co = TypeVar("Data_co", covariant=True)


class DeviceState(StrEnum):
    """The state of a device in the terms of XFS4IoT (CEN CWA 17852, Common.Status)."""

    ONLINE = "online"
    OFFLINE = "offline"
    POWER_OFF = "powerOff"
    NO_DEVICE = "noDevice"
    HARDWARE_ERROR = "hardwareError"
    USER_ERROR = "userError"
    DEVICE_BUSY = "deviceBusy"
    FRAUD_ATTEMPT = "fraudAttempt"
    POTENTIAL_FRAUD = "potentialFraud"


@dataclass(frozen=True)
class DeviceIdentity:
    """Which device this is. `serial` is its maker's, the same wherever it is plugged in; "" when it has none.

    Whatever it says of itself is cut to what a record and a screen can hold.
    """

    model: str
    serial: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", _shown(self.model, TEXT_MAX_CHARS))
        object.__setattr__(self, "serial", _shown(self.serial, TEXT_MAX_CHARS))


@dataclass(frozen=True)
class DeviceStatus:
    """What a probe saw. `identity` is None when the device did not say. `reasons`, the worst first, are in the words of XFS4IoT
    and IPP (paperOut, paperJammed, tonerLow); empty when all is well. Cut as an identity is, and at most REASONS_MAX.
    """

    state: DeviceState
    identity: DeviceIdentity | None = None
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", DeviceState(self.state))
        object.__setattr__(self, "reasons", tuple(_shown(one, REASON_MAX_CHARS) for one in self.reasons[:REASONS_MAX]))


def _shown(text: str, longest: int) -> str:
    """Without halves of surrogate pairs and control characters, which UTF-8, databases or screens do not take."""
    return "".join(one if one.isprintable() else "?" for one in text[:longest])


def now() -> datetime:
    """The claimed wall time, aware, in UTC. Nothing vouches for it."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Reading(Generic[Data_co]):
    """One observation. Its `id` is its own from the moment of observation: two equal readings stay two.

    `device` is the name by which the site knows the device, `serial` its maker's.
    """

    device: str
    kind: str
    data: Data_co
    simulated: bool
    observed_at: datetime = field(default_factory=now)
    id: UUID = field(default_factory=uuid4)
    serial: str = ""


class DeviceError(Exception):
    """A device did not give what was asked. `hint` is for the person at the counter and says what to do.

    `reasons` as in `DeviceStatus`, where the device gave any.
    """

    state = DeviceState.HARDWARE_ERROR
    reasons: tuple[str, ...] = ()

    def __init__(self, hint: str, state: DeviceState | None = None) -> None:
        super().__init__(hint)
        self.hint = hint
        if state is not None:
            self.state = state


class DeviceUnavailable(DeviceError):
    """Not now: reopen, or wait and try again. Nobody need be told at once."""

    state = DeviceState.OFFLINE


class CardAbsent(DeviceUnavailable):
    """No card, or it was taken or reset in the middle: nothing was read. Wait for the next insertion."""

    state = DeviceState.ONLINE


class DeviceFault(DeviceError):
    """A person has to do something: show `hint`."""


class Unreadable(DeviceFault):
    """What was presented came garbled: a dirty chip, a torn code, a disturbed line. Presented again it may be read."""

    reasons = (UNREADABLE,)


class CardRefused(DeviceFault):
    """Not this card: never try it again, show `hint`, wait for the next insertion."""

    state = DeviceState.USER_ERROR


class Driver(Protocol[Data_co]):
    """One file per driver. It is given its wire. Anything it raises besides `DeviceError` is a bug."""

    kind: str

    async def probe(self) -> DeviceStatus:
        """Look whether the device answers, and which it is. MUST change nothing, MUST let go, MUST NOT raise DeviceError."""
        ...

    async def __aenter__(self) -> Self:
        """Take the device, or raise DeviceUnavailable or DeviceFault and hold nothing."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go, within a bounded time, whatever happened."""
        ...

    async def read(self) -> Reading[Data_co]:
        """One complete observation, or an error; never half of one.

        Where a person has to present something (an ID card, a code, a finger), it waits for that until it is cancelled.
        """
        ...
