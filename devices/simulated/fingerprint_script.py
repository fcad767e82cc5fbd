"""What is done to a simulated fingerprint reader, told in a file.

The file "NAME.toml" in the directory is the truth: it exists: plugged; empty: nobody presses; otherwise what is done to it, once
(`hang` apart: that lasts until the file says otherwise). Any process may write it, at any time, by `FingerprintFolder`.

    finger = "zhang"        # whose finger: any text is one; "" is none
    presses = 5             # so often, each when the reader asks for it
    retry = ["too-short"]   # before that, presses that will not do: too-short, center-finger, remove-finger, unclear
    then = "unplug"         # once they are done, in the middle of what it does: unplug, crash, hang,
                            # error, hot (the sensor was on for too long)
    slow_ms = 0             # before each press
    hang = false            # true: answers nothing from now on
"""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from devices.libfprint_calls import RETRIES
from devices.simulated.played_file import say

ENDS = ("", "unplug", "crash", "hang", "error", "hot")


@dataclass(frozen=True)
class Script:
    """What is done to one reader."""

    finger: str = ""
    presses: int = 1
    retry: tuple[str, ...] = ()
    then: str = ""
    slow_ms: int = 0
    hang: bool = False

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Raises ValueError, with the key, on anything unknown."""
        table = tomllib.loads(text)
        if unknown := set(table) - {known.name for known in fields(cls)}:
            raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}; see devices/simulated/fingerprint_script.py")
        script = cls(**{**table, "retry": tuple(table.get("retry", ()))})
        if script.then not in ENDS or set(script.retry) - set(RETRIES):
            raise ValueError("then or retry has an unknown word; see devices/simulated/fingerprint_script.py")
        return script

    def acts(self) -> list[str]:
        """One word a press."""
        return [*self.retry, *(["press"] * self.presses if self.finger else []), *([self.then] if self.then else [])]


@dataclass(frozen=True)
class FingerprintFolder:
    """The hands of another process."""

    directory: Path

    def plug(self, name: str) -> None:
        """Connect the reader; nobody presses."""
        self.play(name, "")

    def unplug(self, name: str) -> None:
        self._file(name).unlink(missing_ok=True)

    def play(self, name: str, script_toml: str) -> None:
        """Do that, once. The same text again does it again."""
        Script.from_toml(script_toml)
        say(self._file(name), script_toml)

    def script(self, name: str) -> Script | None:
        """None: not plugged. A text that is no script is nobody's press."""
        try:
            return Script.from_toml(self._file(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return Script()

    def version(self, name: str) -> int:
        """Another number after every write."""
        try:
            stat = self._file(name).stat()
        except FileNotFoundError:
            return 0
        return hash((stat.st_ino, stat.st_mtime_ns, stat.st_size))

    def _file(self, name: str) -> Path:
        return self.directory / f"{name}.toml"
