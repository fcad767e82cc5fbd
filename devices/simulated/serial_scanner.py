"""Simulated serial scanners, driven by files (devices/simulated/serial_lines.py). Each time one is written, it is shown:

codes = ["11010519491231002X"]  # one after the other
encoding = "utf-8"    # or "gbk"
prefix = ""           # before and after each code, as the scanner may be set
suffix = ""
end = "\\r"
raw = ""              # bytes to send instead, in hexadecimal: garbage
delay_ms = 0          # before the first byte
piece_bytes = 0       # sent at a time; 0: all at once
pause_ms = 0          # after each piece
stop_after = 5        # bytes; after these it says no more: half a code
unplug_after = 5      # bytes; after these it is unplugged

It does nothing that it is told; what that was stands in "NAME.told".
"""

import asyncio
import logging
import os
import tomllib
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from devices.simulated.played_file import said
from devices.simulated.serial_lines import LOOK_S, LineFolder, SerialLines, plugged_line

TOLD = ".told"
TOLD_MAX_BYTES = 4096  # at a time

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Showing:
    """What is held before the scanner once."""

    codes: tuple[str, ...] = ()
    encoding: str = "utf-8"
    prefix: str = ""
    suffix: str = ""
    end: str = "\r"
    raw: str = ""
    delay_ms: int = 0
    piece_bytes: int = 0
    pause_ms: int = 0
    stop_after: int | None = None
    unplug_after: int | None = None

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Raises ValueError (with the name of the key) on anything unknown."""
        table = tomllib.loads(text)
        if unknown := set(table) - {known.name for known in fields(cls)}:
            raise ValueError(f"unknown keys in showing: {', '.join(sorted(unknown))}; see {__name__}")
        return cls(**table | {"codes": tuple(table.get("codes", ()))})

    @property
    def pieces(self) -> list[bytes]:
        """What goes over the line, and in which pieces."""
        text = "".join(f"{self.prefix}{code}{self.suffix}{self.end}" for code in self.codes)
        sent = (bytes.fromhex(self.raw) or text.encode(self.encoding))[: self._last]
        size = self.piece_bytes or len(sent) or 1
        return [sent[at : at + size] for at in range(0, len(sent), size)]

    @property
    def _last(self) -> int | None:
        return self.stop_after if self.unplug_after is None else self.unplug_after


class ScannerFolder(LineFolder):
    """The hands: plug, unplug, show, from any process."""

    def show(self, name: str, showing_toml: str) -> None:
        """Hold something before it, plugging it in when needed. The same text again is shown again."""
        Showing.from_toml(showing_toml)  # rather a ValueError here than a warning in the other process
        self._write(name, showing_toml)

    def told(self, name: str) -> bytes:
        """All that came over its line since the folder was made."""
        try:
            return self._file(name).with_suffix(TOLD).read_bytes()
        except FileNotFoundError:
            return b""


class SimulatedScanners(SerialLines):
    """`async with SimulatedScanners(directory):` plays every scanner of that directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, _play)


async def _play(file: Path) -> None:
    """One scanner, from being plugged in to being unplugged."""
    with plugged_line(file) as far:
        shown = None
        while (now := said(file)) is not None:
            if now.version != shown and (showing := _showing(file, now.text)) is not None:
                await _show(showing, file, far)
            shown = now.version
            _hear(file, far)
            await asyncio.sleep(LOOK_S)


async def _show(showing: Showing, file: Path, far: int) -> None:
    await asyncio.sleep(showing.delay_ms / 1000)
    for piece in showing.pieces:
        if said(file) is None:
            return
        with suppress(BlockingIOError):  # nobody reads: a scanner does not wait for that
            os.write(far, piece)
        await asyncio.sleep(showing.pause_ms / 1000)
    if showing.unplug_after is not None:
        ScannerFolder(file.parent).unplug(file.stem)


def _hear(file: Path, far: int) -> None:
    with suppress(BlockingIOError):
        heard = os.read(far, TOLD_MAX_BYTES)
        with file.with_suffix(TOLD).open("ab") as told:
            told.write(heard)


def _showing(file: Path, text: str) -> Showing | None:
    try:
        return Showing.from_toml(text) if text.strip() else None
    except ValueError as error:
        log.warning("simulated scanner %s shows nothing, its file is no showing: %s", file.stem, error)
        return None
