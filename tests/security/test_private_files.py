"""Secrets on disk: for their owner only, whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from security.file_trouble import advised
from security.private_files import ExposedSecret, read_private, write_private


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_a_secret_has_mode_0600_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_private(path) == b"secret"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o601, 0o644, 0o777], ids=oct)
def test_a_secret_that_others_can_reach_is_not_used_and_the_error_says_how_to_mend_it(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    write_private(path, b"secret")
    path.chmod(mode)
    with pytest.raises(ExposedSecret, match=f"mode {mode:o}; run: chmod 600"):
        read_private(path)


def test_a_stricter_mode_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_private(path, b"secret")
    path.chmod(0o400)
    assert read_private(path) == b"secret"


def test_a_missing_secret_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_private(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


def test_a_secret_is_replaced_whole_and_an_exposed_one_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"a longer secret from before")
    path.chmod(0o644)
    write_private(path, b"new")
    assert read_private(path) == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_the_old_secret(tmp_path: Path, call: str) -> None:
    path = tmp_path / "key"
    write_private(path, b"old")
    with patch(call, side_effect=OSError("disk")), pytest.raises(OSError, match="disk"):
        write_private(path, b"new")
    assert read_private(path) == b"old"
    write_private(path, b"new")
    assert read_private(path) == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_folder_are_synced_in_that_order_around_the_rename(tmp_path: Path) -> None:
    path = tmp_path / "key"
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def _fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def _replace(source: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(source, target)

    with patch("os.fsync", _fsync), patch.object(Path, "replace", _replace):
        write_private(path, b"secret")
    assert steps == ["file", "rename", "folder"]


def test_a_folder_in_the_place_of_a_secret_is_called_one_and_no_exposed_secret(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir(mode=0o755)
    with pytest.raises(IsADirectoryError, match="key"):
        read_private(tmp_path / "key")


def test_a_disk_that_fails_under_a_read_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    write_private(tmp_path / "key", b"secret")
    failing = OSError(errno.EIO, "Input/output error")
    with patch.object(Path, "read_bytes", side_effect=failing), pytest.raises(OSError, match=r"Input/output error: '.*/key'"):
        read_private(tmp_path / "key")


@pytest.mark.parametrize(("number", "words"), [
    (errno.EROFS, "mounted for reading only"), (errno.EIO, "its disk fails"), (errno.ELOOP, "links there lead in a circle"),
    (errno.EISDIR, "a folder lies where a file belongs"), (errno.ENOENT, "/state/key is not there; check the name"),
    (errno.EACCES, "as the user of the service"), (errno.ENOSPC, "make room")])
def test_an_error_of_the_system_comes_with_what_to_do_and_without_its_number(number: int, words: str) -> None:
    said = advised(OSError(number, os.strerror(number), "/state/key"))
    assert said.startswith("/state/key")
    assert words in said
    assert "Errno" not in said


def test_an_error_with_words_of_its_own_keeps_them() -> None:
    assert advised(ExposedSecret("key has mode 644; run: chmod 600 key")) == "key has mode 644; run: chmod 600 key"
    assert advised(ValueError("it is cut")) == "it is cut"
