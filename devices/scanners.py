"""What the document scanner's driver needs of its wire. Two implementations: `devices.scanimage` and its simulated one."""

import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from devices import picture

RESOLUTION_MIN_DPI = 50
RESOLUTION_MAX_DPI = 1200
AREA_MAX_MM = 1000
OPTION_MAX_CHARS = 64
PREVIEW_DPI = 75
PAGES_MAX = 100  # of one stack: as many as one transaction names
FEEDER_WORDS = ("adf", "document feeder")  # in what backends call a source; see sane-backends, SANE_NAME_SCAN_SOURCE

Progress = Callable[[int, float], None]  # page from 1, percent of it


@dataclass(frozen=True)
class Scanner:
    """One scanner as it was listed. `name` may change whenever it is plugged; `serial` is its maker's, "" if unknown."""

    name: str
    vendor: str
    model: str
    serial: str = ""
    simulated: bool = False


@dataclass(frozen=True)
class ScanSettings:
    """How to scan. `mode` and `source` as the scanner itself calls them, "" or None for its own choice. Raises ValueError.

    Document cameras have one resolution only: it is not asked of them.
    """

    mode: str = ""
    resolution_dpi: int | None = 200
    source: str = ""
    picture: Literal["jpeg", "png"] = "jpeg"
    area_mm: tuple[int, int] | None = None  # width, height from the top left; None: all the scanner offers by itself

    def __post_init__(self) -> None:
        for name, value in (("mode", self.mode), ("source", self.source)):
            if len(value) > OPTION_MAX_CHARS or not value.isprintable():
                raise ValueError(f"{name}: one line of at most {OPTION_MAX_CHARS} characters, not {value!r}")
        if self.resolution_dpi is not None and not RESOLUTION_MIN_DPI <= self.resolution_dpi <= RESOLUTION_MAX_DPI:
            raise ValueError(f"resolution_dpi: {RESOLUTION_MIN_DPI} to {RESOLUTION_MAX_DPI}, not {self.resolution_dpi}")
        if self.picture not in ("jpeg", "png"):
            raise ValueError(f"picture: jpeg or png, not {self.picture!r}")
        if self.area_mm is not None and not all(0 < side <= AREA_MAX_MM for side in self.area_mm):
            raise ValueError(f"area_mm: two sides of 1 to {AREA_MAX_MM}, not {self.area_mm}")


@dataclass(frozen=True)
class Page:
    """One whole page. `repr` shows nothing of what is on it, nor a digest by which one could be guessed."""

    content: bytes = field(repr=False)
    picture: str  # "jpeg" or "png"
    width: int
    height: int
    sha256: str = field(repr=False)
    preview: bool = False

    @property
    def size(self) -> int:
        """Of the content, in bytes."""
        return len(self.content)


def page_of(content: bytes, *, preview: bool) -> Page:
    """Raises NotAPicture when it is damaged or not all of it came."""
    kind, width, height = picture.size(content)
    return Page(content, kind, width, height, hashlib.sha256(content).hexdigest(), preview)


def feeder_of(sources: tuple[str, ...]) -> str | None:
    """The first that is a feeder of documents: backends name one side before both. None when there is none."""
    return next((source for source in sources if any(word in source.lower() for word in FEEDER_WORDS)), None)


class HeldScanner(Protocol):
    """One scanner, held by one caller."""

    @property
    def scanner(self) -> Scanner: ...

    async def sources(self) -> tuple[str, ...]:
        """What it can scan from, in its own words; none where there is no choice. Raises as `scan` does."""
        ...

    def scan(self, settings: ScanSettings, pages_max: int, progress: Progress) -> AsyncGenerator[bytes, None]:
        """The pages one after the other, each whole, until the feeder is empty or `pages_max` came.

        Close it (`contextlib.aclosing`): that stops the scanner, within a bounded time. Raises PaperFault, DeviceFault
        or DeviceUnavailable, also after pages that were whole.
        """
        ...


class ScannerWire(Protocol):
    """All scanners behind one driver software."""

    async def scanners(self) -> tuple[Scanner, ...]:
        """Those that are plugged in. While one scans it is not asked again: the answer is the last one then."""
        ...

    def scanning(self, name: str) -> bool:
        """Whether a page of it is under way in this process."""
        ...

    def hold(self, scanner: Scanner) -> AbstractAsyncContextManager[HeldScanner]:
        """Nobody else of this process has it until it is let go. Raises DeviceUnavailable (DEVICE_BUSY)."""
        ...
