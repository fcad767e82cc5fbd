"""A file that a simulated device is played from, written by any process."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Said:
    """What a file says. The same text written again is another version."""

    version: tuple[int, int]
    text: str


def said(file: Path) -> Said | None:
    """None once it is gone."""
    try:
        with file.open(encoding="utf-8") as opened:
            stat = os.fstat(opened.fileno())
            return Said((stat.st_ino, stat.st_mtime_ns), opened.read())
    except FileNotFoundError:
        return None


def say(file: Path, text: str) -> os.stat_result:
    """Written beside and renamed: nobody sees half of it."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    stat = draft.stat()
    draft.replace(file)
    return stat
