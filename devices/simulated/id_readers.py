"""Simulated ID card readers at serial lines, driven by files (devices/simulated/serial_lines.py).

What a file says: devices/simulated/id_reader.py. Each time it is written, the card in it is laid down anew. It is looked at
every LOOK_S and at every command.
"""

import asyncio
import logging
import os
import termios
from contextlib import suppress
from pathlib import Path

from devices.simulated.id_reader import VirtualIdReader, parse
from devices.simulated.played_file import said
from devices.simulated.serial_lines import LOOK_S, LineFolder, SerialLines, plugged_line

HEARD_MAX_BYTES = 4096
ON_THE_LINE_BYTES = 64  # written at a time at the line's own pace
BITS_A_BYTE = 10
SPEED_AT = 5  # where tcgetattr has the output speed

log = logging.getLogger(__name__)


class IdReaderFolder(LineFolder):
    """The hands: plug, unplug, lay, lift, from any process."""

    def lay(self, name: str, text: str) -> None:
        """Make reader and card as `text` says, plugging it in when needed. The same text again is laid again."""
        parse(text)  # rather a ValueError here than a warning in the other process
        self._write(name, text)


class SimulatedIdReaders(SerialLines):
    """`async with SimulatedIdReaders(directory):` plays every reader of that directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, lambda file: PluggedReader(file).play())


class PluggedReader:
    """One reader, from being plugged in to being unplugged."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._version = (0, 0)
        self._reader = VirtualIdReader()
        self._far = -1

    async def play(self) -> None:
        """Returns once the file is gone; then the line is gone too."""
        heard = asyncio.Event()
        loop = asyncio.get_running_loop()
        with plugged_line(self._file) as self._far:
            loop.add_reader(self._far, heard.set)
            try:
                while self._look():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_S):
                            await heard.wait()
                    heard.clear()
                    await self._serve()
            finally:
                loop.remove_reader(self._far)

    def _look(self) -> bool:
        """Take over what the file says; False once it is gone."""
        now = said(self._file)
        if now is not None and now.version != self._version:
            self._version = now.version
            self._take(now.text)
        return now is not None

    def _take(self, text: str) -> None:
        self._reader.lift()
        try:
            self._reader.text, card = parse(text)
        except ValueError as error:
            log.warning("simulated ID card reader %s has no card, its file is none: %s", self._file.stem, error)
            return
        if card is not None:
            self._reader.lay(card)

    async def _serve(self) -> None:
        try:
            heard = os.read(self._far, HEARD_MAX_BYTES)
        except BlockingIOError:
            return
        if not self._look() or self._reader.text.mute or not self._same_baud():
            return
        for content in self._reader.hear(heard):
            await asyncio.sleep(self._reader.text.slow_ms / 1000)
            line, unplugged = self._reader.spoilt(content)
            await self._send(line)
            if unplugged:
                self._file.unlink(missing_ok=True)

    def _same_baud(self) -> bool:
        return bool(termios.tcgetattr(self._far)[SPEED_AT] == getattr(termios, f"B{self._reader.text.baud}"))

    async def _send(self, line: bytes) -> None:
        text = self._reader.text
        size = text.split or (ON_THE_LINE_BYTES if text.pace else len(line)) or 1
        for at in range(0, len(line), size):
            piece = line[at : at + size]
            if text.pace:
                await asyncio.sleep(len(piece) * BITS_A_BYTE / text.baud)
            elif text.split:
                await asyncio.sleep(0)
            with suppress(BlockingIOError):  # nobody reads: a reader does not wait for that
                os.write(self._far, piece)
