"""`suozhan-edge verify`: whatever is changed on a machine is found and named, and what is whole is not accused."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

import edge.verify
from edge.command import app, verify
from edge.drafts import CorruptJournal
from edge.journal_check import Finding, JournalCheck
from edge.sqlite_log import FRAME_BYTES, HEADER_BYTES
from edge.state import StateFolder
from edge.succession import begin
from edge.verify import Verification
from security.durable_sqlite import Connection, DatabaseMissing
from security.private_files import write_private
from security.signer import Ed25519Signer
from tests.edge.machine import enrolled, fill
from tests.edge.small_journal import Piece, SmallJournal, copy_journal, flipped
from tests.spine import clear_page, damage, prove

RECORDS = 1_200


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> StateFolder:
    state = enrolled(tmp_path_factory.mktemp("machine"))
    fill(state, RECORDS)
    return state


@pytest.fixture
def copy(machine: StateFolder, tmp_path: Path) -> StateFolder:
    import shutil

    return StateFolder(Path(shutil.copytree(machine.root, tmp_path / "copy")))


def _findings(state: StateFolder) -> list[Finding]:
    return list(Verification(state, lambda checked, end: None, resume=False).findings())


def _where(state: StateFolder) -> set[str]:
    return {finding.where for finding in _findings(state)}


def test_a_whole_machine_has_no_findings_and_keeps_no_cursor(machine: StateFolder) -> None:
    before = {path: path.stat().st_mtime_ns for path in machine.root.rglob("*") if path.is_file()}
    said = CliRunner().invoke(app, ["--state", str(machine.root), "verify"])
    assert (said.exit_code, said.stdout) == (0, f"{RECORDS + 1} positions checked, 0 findings.\n")
    assert {path: path.stat().st_mtime_ns for path in machine.root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("statement", "where", "text"), [
    ("UPDATE envelopes SET payload = zeroblob(300) WHERE position = 700", "position 700", "not what was signed"),
    ("UPDATE envelopes SET signature = zeroblob(64) WHERE position = 700", "position 700", "signature"),
    ("UPDATE digests SET digest = zeroblob(32) WHERE position = 700", "position 700", "record is whole"),
    ("UPDATE digests SET id = zeroblob(16) WHERE position = 700", "position 700", "belongs there"),
    ("DELETE FROM envelopes WHERE position = 700", "position 700", "missing"),
    ("DELETE FROM digests WHERE position = 700", "position 700", "missing"),
    ("UPDATE head SET position = 900", "head", "not the last"),
    ("UPDATE head SET digest = zeroblob(32)", "head", "not the last"),
    ("UPDATE standing SET backed_up = 5", "standing", "cannot be so"),
])
def test_each_change_of_a_row_is_named(copy: StateFolder, statement: str, where: str, text: str) -> None:
    damage(copy.journal, statement)
    [finding] = _findings(copy)
    assert (finding.where, text in finding.text) == (where, True)


@pytest.mark.parametrize("statement", ["DROP TRIGGER keep_digests", "CREATE TABLE more (a)"])
def test_a_schema_that_is_not_ours_is_named(copy: StateFolder, statement: str) -> None:
    with closing(sqlite3.connect(copy.journal)) as db:
        db.execute(statement)
    [finding] = _findings(copy)
    assert (finding.where, "not those" in finding.text) == ("page 1", True)


@pytest.mark.parametrize(("change", "where", "text"), [
    (lambda state: state.identity.write_text("{"), "identity", "damaged"),
    (lambda state: state.record_key.unlink(), "keys", "record.key"),
    (lambda state: (state.record_key.unlink(), Ed25519Signer.create(state.record_key)), "keys", "not the key of"),
    (lambda state: state.tls_key.write_bytes(b"short"), "keys", "tls.key is damaged"),
    (lambda state: state.journal.unlink(), "journal", "no database"),
    (lambda state: state.journal.write_bytes(bytes(8192)), "journal", "keep this file"),
])
def test_each_file_beside_the_journal_is_checked(copy: StateFolder, change: Callable[[StateFolder], object], where: str,
                                                 text: str) -> None:
    change(copy)
    found = [finding for finding in _findings(copy) if finding.where == where]
    assert any(text in finding.text for finding in found), _findings(copy)


def test_a_journal_of_another_machine_is_noticed(copy: StateFolder, tmp_path: Path) -> None:
    other = enrolled(tmp_path / "other")
    copy_journal(other.journal, copy.journal)
    assert {"identity", "keys"} <= _where(copy)


def test_a_journal_that_sqlite_cannot_open_is_described_page_by_page(copy: StateFolder) -> None:
    with flipped(Piece(copy.journal, 0, 4096), 8 * 3):
        found = {finding.where: finding.text for finding in _findings(copy)}
    assert "SQLite" in found["page 1"]
    assert f"{RECORDS + 1} records" in found["salvage"]


def test_a_page_that_sqlite_cannot_read_is_passed_by_and_its_records_named(copy: StateFolder) -> None:
    with closing(sqlite3.connect(copy.journal)) as db:
        pages = db.execute("SELECT pageno FROM dbstat WHERE name = 'envelopes' AND pagetype = 'leaf'").fetchall()
    page = pages[3][0]
    with flipped(Piece(copy.journal, (page - 1) * 4096, 4096), 6):
        found = _findings(copy)
    lost = {finding.position for finding in found if finding.position}
    assert 0 < len(lost) < 20
    assert any(finding.where == f"page {page}" for finding in found)


def test_committed_records_in_a_damaged_log_are_named_before_they_are_lost(tmp_path: Path) -> None:
    small = SmallJournal(tmp_path)
    Path(f"{small.hot}-shm").unlink()
    with flipped(Piece(Path(f"{small.hot}-wal"), HEADER_BYTES + 4 * FRAME_BYTES, FRAME_BYTES), 8 * 500), \
            JournalCheck(small.hot) as check:
        assert any("frame 5" in finding.where for finding in check.structure())


def test_an_interrupted_check_goes_on_and_does_not_forget_what_it_found(copy: StateFolder,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.verify, "CURSOR_EVERY_RECORDS", 100)
    damage(copy.journal, "UPDATE envelopes SET payload = zeroblob(300) WHERE position = 100")

    def interrupt(checked: int, end: int) -> None:
        if checked >= 1_000:
            raise KeyboardInterrupt

    first = Verification(copy, interrupt, resume=False)
    with pytest.raises(KeyboardInterrupt):
        list(first.findings())
    said = CliRunner().invoke(app, ["--state", str(copy.root), "verify", "--resume"])
    assert f"{RECORDS + 1 - 1_000} positions checked, 0 findings (and 1 before the interruption)" in said.stdout
    assert said.exit_code == 1
    assert not (copy.root / "verify.json").exists()
    copy.root.joinpath("verify.json").write_text("damaged")
    assert "position 100" in CliRunner().invoke(app, ["--state", str(copy.root), "verify", "--resume"]).stdout


def test_a_folder_that_takes_no_cursor_is_checked_to_the_end(copy: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a disk that is mounted for reading only."""
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("edge.verify.write_private", refuse)
    monkeypatch.setattr("edge.verify.CURSOR_EVERY_RECORDS", 10)
    monkeypatch.setattr(Path, "unlink", refuse)
    damage(copy.journal, "UPDATE envelopes SET payload = zeroblob(99) WHERE position = 700")
    [finding] = _findings(copy)
    assert finding.where == "position 700"


