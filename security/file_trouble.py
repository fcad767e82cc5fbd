"""An error of the system about a file, with what to do: its own text names a number and gives no advice."""

from __future__ import annotations

import errno

_DISK = "look after the disk, and copy what can still be read of this folder to another one first"
_ADVICE = {
    errno.ENOENT: "check the name, or put it back from a copy",
    errno.EIO: f"its disk fails: {_DISK}",
    errno.EROFS: f"its disk is mounted for reading only, as is done with one that fails: {_DISK}; then mount it for writing",
    errno.EISDIR: "a folder lies where a file belongs: check the name, or move it away and put the file back from a copy",
    errno.ENOTDIR: "a file lies where a folder belongs: move it away, and put the folder back from a copy",
    errno.ELOOP: "links there lead in a circle: move them away, and put the file back from a copy",
    errno.EACCES: "this user may not: run the command as the user of the service, or mend the file's owner and mode",
    errno.EPERM: "this user may not: run the command as the user of the service, or mend the file's owner and mode",
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room on its disk",
}


def advised(error: Exception) -> str:
    """One line for a technician. What has words of its own is told in those."""
    advice = _ADVICE.get(error.errno or 0) if isinstance(error, OSError) else None
    if advice is None or not isinstance(error, OSError) or (error.errno == errno.ENOENT and not error.filename):
        return str(error)
    return f"{without_advice(error)}; {advice}"


def without_advice(error: OSError) -> str:
    """For whoever has better advice."""
    if not error.strerror or not error.filename:
        return error.strerror or str(error)
    return f"{error.filename} is not there" if error.errno == errno.ENOENT else f"{error.filename}: {error.strerror}"
