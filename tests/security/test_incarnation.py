"""Two files are never taken for one, though the second has the first one's inode."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from security.incarnation import incarnation

FILES = 50


def test_a_file_that_is_made_anew_is_another_one(tmp_path: Path) -> None:
    path, seen = tmp_path / "file", set()
    for _ in range(FILES):
        path.write_bytes(b"the same")
        seen.add(incarnation(path))
        path.unlink()
    assert len(seen) == FILES


def test_a_file_stays_itself_however_it_is_written_and_called(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = incarnation(path)
    path.write_bytes(b"other")
    os.truncate(path, 0)
    path.chmod(0o400)
    os.utime(path, (0, 0))
    assert incarnation(path.rename(tmp_path / "moved")) == first


def test_a_file_is_itself_by_a_name_from_the_working_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"one")
    monkeypatch.chdir(tmp_path)
    assert incarnation(Path("file")) == incarnation(tmp_path / "file")


def test_where_there_are_no_handles_it_is_the_inode() -> None:
    found = Path("/proc/version").stat()
    assert incarnation(Path("/proc/version")) == f"{found.st_dev}:{found.st_ino}:"


def test_a_file_that_is_not_there_has_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        incarnation(tmp_path / "file")