def test_receipts_that_cannot_be_read_are_findings(copy: StateFolder) -> None:
    prove(copy.journal, 7)
    damage(copy.journal, "UPDATE receipts SET proof = x'00'")
    damage(copy.journal, "UPDATE log_view SET checkpoint = cast(x'ff' AS TEXT)")
    assert [one.where for one in _findings(copy)] == ["receipt in row 1", "newest checkpoint"]
    clear_page(copy.journal, "receipts")
    assert {"receipts", "newest checkpoint", "journal file"} <= _where(copy)


def test_every_finding_about_a_position_is_explained_to_the_technician() -> None:
    from edge import journal_check

    source, told = Path(journal_check.__file__).read_text(encoding="utf-8"), Path("docs/damage.md").read_text(encoding="utf-8")
    for text in ("what is stored is not what was signed", "its row of digests is damaged, the record is whole",
                 "its signature does not hold", "it is missing", "its record is missing", "the page that it stands in is",
                 "the record is not the one that belongs there", "it is not the last record", "what the hub has said cannot",
                 "tables or triggers are not those that this program wrote", "committed records behind it are not read"):
        assert text in source
        assert text in told


def test_findings_in_what_is_settled_are_told_and_are_no_failure(copy: StateFolder) -> None:
    damage(copy.journal, "UPDATE envelopes SET payload = zeroblob(300) WHERE position = 700")
    successor = begin(copy, "a damaged record")
    said = CliRunner().invoke(app, ["--state", str(copy.root), "verify"])
    assert (said.exit_code, "nothing is to be done here" in said.stdout) == (1, False)
    write_private(successor.carried, b"{}")
    said = CliRunner().invoke(app, ["--state", str(copy.root), "verify"])
    assert (said.exit_code, "nothing is to be done here, and the exit code is not 1 for it" in said.stdout) == (0, True)
    assert "other than in an identity that is settled" in " ".join(str(verify.__doc__).split())


@pytest.mark.parametrize("command", ["run", "status"])
def test_a_journal_that_is_gone_is_told_with_the_way_that_is_left(copy: StateFolder, command: str) -> None:
    copy.journal.unlink()
    said = CliRunner().invoke(app, ["--state", str(copy.root), command])
    assert isinstance(said.exception, DatabaseMissing)
    assert "suozhan-edge rejoin --reason TEXT" in str(said.exception)
    assert "enrol" not in str(said.exception)
    [finding] = _findings(copy)
    assert finding.text == str(said.exception)
    assert not copy.journal.exists()


@pytest.mark.parametrize(("code", "raised"), [
    (sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.OperationalError), (sqlite3.SQLITE_IOERR_READ, CorruptJournal),
])
def test_a_full_disk_is_not_called_damage(copy: StateFolder, monkeypatch: pytest.MonkeyPatch, code: int,
                                          raised: type[Exception]) -> None:
    """SQLite has no room for its index beside the file, and says "disk I/O error" as it does of a page that cannot be read."""
    def refuse(self: Connection, sql: str, parameters: object = ()) -> NoReturn:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(Connection, "execute", refuse)
    with pytest.raises(raised, match="disk I/O error"), JournalCheck(copy.journal):
        pass
