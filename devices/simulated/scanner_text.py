"""How a virtual document scanner is, as a small TOML file, and the configuration of SANE's test backend that follows.

"scanner.toml" in the folder exists: plugged in; what it says (nothing: all is well):

fault = "jam"             # on the next page: jam, paper-out, cover-open, io; crash: the backend crashes
after = 3                 # so many pages of a stack come before the fault; of a `SimulatedScanner` only
slow_ms = 200             # for every 32 KB of a page, at most 200
hang = true               # takes what it is told and answers nothing
picture = "Color pattern" # or "Grid", "Solid black", "Solid white"
serial = "SN1"            # not SANE's: what a USB scanner would say

The wire looks at it before every listing and scan; `ScannerFolder`, from any process, also acts on what is under way.
"""

import logging
import os
import signal
import tomllib
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

FILE = "scanner.toml"
FAULTS = {
    "": "Default", "jam": "SANE_STATUS_JAMMED", "paper-out": "SANE_STATUS_NO_DOCS", "crash": "Default",
    "cover-open": "SANE_STATUS_COVER_OPEN", "io": "SANE_STATUS_IO_ERROR",
}  # fmt: skip
SLOW_MAX_MS = 200
A4_MM = (210, 297)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScannerText:
    """What the file says."""

    fault: str = ""
    after: int = 0
    slow_ms: int = 0
    hang: bool = False
    picture: str = "Color pattern"
    serial: str = ""

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Raises ValueError, with the name of the key, on anything unknown."""
        table = tomllib.loads(text)
        if unknown := set(table) - {known.name for known in fields(cls)}:
            raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}; see devices/simulated/scanner_text.py")
        found = cls(**table)
        if found.fault not in FAULTS or not 0 <= found.slow_ms <= SLOW_MAX_MS or found.after < 0:
            raise ValueError(f"fault: one of {', '.join(FAULTS)}; slow_ms: 0 to {SLOW_MAX_MS}; after: 0 or more")
        return found

    def to_toml(self) -> str:
        return (
            f'fault = "{self.fault}"\nafter = {self.after}\nslow_ms = {self.slow_ms}\nhang = {str(self.hang).lower()}\n'
            f'picture = "{self.picture}"\nserial = "{self.serial}"\n'
        )


@dataclass(frozen=True)
class ScannerFolder:
    """The file, and the SANE configuration that follows from it."""

    directory: Path

    @property
    def configuration(self) -> Path:
        """For SANE_CONFIG_DIR."""
        return self.directory / "sane"

    def plug(self, text: ScannerText | None = None) -> None:
        """Connect it, or change what it does. Who waits for it while it hung goes on."""
        self._replace(self.directory / FILE, (text or ScannerText()).to_toml())
        self.configure()

    def unplug(self) -> None:
        """Take it away, in the middle of a page, too: its backend dies with it."""
        (self.directory / FILE).unlink(missing_ok=True)
        self.configure()

    def text(self) -> ScannerText | None:
        """None when it is not plugged in, or the file says nothing sensible."""
        try:
            return ScannerText.from_toml((self.directory / FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            log.warning("simulated scanner stays unplugged, its file is wrong: %s", error)
            return None

    def follow(self) -> None:
        """Take over what somebody wrote into the file by hand."""
        try:
            followed = (self.configuration / "test.conf").read_text(encoding="utf-8")
        except FileNotFoundError:
            followed = ""
        if followed != _test_conf(self.text()):
            self.configure()

    def hold_back(self, text: ScannerText) -> None:
        """Whoever begins now meets no fault yet; `configure` brings it."""
        self._replace(self.configuration / "test.conf", _test_conf(replace(text, fault="")))

    def configure(self) -> None:
        """Make SANE's configuration follow the file, and what runs under it."""
        self.configuration.mkdir(exist_ok=True)
        text = self.text()
        listing = self.configuration / "dll.conf"
        self._replace(self.configuration / "test.conf", _test_conf(text))
        if text is not None and text.hang:
            if not listing.is_fifo():
                self._hang(listing)
            self._signal(signal.SIGSTOP)
            return
        self._release(listing, "" if text is None else "test\n")
        self._signal(signal.SIGKILL if text is None else signal.SIGCONT)

    def _hang(self, listing: Path) -> None:
        """Who begins waits in opening this pipe, before it reached any scanner."""
        draft = self.configuration / f".fifo.{os.getpid()}"
        os.mkfifo(draft)
        draft.replace(listing)

    def _release(self, listing: Path, content: str) -> None:
        waited = self.configuration / f".waited.{os.getpid()}"
        was_hanging = listing.is_fifo()
        if was_hanging:
            waited.hardlink_to(listing)
        self._replace(listing, content)
        if was_hanging:
            with suppress(OSError):  # nobody waits
                pipe = os.open(waited, os.O_WRONLY | os.O_NONBLOCK)
                os.write(pipe, content.encode())
                os.close(pipe)
            waited.unlink()

    def _signal(self, number: signal.Signals) -> None:
        mine = f"SANE_CONFIG_DIR={self.configuration}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # ended meanwhile, or somebody else's
                name, environment = (process / "comm").read_bytes(), (process / "environ").read_bytes()
                if name == b"scanimage\n" and mine in environment.split(b"\0"):
                    os.kill(int(process.name), number)

    @staticmethod
    def _replace(file: Path, content: str) -> None:
        """Written beside and renamed: nobody sees half of it."""
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        draft.write_text(content, encoding="utf-8")
        draft.replace(file)


def _test_conf(text: ScannerText | None) -> str:
    """See sane-test(5). Without any device the test backend crashes on whoever opens one."""
    told = "# unplugged\n" if text is None else "".join(f"# {line}\n" for line in text.to_toml().splitlines())
    text = ScannerText(fault="crash") if text is None else text
    return told + (
        f"number_of_devices {0 if text.fault == 'crash' else 1}\nmode Gray\ndepth 8\nresolution_max 1200.0\n"
        f'resolution 75.0\ntest-picture "{text.picture}"\n'
        f"read-delay {str(text.slow_ms > 0).lower()}\nread-delay-duration {max(text.slow_ms, 1) * 1000}\n"
        f'read-status-code "{FAULTS[text.fault]}"\n'
        f"geometry_max 300.0\nbr_x {A4_MM[0]}.0\nbr_y {A4_MM[1]}.0\n"
    )
