"""The driver contract: what a device driver gives, and the three ways it can end."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar
from uuid import UUID, uuid4

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


def now() -> datetime:
    """The claimed wall time, aware, in UTC. Nothing vouches for it."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Reading(Generic[Data_co]):
    """One observation. Its `id` is its own from the moment of observation: two equal readings stay two."""

    device: str
    kind: str
    data: Data_co
    simulated: bool
    observed_at: datetime = field(default_factory=now)
    id: UUID = field(default_factory=uuid4)


class DeviceError(Exception):
    """A device did not give what was asked. `hint` is for the person at the counter and says what to do."""

    state = DeviceState.HARDWARE_ERROR

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


class CardRefused(DeviceFault):
    """Not this card: never try it again, show `hint`, wait for the next insertion."""

    state = DeviceState.USER_ERROR


class Driver(Protocol[Data_co]):
    """One file per driver. It is given its wire. Anything it raises besides `DeviceError` is a bug."""

    kind: str

    async def probe(self) -> DeviceState:
        """Look whether the device answers. MUST change nothing, MUST let go, MUST NOT raise DeviceError."""
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
        """One complete observation, or an error; never half of one."""
        ...
