"""Simulated devices at serial lines: each the far end of a pseudo terminal, driven by files, so that another process may play.

One file a device, "NAME.toml"; it exists: plugged in, its line at "NAME.tty". What it says is the device's own affair.
"""

import asyncio
import os
import pty
import tty
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from devices.simulated.played_file import say

FILE, LINE = ".toml", ".tty"
LOOK_S = 0.05


@dataclass(frozen=True)
class LineFolder:
    """The hands: plug, unplug, from any process."""

    directory: Path

    def line(self, name: str) -> Path:
        """Where the driver finds the tty, while it is plugged in."""
        return self.directory / f"{name}{LINE}"

    def plug(self, name: str) -> None:
        """Connect a device with nothing presented to it."""
        self._write(name, "")

    def unplug(self, name: str) -> None:
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self.directory / f"{name}{FILE}"

    def _write(self, name: str, text: str) -> None:
        say(self._file(name), text)


class SerialLines:
    """`async with SerialLines(directory, play):` plays every device of that directory.

    `play` is given the file of one that was plugged in, and returns once that is gone.
    """

    def __init__(self, directory: Path, play: Callable[[Path], Coroutine[None, None, None]]) -> None:
        self._directory = directory
        self._play = play
        self._playing: dict[Path, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._looking = asyncio.create_task(self._keep_looking(), name=f"simulated lines of {self._directory.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self._playing.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def _keep_looking(self) -> None:
        while True:
            for file in self._directory.glob(f"*{FILE}"):
                if file not in self._playing or self._playing[file].done():
                    self._playing[file] = asyncio.create_task(self._play(file), name=f"simulated {file.stem}")
            await asyncio.sleep(LOOK_S)


@contextmanager
def plugged_line(file: Path) -> Iterator[int]:
    """A line beside its file. Yields the far end, which never blocks."""
    far, near = pty.openpty()
    link = file.with_suffix(LINE)
    try:
        tty.setraw(near)
        os.set_blocking(far, False)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(near))
        yield far
    finally:
        link.unlink(missing_ok=True)
        os.close(far)
        os.close(near)
