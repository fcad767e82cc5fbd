"""Sealed attachments on this machine's disk: `<hex>.blob`, and beside it `<hex>.names`, once a record is to name it.

A blob without names reads as noise for ever once its key is forgotten: it goes. What is in `.names` is written before the record
is, so that a crash between the two loses nothing. Synchronous; call it in a thread.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from security.private_files import sync_folder, write_private

NAMES_MAX = 64
READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """By address (SHA-256 of the sealed bytes): its size, and the callers' ids of the records that name it."""

    address: bytes
    size: int
    callers: tuple[str, ...]


class BlobFolder:
    """Of one machine; its agent is alone there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self) -> list[StoredBlob]:
        """Those that records name, the oldest first; what is left of others is removed. Raises OSError."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(self.folder.parent)
        found: list[tuple[int, StoredBlob]] = []
        for path in self.folder.glob(f"{'[0-9a-f]' * 64}.blob"):
            address, state = bytes.fromhex(path.stem), path.stat()
            if callers := self._callers(address):
                found.append((state.st_mtime_ns, StoredBlob(address, state.st_size, callers)))
            else:
                path.unlink()
        for path in self.folder.glob(".*.new"):
            path.unlink()
        return [blob for _, blob in sorted(found, key=lambda one: one[0])]

    def begin(self) -> BlobFile:
        """A new one, which nobody sees before it is whole."""
        return BlobFile(self.folder / f".{uuid4().hex}.new")

    def name(self, address: bytes, callers: list[str]) -> None:
        """Durable when it returns. Raises OSError."""
        write_private(self._path(address, "names"), json.dumps(callers[-NAMES_MAX:]).encode())

    def read(self, address: bytes, offset: int, size: int) -> bytes:
        with self._path(address, "blob").open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def intact(self, address: bytes) -> bool:
        """Whether it is still what was sealed. Raises OSError."""
        digest = hashlib.sha256()
        with self._path(address, "blob").open("rb") as file:
            while data := file.read(READ_BYTES):
                digest.update(data)
        return digest.digest() == address

    def forget(self, address: bytes) -> None:
        """Names first: without them the rest goes at the next start."""
        self._path(address, "names").unlink(missing_ok=True)
        self._path(address, "blob").unlink(missing_ok=True)

    def set_aside(self, address: bytes) -> Path:
        """What the disk has changed, for people to look at."""
        aside = self._path(address, "damaged")
        with suppress(FileNotFoundError):
            self._path(address, "blob").rename(aside)
        return aside

    def _callers(self, address: bytes) -> tuple[str, ...]:
        """A damaged list still says that a record may name it."""
        try:
            return tuple(map(str, json.loads(self._path(address, "names").read_bytes())))
        except FileNotFoundError:
            return ()
        except ValueError:
            return ("",)

    def _path(self, address: bytes, ending: str) -> Path:
        return self.folder / f"{address.hex()}.{ending}"


class BlobFile:
    """One that is being written: `write`, then `finish` or `discard`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def write(self, sealed: bytes) -> None:
        """Raises OSError."""
        if self._file is None:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(descriptor, "wb")
        self._file.write(sealed)

    def finish(self, sealed: bytes, address: bytes) -> None:
        """With its last bytes, durable under its address. Raises OSError."""
        self.write(sealed)
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path = self._path.replace(self._path.with_name(f"{address.hex()}.blob"))
        sync_folder(self._path.parent)

    def discard(self) -> None:
        """Also when it was finished by then."""
        if self._file is not None:
            with suppress(OSError):  # what a full disk did not take is flushed once more
                self._file.close()
        self._path.unlink(missing_ok=True)
