"""How a virtual printer is, as a small TOML file that any process may write: "printer.toml" in its folder.

The file exists: switched on. What it says (nothing: all is well):

paper = 0            # sheets in the tray; below 25 is low
toner = 5            # percent; below 10 is low
waste = 95           # percent of the waste box
fault = "jam"        # with the next sheet: jam, cover-open; abort: it gives the job up
slow_ms = 500        # for every job
hang = true          # takes connections and answers nothing
"""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from devices.simulated.played_file import say

FILE = "printer.toml"
FAULTS = {"": "", "abort": "", "jam": "media-jam", "cover-open": "cover-open"}


@dataclass(frozen=True)
class PrinterText:
    """What the file says."""

    paper: int = 250
    toner: int = 75
    waste: int = 25
    fault: str = ""
    slow_ms: int = 0
    hang: bool = False

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Raises ValueError, with the name of the key, on anything unknown."""
        table = tomllib.loads(text)
        if unknown := set(table) - {known.name for known in fields(cls)}:
            raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}; see devices/simulated/printer_text.py")
        found = cls(**table)
        if found.fault not in FAULTS:
            raise ValueError(f"fault: one of {', '.join(FAULTS)}, not {found.fault!r}")
        return found

    def to_toml(self) -> str:
        return (
            f'paper = {self.paper}\ntoner = {self.toner}\nwaste = {self.waste}\nfault = "{self.fault}"\n'
            f"slow_ms = {self.slow_ms}\nhang = {str(self.hang).lower()}\n"
        )


@dataclass(frozen=True)
class PrinterFolder:
    """Writes and reads that file."""

    directory: Path

    def plug(self, text: PrinterText | None = None) -> None:
        """Switch it on, or change how it is."""
        say(self.directory / FILE, (text or PrinterText()).to_toml())

    def unplug(self) -> None:
        (self.directory / FILE).unlink(missing_ok=True)

    def text(self) -> PrinterText | None:
        """None when it is switched off. Raises ValueError when the file says nothing sensible."""
        try:
            return PrinterText.from_toml((self.directory / FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
