"""Which file stands under a name: one that was put in its place may have got the same inode, on ext4 it mostly does.

The kernel's handle of a file holds the generation of its inode, too, and asking for it opens nothing: whoever closes a file that
SQLite has open takes its locks (security/sqlite_locks.py). See name_to_handle_at(2).
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

HANDLE_MAX_BYTES = 128  # MAX_HANDLE_SZ of linux/exportfs.h
_AT_FDCWD = -100


class _Handle(ctypes.Structure):
    _fields_ = (("handle_bytes", ctypes.c_uint), ("handle_type", ctypes.c_int), ("handle", ctypes.c_ubyte * HANDLE_MAX_BYTES))


def incarnation(path: Path) -> str:
    """Equal as long as it is the same file, whatever is written into it, and never again after that; where the file system gives
    no handles it is device and inode alone. Raises OSError.
    """
    found = path.stat()
    return f"{found.st_dev}:{found.st_ino}:{_handle(path).hex()}"


def _handle(path: Path) -> bytes:
    handle, mount = _Handle(HANDLE_MAX_BYTES), ctypes.c_int()
    if _name_to_handle_at(_AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0):
        return b""
    return bytes(handle)[_Handle.handle.offset:][:handle.handle_bytes]


_name_to_handle_at = ctypes.CDLL(None).name_to_handle_at
