"""Attachments on the hub's disk, sealed as they came: `ab/<hex>` once they are whole and verified, before that
`partial/<edge>/<hex>`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from security.private_files import sync_folder, write_private

FOLDER = "attachments"
PARTIALS_MAX = 2  # of one machine, which sends one at a time; the oldest one goes
READ_BYTES = 1024 * 1024


class BlobFiles:
    """Synchronous; call it in a thread, for one machine at a time. `folder` is made when something is put there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def beside(cls, database: Path) -> BlobFiles:
        """Those of the hub with that database."""
        return cls(database.with_name(FOLDER))

    def path(self, address: bytes) -> Path:
        """Where it is, once it is whole."""
        name = address.hex()
        return self._folder / name[:2] / name

    def holds(self, address: bytes) -> bool:
        return self.path(address).is_file()

    def addresses(self) -> Iterator[bytes]:
        """All that are whole."""
        for path in sorted(self._folder.glob("[0-9a-f][0-9a-f]/*")):
            with suppress(ValueError):  # put aside, or not whole
                yield bytes.fromhex(path.name)

    def intact(self, address: bytes) -> bool:
        """Read again. Raises OSError."""
        return _digest(self.path(address)) == address

    def part_size(self, edge: UUID, address: bytes) -> int:
        """How far an attachment is that is not whole; 0 when nothing is there."""
        with suppress(FileNotFoundError):
            return self._partial(edge, address).stat().st_size
        return 0

    def write_part(self, edge: UUID, address: bytes, offset: int, data: bytes) -> None:
        """Behind what is there. Not durable: after a power cut the digest says whether it is what came."""
        path = self._partial(edge, address)
        if not path.exists():
            self._make_room(edge)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], offset + written)
        finally:
            os.close(descriptor)

    def finish(self, edge: UUID, address: bytes) -> bool:
        """Durable under its name, or thrown away when it is not what its address says: a disk or a machine has changed it."""
        path = self._partial(edge, address)
        if _digest(path) != address:
            path.unlink()
            return False
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        target = self._place(address)
        path.replace(target)
        sync_folder(target.parent)
        return True

    def write(self, address: bytes, sealed: bytes) -> None:
        """What was verified elsewhere, durable under its name. Raises OSError."""
        write_private(self._place(address), sealed)

    def set_aside(self, address: bytes) -> None:
        """What the disk has changed: its machine may send it again."""
        with suppress(FileNotFoundError):
            self.path(address).rename(self.path(address).with_suffix(".damaged"))

    def _place(self, address: bytes) -> Path:
        """Its folder is there."""
        target = self.path(address)
        if not target.parent.exists():
            target.parent.mkdir(mode=0o700, parents=True)
            sync_folder(self._folder)
            sync_folder(self._folder.parent)
        return target

    def discard(self, edge: UUID, address: bytes) -> None:
        self._partial(edge, address).unlink(missing_ok=True)

    def _make_room(self, edge: UUID) -> None:
        folder = self._partials(edge)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        begun = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime_ns)
        for path in begun[:len(begun) - PARTIALS_MAX + 1]:
            path.unlink()

    def _partials(self, edge: UUID) -> Path:
        return self._folder / "partial" / str(edge)

    def _partial(self, edge: UUID, address: bytes) -> Path:
        return self._partials(edge) / address.hex()


def _digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            digest.update(data)
    return digest.digest()
