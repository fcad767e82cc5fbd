"""A second copy of each data-key record, in a file of its own: one damaged page must not close every body sealed under a key.

The copy is the signed record itself; its key is wrapped for the hub alone (invariant 7).
"""

from __future__ import annotations

from pathlib import Path

import structlog

from security.private_files import write_private

SIGNATURE_BYTES = 64

log = structlog.get_logger()


class KeyCopies:
    """Beside one journal. File work: call it in a thread."""

    def __init__(self, journal: Path) -> None:
        self._folder = journal.with_suffix(".keys")

    def keep(self, position: int, payload: bytes, signature: bytes) -> None:
        """A disk that does not take it costs only the second copy."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_private(self._folder / f"{position}.record", signature + payload)
        except OSError as error:
            log.warning("no second copy of a data key", error=str(error), next="look after this machine's disk")

    def find(self, position: int) -> tuple[bytes, bytes] | None:
        """Payload and signature, to be proved by whoever asks."""
        path = self._folder / f"{position}.record"
        try:
            data = path.read_bytes()
        except OSError:
            return None
        return data[SIGNATURE_BYTES:], data[:SIGNATURE_BYTES]

    def newest(self, position: int) -> int | None:
        """Where the newest key up to `position` stands: what comes behind is sealed under it, until the next key."""
        return max(self._up_to(position), default=None)

    def forget(self, pruned_to: int) -> None:
        """What the hub has in a backup, and has proved. The newest stays: records that are still here are sealed under it."""
        for position in sorted(self._up_to(pruned_to))[:-1]:
            (self._folder / f"{position}.record").unlink(missing_ok=True)

    def _up_to(self, position: int) -> list[int]:
        found = [int(path.stem) for path in self._folder.glob("*.record") if path.stem.isdecimal()]
        return [one for one in found if one <= position]
