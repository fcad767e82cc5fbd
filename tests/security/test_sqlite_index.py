"""A log that was taken away or cut is noticed by the index beside it, and nothing else is taken for that. Invariant 3."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from security import sqlite_index
from security.durable_sqlite import LogLost, create_database, open_durable, open_look, open_readonly
from security.incarnation import incarnation
from security.sqlite_index import Index, lost_log, read_index

ROWS = 30
HEADER_BYTES, FRAME_BYTES = 32, 4096 + 24
MARK = "user.suozhan.index"
WRITER = f"""
import os, signal, sys
from pathlib import Path
from security.durable_sqlite import open_durable
db = open_durable(Path(sys.argv[1]))
for number in range({ROWS}):
    db.execute("INSERT INTO rows VALUES (?)", (number,))
    if number == int(sys.argv[2]):
        db.execute("PRAGMA wal_checkpoint(" + sys.argv[3] + ")")
os.kill(os.getpid(), signal.SIGKILL)
"""
OPENERS = pytest.mark.parametrize("opener", [open_durable, open_readonly, open_look])
NEVER = -1


def _killed(path: Path, checkpoint_at: int = NEVER, kind: str = "PASSIVE") -> Path:
    """Of a writer that was killed; a checkpoint after one of its rows."""
    if not path.exists():
        create_database(path, "CREATE TABLE rows (number INTEGER) STRICT")
    done = subprocess.run([sys.executable, "-c", WRITER, path, str(checkpoint_at), kind], check=False)
    assert done.returncode == -signal.SIGKILL
    return path


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    return _killed(tmp_path / "data.db")


def _log(path: Path) -> Path:
    return Path(f"{path}-wal")


def _index(path: Path) -> Path:
    return Path(f"{path}-shm")


def _rows(path: Path) -> int:
    with closing(open_durable(path)) as db:
        return int(db.execute("SELECT count(*) FROM rows").fetchone()[0])


def _cut(size: int) -> Callable[[Path], None]:
    return lambda log: os.truncate(log, size)


@OPENERS
@pytest.mark.parametrize(("harm", "words"), [
    (lambda log: log.unlink(), "data.db-wal is gone, with 30 pages committed to it; put it back"),
    (_cut(0), "data.db-wal was cut to 0 of "), (_cut(31), "data.db-wal was cut to 31 of "),
    (_cut(HEADER_BYTES + ROWS // 2 * FRAME_BYTES), "data.db-wal was cut to "),
    (_cut(HEADER_BYTES + ROWS * FRAME_BYTES - 1), "data.db-wal was cut to ")],
    ids=["gone", "empty", "no header", "half", "a byte"])
def test_a_log_that_is_gone_or_cut_is_told_before_anything_is_opened(
        killed: Path, opener: Callable[[Path], sqlite3.Connection], harm: Callable[[Path], None], words: str) -> None:
    kept = shutil.copy(_log(killed), killed.with_name("kept"))
    harm(_log(killed))
    for _ in range(2):  # a look changes nothing
        with pytest.raises(LogLost, match=words) as caught:
            opener(killed).close()
        assert str(caught.value).startswith(f"{killed} is not whole: ")
        assert caught.value.sqlite_errorcode == sqlite3.SQLITE_CORRUPT
    shutil.move(kept, _log(killed))
    assert _rows(killed) == ROWS


def test_a_log_that_begins_again_after_a_checkpoint_is_looked_at_from_there(tmp_path: Path) -> None:
    path = _killed(tmp_path / "data.db", ROWS // 2)
    assert lost_log(path) == ""  # and the end of the earlier log behind it is nobody's loss
    _log(path).unlink()
    assert " is gone, with 14 pages " in lost_log(path)


@pytest.mark.parametrize(("behind", "words"), [(5, "5 pages committed"), (1, "1 page committed")])
def test_behind_a_checkpoint_that_a_reader_held_up_only_the_rest_is_missed(tmp_path: Path, behind: int, words: str) -> None:
    path = tmp_path / "data.db"
    create_database(path, "CREATE TABLE rows (number INTEGER) STRICT")
    with closing(open_durable(path)) as db, closing(open_readonly(path)) as reader:
        for _ in range(ROWS):
            db.execute("INSERT INTO rows VALUES (0)")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM rows").fetchone()
        for _ in range(behind):
            db.execute("INSERT INTO rows VALUES (0)")
        assert db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone() == (0, ROWS + behind, ROWS)
        assert lost_log(path) == ""
        _log(path).unlink()
        assert f"data.db-wal is gone, with {words}" in lost_log(path)


@pytest.mark.parametrize("page_bytes", [512, 32_768, 65_536])
def test_pages_of_any_size_are_counted(tmp_path: Path, page_bytes: int) -> None:
    """The largest is written as 1, and the one before has the highest bit of its two bytes."""
    path = tmp_path / "data.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA page_size = {page_bytes}")
        db.execute("CREATE TABLE rows (number INTEGER) STRICT")
    _killed(path)
    assert lost_log(path) == ""
    size = _log(path).stat().st_size
    os.truncate(_log(path), size - 1)
    assert f" was cut to {size - 1} of {size} bytes that were committed" in lost_log(path)


def test_a_killed_writers_own_files_are_whole_and_stay_so_when_it_is_opened_again(killed: Path) -> None:
    for times in (2, 3):
        assert lost_log(killed) == ""
        _killed(killed)
        with closing(open_look(killed)) as db:
            assert db.execute("SELECT count(*) FROM rows").fetchone() == (times * ROWS,)


@pytest.mark.parametrize("kind", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
def test_what_stands_in_the_database_may_go_from_the_log(tmp_path: Path, kind: str) -> None:
    path = _killed(tmp_path / "data.db", ROWS - 1, kind)
    assert lost_log(path) == ""
    _log(path).unlink()
    assert lost_log(path) == ""
    assert _rows(path) == ROWS


def test_a_clean_end_leaves_nothing_to_say(killed: Path) -> None:
    assert _rows(killed) == ROWS
    assert list(killed.parent.iterdir()) == [killed]
    assert lost_log(killed) == ""


def test_beside_a_log_that_was_begun_anew_an_older_index_says_nothing(killed: Path, tmp_path: Path) -> None:
    """As after a power cut: the index is never synced."""
    old = _index(killed).read_bytes()
    with closing(open_durable(killed)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("INSERT INTO rows VALUES (0)")
        log = _log(killed).read_bytes()
    _index(killed).write_bytes(old)
    _log(killed).write_bytes(log)
    _mark_as(killed)
    assert len(log) < HEADER_BYTES + ROWS * FRAME_BYTES
    assert lost_log(killed) == ""
    _log(killed).unlink()
    assert lost_log(killed) != ""  # so it was the log's own salts that spoke for it


def _mark_as(path: Path, boot: str = "") -> None:
    boot = boot or Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    os.setxattr(_index(path), MARK, f"{boot} {incarnation(_index(path))} {incarnation(path)}".encode())


def _after_a_power_cut(path: Path) -> None:
    _mark_as(path, "00000000-0000-4000-8000-000000000000")


def _unmarked(path: Path) -> None:
    os.removexattr(_index(path), MARK)


def _a_copy(path: Path) -> None:
    copy = shutil.copy2(_index(path), path.with_name("copy"))  # with its mark
    assert os.getxattr(copy, MARK) == os.getxattr(_index(path), MARK)
    Path(copy).replace(_index(path))


def _the_database_is_a_copy(path: Path) -> None:
    Path(shutil.copy2(path, path.with_name("copy"))).replace(path)


def _put_back(*files: Path) -> None:
    """Each a copy of itself, with its extended attributes, and often with the inode that it had."""
    for file in files:
        copy = shutil.copy2(file, file.with_name("copy"))
        file.unlink()
        shutil.copy2(copy, file)


def _the_index_is_put_back(path: Path) -> None:
    _put_back(_index(path))


def _both_are_put_back(path: Path) -> None:
    _put_back(path, _index(path))


def _gone(path: Path) -> None:
    _index(path).unlink()


def _written(at: int, data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with _index(path).open("r+b") as file:
            file.seek(at)
            file.write(data)
    return write


@pytest.mark.parametrize("harm", [
    _after_a_power_cut, _unmarked, _a_copy, _the_database_is_a_copy, _the_index_is_put_back, _both_are_put_back, _gone,
    _written(16, b"\xff"), _written(48 + 16, b"\xff"), _written(0, bytes(136)), _written(0, b"garbage!" * 17),
    lambda path: os.truncate(_index(path), 0), lambda path: os.truncate(_index(path), 60), Path.unlink],
    ids=["another boot", "no mark", "a copy", "another database", "index put back", "both put back", "gone", "first header",
         "second header", "zeros", "garbage", "empty", "half", "database gone"])
@pytest.mark.parametrize("log", ["gone", "cut"])
def test_an_index_that_is_not_certain_says_nothing(killed: Path, harm: Callable[[Path], None], log: str) -> None:
    """Of a power cut is left what had reached the disk: nothing here tells a log that went from one that ended."""
    if log == "gone":
        _log(killed).unlink()
    else:
        os.truncate(_log(killed), FRAME_BYTES)
    assert lost_log(killed) != ""
    harm(killed)
    assert lost_log(killed) == ""


@OPENERS
def test_a_whole_database_that_is_put_in_place_opens_beside_the_index_of_another(
        killed: Path, opener: Callable[[Path], sqlite3.Connection]) -> None:
    backup = killed.with_name("backup.db")
    create_database(backup, "CREATE TABLE rows (number INTEGER) STRICT; INSERT INTO rows VALUES (7)")
    killed.unlink()
    _log(killed).unlink()
    shutil.copy(backup, killed)
    with closing(opener(killed)) as db:
        assert db.execute("SELECT number FROM rows").fetchall() == [(7,)]
    _killed(killed)
    _log(killed).unlink()
    assert " is gone" in lost_log(killed)  # it has a mark of its own by now


@pytest.mark.parametrize("sql", ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_checkpoint(RESTART)"])
def test_a_database_stays_itself_whatever_sqlite_does_with_it(killed: Path, sql: str) -> None:
    with closing(open_durable(killed)) as db:
        db.execute(sql)
        db.execute("INSERT INTO rows VALUES (0)")
        _log(killed).unlink()
        assert " is gone" in lost_log(killed)


def test_an_index_whose_two_headers_say_the_same_nonsense_says_nothing(killed: Path) -> None:
    data = bytearray(_index(killed).read_bytes()[:136])
    assert read_index(bytes(data)) is not None
    for at in range(48):
        other = data.copy()
        other[at] ^= 0x40
        other[48 + at] ^= 0x40
        assert read_index(bytes(other)) is None, at


def _sum(data: bytes) -> bytes:
    first = second = 0
    for at in range(0, len(data), 8):
        first += int.from_bytes(data[at:at + 4], sys.byteorder) + second
        second += int.from_bytes(data[at + 4:at + 8], sys.byteorder) + first
    return b"".join((one % 2**32).to_bytes(4, sys.byteorder) for one in (first, second))


@pytest.mark.parametrize(("at", "readable"), [(8, True), (0, False), (12, False)], ids=["changes", "version", "made"])
def test_an_index_of_another_version_or_one_that_is_just_made_says_nothing_though_its_sum_holds(
        killed: Path, at: int, readable: bool) -> None:
    header = bytearray(_index(killed).read_bytes()[:40])
    header[at] ^= 1
    said = bytes(header)
    whole = said + _sum(said)
    assert (read_index(whole + whole + _index(killed).read_bytes()[96:136]) is not None) == readable


def test_where_files_take_no_mark_a_database_opens_and_nothing_is_certain(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "getxattr", refused)
    monkeypatch.setattr(os, "setxattr", refused)
    path = tmp_path / "data.db"
    create_database(path, "CREATE TABLE rows (number INTEGER) STRICT")
    with closing(open_durable(path)) as db:
        db.execute("INSERT INTO rows VALUES (0)")
        _log(path).unlink()
        assert lost_log(path) == ""


def test_beside_writers_who_come_and_go_nothing_is_ever_missed(tmp_path: Path) -> None:
    """Logs begin, are checkpointed, cut and removed while somebody looks."""
    path = tmp_path / "data.db"
    create_database(path, "CREATE TABLE rows (number INTEGER) STRICT")
    done, said = threading.Event(), set()

    def look() -> None:
        while not done.is_set():
            said.add(lost_log(path))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for round_ in range(40):
            with closing(open_durable(path)) as db:
                for number in range(5):
                    db.execute("INSERT INTO rows VALUES (?)", (number,))
                    if number == round_ % 5:
                        db.execute(f"PRAGMA wal_checkpoint({('TRUNCATE', 'RESTART', 'PASSIVE')[round_ % 3]})")
    finally:
        done.set()
        looking.join()
    assert said == {""}


def test_a_log_that_ends_while_it_is_looked_at_is_nobodys_loss(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = sqlite_index._lacking

    def ended(log: Path, index: Index) -> str:
        monkeypatch.undo()  # who opens it looks, too
        assert _rows(killed) == ROWS
        return lacking(log, index)

    monkeypatch.setattr(sqlite_index, "_lacking", ended)
    assert lost_log(killed) == ""


def test_a_log_that_goes_while_somebody_writes_is_told_to_whoever_comes_and_he_still_ends_well(killed: Path) -> None:
    with closing(open_durable(killed)) as db:
        db.execute("INSERT INTO rows VALUES (0)")
        _log(killed).unlink()
        with pytest.raises(LogLost, match="is gone"):
            open_durable(killed)
        db.execute("INSERT INTO rows VALUES (0)")
    assert _rows(killed) == ROWS + 2
