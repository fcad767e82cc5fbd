"""The high-water mark: the newest checkpoint that this hub has signed, in a file outside of the database.

It is durable before anybody sees the checkpoint. A database that comes back from a backup is found out by it. What contradicts
the database, and is not newer, lies beside it.
"""

from __future__ import annotations

from pathlib import Path

from security.private_files import write_private


class HighWater:
    """`path` is of the file; nothing of it is in the database or its backups."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes:
        """The signed note; b"" when there is none yet. Raises OSError."""
        return self.path.read_bytes() if self.path.exists() else b""

    def write(self, note: bytes) -> None:
        """Durable on return. Raises OSError."""
        write_private(self.path, note, mode=0o644)

    @property
    def _opened(self) -> Path:
        return self.path.with_name("newest-epoch.note")

    def newest_epoch(self) -> bytes:
        """The statement of the newest epoch that was opened, though nothing may have been signed in it; b"" for none. Raises
        OSError."""
        return self._opened.read_bytes() if self._opened.exists() else b""

    def keep_epoch(self, statement: bytes) -> None:
        """Durable on return. Raises OSError."""
        write_private(self._opened, statement, mode=0o644)

    def contradiction(self, epoch: int) -> Path:
        """Where a checkpoint of an epoch is kept that its database did not lead to; the file is there only if there was one."""
        return self.path.with_name(f"contradiction-{epoch}.note")

    def keep_contradiction(self, epoch: int, note: bytes) -> None:
        """Durable on return. Raises OSError."""
        write_private(self.contradiction(epoch), note, mode=0o644)
