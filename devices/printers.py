"""What the printer's driver needs of its wire, and what a printer says of itself. The wire is `devices.ipp`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from devices.contract import DeviceIdentity, DeviceState

Value = int | str | bool
Attributes = Mapping[str, list[Value]]


@dataclass(frozen=True)
class Answer:
    """An IPP answer. `status` below 0x0100 is success (RFC 8011, appendix B); values of types nobody needs are left out."""

    status: int
    printer: Attributes
    job: Attributes


class PrinterWire(Protocol):
    """One printer or print queue that speaks IPP."""

    async def ask(self, operation: int, attributes: Mapping[str, Value | list[str]], document: bytes = b"") -> Answer:
        """One request. Raises DeviceUnavailable when it is away or silent, DeviceFault when it speaks something else."""
        ...


@dataclass(frozen=True)
class Supply:
    """Toner, ink, drum, waste. `level_percent` is None when it does not say; a waste box is `filled`, others run out."""

    name: str
    kind: str  # IPP's word: toner, ink, wasteToner
    level_percent: int | None
    filled: bool = False


@dataclass(frozen=True)
class PrinterStatus:
    """State, reasons (devices.paper; the worst first) and supplies at one moment."""

    state: DeviceState
    identity: DeviceIdentity
    reasons: tuple[str, ...]
    supplies: tuple[Supply, ...]
    accepts_jobs: bool
    prints_pdf: bool
    queued: int


@dataclass(frozen=True)
class JobProgress:
    """How a job stands. `reasons` is what holds the printer up; `hint` says what to do about it, "" when nothing is."""

    job: int
    sides_done: int
    reasons: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True)
class Printed:
    """A job that came to its good end. `with_errors`: the printer itself says that something of it went wrong."""

    job: int
    sides: int
    with_errors: bool


Heard = Callable[[JobProgress], None]
