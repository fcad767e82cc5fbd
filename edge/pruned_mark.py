"""How far a journal was pruned, once the hub's own word no longer says so: one that came back from an older backup knows less.

What is pruned is not damage, neither while people decide on what the hub lacks nor after.
"""

from __future__ import annotations

from pathlib import Path

from security.private_files import write_private

POSITION_MAX_DIGITS = 19


class PrunedMark:
    """A position in a file of its own, beside one journal. File work: call it in a thread."""

    def __init__(self, journal: Path) -> None:
        self._file = journal.with_suffix(".pruned")

    def read(self) -> int:
        """0 where there is none, or it cannot be read: then what is pruned is named as missing, and nothing is hidden."""
        try:
            text = self._file.read_bytes()[:POSITION_MAX_DIGITS].decode("ascii")
            return int(text) if text.isdecimal() else 0
        except (OSError, ValueError):
            return 0

    def keep(self, position: int) -> None:
        """It only grows. Raises OSError."""
        if position > self.read():
            write_private(self._file, str(position).encode())
