"""A directory that says which simulated readers are plugged and which cards are in them, for use between processes."""

import os
from dataclasses import dataclass
from pathlib import Path

from devices.simulated.chip import ChipText
from devices.simulated.chip_text import from_toml
from devices.simulated.played_file import say
from devices.simulated.serials import made_up

SUFFIX = ".toml"
SERIAL_SUFFIX = ".serial"


@dataclass(frozen=True)
class ReaderFolder:
    """One file per reader, "NAME.toml": it exists: plugged; empty: no card; otherwise the text of the card.

    "NAME.serial" beside it holds the reader's serial where it is not the one made up from its name.
    """

    directory: Path

    def plug(self, name: str, serial: str | None = None) -> None:
        """Connect an empty reader; with a `serial`, from now on another one under that name."""
        if serial is not None:
            say(self._file(name, SERIAL_SUFFIX), serial)
        self._write(name, "")

    def unplug(self, name: str) -> None:
        self._file(name).unlink(missing_ok=True)

    def insert(self, name: str, card_toml: str) -> None:
        """Put a card in, plugging the reader when needed. The same text again is a new insertion."""
        from_toml(card_toml)  # rather a ValueError here than a warning in the other process
        self._write(name, card_toml)

    def serial(self, name: str) -> str:
        """The serial of the reader."""
        try:
            return self._file(name, SERIAL_SUFFIX).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return made_up(name)

    def pull(self, name: str) -> int:
        """Take the card out; returns the new version."""
        return self._write(name, "")

    def card(self, name: str) -> ChipText | None:
        """The card in the reader, None when it is empty or gone; raises ValueError when the text is no card."""
        try:
            text = self._file(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return from_toml(text) if text.strip() else None

    def versions(self) -> dict[str, int]:
        """A number per plugged reader that is another one after every write."""
        versions = {}
        with os.scandir(self.directory) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    try:
                        stat = entry.stat()
                    except FileNotFoundError:  # unplugged meanwhile
                        continue
                    versions[entry.name.removesuffix(SUFFIX)] = hash((stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return versions

    def _file(self, name: str, suffix: str = SUFFIX) -> Path:
        return self.directory / f"{name}{suffix}"

    def _write(self, name: str, text: str) -> int:
        stat = say(self._file(name), text)
        return hash((stat.st_ino, stat.st_mtime_ns, stat.st_size))
