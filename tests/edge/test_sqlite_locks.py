"""Who looks at the journal's files in the agent's process must not take SQLite's locks from it (invariants 1, 11)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.dropped_log import may_be_dropped
from edge.sqlite_pages import PageFile
from security.sqlite_index import lost_log
from security.sqlite_locks import let_go, reading
from tests.spine import Spine, draft

# Of SQLite's os_unix.c: whoever has the index open holds a shared lock on this byte; each connection one on the database.
INDEX_LOCK, DATABASE_LOCK = (1, 128), (510, 0x40000002)
TAKES_ALL = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, int(sys.argv[2]), int(sys.argv[3]))
"""


def _pages(path: Path) -> None:
    with PageFile(path):
        pass


def _free(path: Path, lock: tuple[int, int]) -> bool:
    """Whether another process may take it."""
    tried = subprocess.run([sys.executable, "-c", TAKES_ALL, path, *map(str, lock)], check=False, capture_output=True)
    return tried.returncode == 0


def _open_here() -> list[str]:
    return [str(one.readlink()) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]


@pytest.mark.parametrize("look", [may_be_dropped, _pages, lost_log])
def test_a_look_at_the_files_leaves_the_locks_to_sqlite(tmp_path: Path, look: Callable[[Path], object]) -> None:
    spine = Spine(tmp_path)

    async def live() -> None:
        async with spine.journal() as journal:
            await journal.submit(draft("a"))
            look(spine.journal_db)
            assert not _free(Path(f"{spine.journal_db}-shm"), INDEX_LOCK)
            assert not _free(spine.journal_db, DATABASE_LOCK)
            await journal.submit(draft("b"))

    asyncio.run(live())
    assert _free(spine.journal_db, DATABASE_LOCK)


def test_a_log_that_was_looked_at_goes_when_sqlite_drops_it(tmp_path: Path) -> None:
    """Else an agent that works for months holds the disk space of each."""
    spine = Spine(tmp_path)

    async def live() -> None:
        async with spine.journal() as journal:
            await journal.submit(draft("a"))
            _pages(spine.journal_db)

    asyncio.run(live())
    assert not [one for one in _open_here() if one.startswith(f"{spine.journal_db}-wal")]


def test_whoever_else_closes_the_file_takes_it_from_no_reader(tmp_path: Path) -> None:
    """Two salvages at a time in one agent borrowed each other's descriptors, and told whole records as lost."""
    (tmp_path / "file").write_bytes(b"whole")
    other = os.open(tmp_path / "file", os.O_RDONLY)
    with reading(tmp_path / "file") as descriptor:
        os.close(other)
        assert os.pread(descriptor, 5, 0) == b"whole"


def test_all_who_read_a_file_have_it_by_one_descriptor_until_the_last_has_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"whole")
    with reading(tmp_path / "file") as descriptor:
        for _ in range(3):
            with reading(tmp_path / "file") as same:
                assert same == descriptor
        (tmp_path / "file").unlink()
        with reading(Path(__file__)):  # others let go meanwhile
            assert os.pread(descriptor, 5, 0) == b"whole"
    with reading(Path(__file__)):
        assert f"{tmp_path / 'file'} (deleted)" not in _open_here()


def test_before_a_file_system_goes_what_nobody_reads_any_more_is_let_go_there_and_nowhere_else(tmp_path: Path) -> None:
    elsewhere = Path("/proc/version")
    for name in ("read", "open"):
        (tmp_path / name).write_bytes(b"whole")
    for path in (tmp_path / "read", elsewhere):
        with reading(path):
            pass
    with reading(tmp_path / "open") as descriptor:
        let_go(tmp_path)
        assert str(tmp_path / "read") not in _open_here()
        assert str(elsewhere) in _open_here()
        assert os.pread(descriptor, 5, 0) == b"whole"


def test_an_index_that_was_looked_at_and_removed_is_let_go(tmp_path: Path) -> None:
    """SQLite makes one anew each time that a database is opened: a hub would run out of descriptors."""
    index = tmp_path / "data.db-shm"
    for _ in range(3):
        index.write_bytes(b"index")
        with reading(index) as descriptor:
            index.unlink()
            with reading(Path(__file__)):  # others let go meanwhile
                assert os.pread(descriptor, 5, 0) == b"index"
    with reading(Path(__file__)):
        assert not [one for one in _open_here() if one.startswith(str(index))]
