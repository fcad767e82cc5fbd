"""A file system in a file, whose power can be cut: what had reached the file is all that is left."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType

from security.sqlite_locks import let_go

SIZE_BYTES = 24 * 1024 * 1024
COPIES_MAX = 50
UNMOUNT_TRIES_MAX = 50
UNMOUNT_AGAIN_S = 0.1
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # where mkfs and losetup are; Debian gives it to root only


class NeedsRoot(RuntimeError):
    """Mounting needs root; run the campaign as root, or leave this one out by naming the others."""


class Disk:
    """`with Disk(image, mount_point) as disk`: an ext4 on a loop device."""

    def __init__(self, image: Path, mount_point: Path) -> None:
        self._image, self._mount_point = image, mount_point

    def __enter__(self) -> Disk:
        _need_root()
        with self._image.open("wb") as file:
            file.truncate(SIZE_BYTES)
        _run("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image))
        self._mount_point.mkdir(parents=True, exist_ok=True)
        self._mount()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._unmount()

    def settle(self) -> None:
        """What is there now is on the disk for good; other disks are left as they are."""
        _run("sync", "-f", str(self._mount_point))

    def contents(self) -> bytes:
        """What has reached the disk, all of one moment: two copies in a row that are equal had nothing written between them."""
        before = self._image.read_bytes()
        for _ in range(COPIES_MAX):
            after = self._image.read_bytes()
            if after == before:
                return after
            before = after
        raise RuntimeError("the disk never rested; are its writers stopped?")

    def come_back_with(self, contents: bytes) -> None:
        """After the power cut: only this is left. Nobody may have a file open here."""
        self._unmount()
        self._image.write_bytes(contents)
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self._mount_point))

    def _unmount(self) -> None:
        _unmount(self._mount_point)


class SmallDisk:
    """`with SmallDisk(mount_point, size) as disk`: a file system in memory that somebody may fill to the last byte."""

    def __init__(self, mount_point: Path, size_bytes: int) -> None:
        self._mount_point, self._size_bytes = mount_point, size_bytes
        self._ballast = mount_point / "ballast"

    def __enter__(self) -> SmallDisk:
        _need_root()
        self._mount_point.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", f"size={self._size_bytes}", "tmpfs", str(self._mount_point))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _unmount(self._mount_point)

    def fill(self) -> None:
        """With somebody else's data."""
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        """Of that."""
        self._ballast.unlink(missing_ok=True)


def _need_root() -> None:
    if os.geteuid() != 0:
        raise NeedsRoot(str(NeedsRoot.__doc__))


def _unmount(mount_point: Path) -> None:
    let_go(mount_point)  # what was looked at in this process
    for _ in range(UNMOUNT_TRIES_MAX):  # a process that was just killed may not be gone for good
        if subprocess.run(["umount", str(mount_point)], check=False, capture_output=True).returncode == 0:
            return
        time.sleep(UNMOUNT_AGAIN_S)
    _run("umount", str(mount_point))


def _run(*arguments: str) -> None:
    subprocess.run(arguments, check=True, capture_output=True, env={**os.environ, "PATH": PATH})
