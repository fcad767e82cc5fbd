"""Secrets on disk: mode 0600, written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


class ExposedSecret(PermissionError):
    """A secret that others can read: not used until its mode is mended."""


def write_private(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write atomically: temporary file, fsync, rename, fsync of the folder. A crash leaves the old file or the new."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def read_private(path: Path) -> bytes:
    """Raises ExposedSecret when group or others may read the file, FileNotFoundError when it is not there."""
    found = path.stat().st_mode
    if stat.S_ISDIR(found):  # of which the mode says nothing
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    mode = found & 0o777
    if mode & 0o077:
        raise ExposedSecret(f"{path} has mode {mode:o}; run: chmod 600 {path}, and replace the key if others had access")
    try:
        return path.read_bytes()
    except OSError as error:  # of what fails in the middle, the system does not say the name
        error.filename = error.filename or str(path)
        raise


def sync_folder(folder: Path) -> None:
    """Make renames and new names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
