"""`suozhan-edge verify`: whatever is changed on a machine is found and named, and what is whole is not accused."""

from __future__ import annotations

import asyncio
import errno
import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from typer.testing import CliRunner

import edge.command
import edge.verify
from edge.command import app, verify
from edge.drafts import CorruptJournal
from edge.identity import load_identity
from edge.journal import Journal, JournalLimits
from edge.journal_check import Finding, JournalCheck
from edge.receipt_store import Receipt, ReceiptStore
from edge.sqlite_log import FRAME_BYTES, HEADER_BYTES
from edge.state import StateFolder
from edge.succession import begin
from edge.verify import Verification
from security.chain import leaf_hash
from security.checkpoint import Checkpoint, origin_of
from security.clock import SystemClock
from security.durable_sqlite import DatabaseMissing
from security.private_files import write_private
from security.signer import Ed25519Signer
from security.sqlite_connection import Connection
from security.suites import Verifier
from tests.edge.machine import enrolled, fill, journal_of, lose_database
from tests.edge.small_journal import Piece, SmallJournal, copy_journal, flipped
from tests.spine import CEILING_S, clear_page, damage, draft, prove

RECORDS = 1_200


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> StateFolder:
    state = enrolled(tmp_path_factory.mktemp("machine"))
    fill(state, RECORDS)
    return state


@pytest.fixture
def copy(machine: StateFolder, tmp_path: Path) -> StateFolder:
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
    damage(copy.business.db, statement)
    [finding] = _findings(copy)
    assert (finding.where, text in finding.text) == (where, True)


@pytest.mark.parametrize("statement", ["DROP TRIGGER keep_digests", "CREATE TABLE more (a)"])
def test_a_schema_that_is_not_ours_is_named(copy: StateFolder, statement: str) -> None:
    with closing(sqlite3.connect(copy.business.db)) as db:
        db.execute(statement)
    [finding] = _findings(copy)
    assert (finding.where, "not those" in finding.text) == ("page 1", True)


@pytest.mark.parametrize(("change", "where", "text"), [
    (lambda state: state.identity.write_text("{"), "identity", "damaged"),
    (lambda state: state.record_key.unlink(), "keys", "record.key"),
    (lambda state: (state.record_key.unlink(), Ed25519Signer.create(state.record_key)), "keys", "not the key of"),
    (lambda state: state.tls_key.write_bytes(b"short"), "keys", "tls.key is damaged"),
    (lambda state: state.business.db.unlink(), "journal", "no database"),
    (lambda state: state.business.db.write_bytes(bytes(8192)), "journal", "keep this file"),
])
def test_each_file_beside_the_journal_is_checked(copy: StateFolder, change: Callable[[StateFolder], object], where: str,
                                                 text: str) -> None:
    change(copy)
    found = [finding for finding in _findings(copy) if finding.where == where]
    assert any(text in finding.text for finding in found), _findings(copy)


def test_a_journal_of_another_machine_is_noticed(copy: StateFolder, tmp_path: Path) -> None:
    other = enrolled(tmp_path / "other")
    copy_journal(other.business.db, copy.business.db)
    assert {"identity", "keys"} <= _where(copy)


def test_a_journal_that_sqlite_cannot_open_is_described_page_by_page(copy: StateFolder) -> None:
    with flipped(Piece(copy.business.db, 0, 4096), 8 * 3):
        found = {finding.where: finding.text for finding in _findings(copy)}
    assert "SQLite" in found["page 1"]
    assert f"{RECORDS + 1} records" in found["salvage"]


def test_a_page_that_sqlite_cannot_read_is_passed_by_and_its_records_named(copy: StateFolder) -> None:
    with closing(sqlite3.connect(copy.business.db)) as db:
        pages = db.execute("SELECT pageno FROM dbstat WHERE name = 'envelopes' AND pagetype = 'leaf'").fetchall()
    page = pages[3][0]
    with flipped(Piece(copy.business.db, (page - 1) * 4096, 4096), 6):
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


@pytest.mark.parametrize("bit", [8 * 3, 8 * 3 + 1, 8 * 20, 8 * 27])
def test_a_log_that_hides_all_by_its_header_is_no_journal_without_findings(tmp_path: Path, bit: int) -> None:
    """SQLite takes it for an empty one. The first of these bits is the byte order of all its sums."""
    small = SmallJournal(tmp_path)
    with flipped(Piece(Path(f"{small.hot}-wal"), 0, HEADER_BYTES), bit), JournalCheck(small.hot) as check:
        assert any("frame 0" in finding.where for finding in check.structure())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_check_that_is_ended_by_hand_or_by_the_system_says_how_to_go_on(
        copy: StateFolder, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    monkeypatch.setattr(edge.command, "_progress_line", lambda: lambda _checked, _end: signal.raise_signal(number))
    by_hand = signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in the background has it ignored
    before = signal.getsignal(signal.SIGTERM)
    said = CliRunner().invoke(app, ["--state", str(copy.root), "verify"])
    assert (said.exit_code, "Go on with: suozhan-edge" in said.output) == (130, True)
    assert (copy.root / "verify.json").exists()
    assert signal.getsignal(signal.SIGTERM) is before
    signal.signal(signal.SIGINT, by_hand)


def test_an_interrupted_check_goes_on_and_does_not_forget_what_it_found(copy: StateFolder,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.verify, "CURSOR_EVERY_RECORDS", 100)
    damage(copy.business.db, "UPDATE envelopes SET payload = zeroblob(300) WHERE position = 100")

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


@pytest.mark.parametrize("put_back", ["beside", "over"])
def test_an_interrupted_check_says_nothing_of_a_file_that_was_put_in_its_place(
        machine: StateFolder, copy: StateFolder, tmp_path: Path, put_back: str) -> None:
    """An older one, whose damage nobody has looked at."""
    older = StateFolder(tmp_path / "older")
    shutil.copytree(machine.root, older.root)
    damage(older.business.db, "UPDATE envelopes SET payload = zeroblob(300) WHERE position = 100")

    def interrupt(checked: int, end: int) -> None:
        if checked > RECORDS + 1:
            raise KeyboardInterrupt

    asyncio.run(_say(copy, 600))
    with pytest.raises(KeyboardInterrupt):
        list(Verification(copy, interrupt, resume=False).findings())
    if put_back == "beside":
        copy.business.db.rename(copy.business.db.with_name("business.db.kept"))
    shutil.copy(older.business.db, copy.business.db)
    again = Verification(copy, lambda checked, end: None, resume=True)
    assert [one.where for one in again.findings()] == ["position 100"]
    assert again.checked == RECORDS + 1


def test_a_folder_that_takes_no_cursor_is_checked_to_the_end(copy: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a disk that is mounted for reading only."""
    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("edge.verify.write_private", refuse)
    monkeypatch.setattr("edge.verify.CURSOR_EVERY_RECORDS", 10)
    monkeypatch.setattr(Path, "unlink", refuse)
    damage(copy.business.db, "UPDATE envelopes SET payload = zeroblob(99) WHERE position = 700")
    [finding] = _findings(copy)
    assert finding.where == "position 700"


def test_receipts_that_cannot_be_read_are_findings(copy: StateFolder) -> None:
    prove(copy.business.db, 7)
    damage(copy.business.db, "UPDATE receipts SET proof = x'00'")
    damage(copy.business.db, "UPDATE log_view SET checkpoint = cast(x'ff' AS TEXT)")
    assert [one.where for one in _findings(copy)] == ["receipt in row 1", "newest checkpoint"]
    clear_page(copy.business.db, "receipts")
    assert {"receipts", "newest checkpoint", "journal file"} <= _where(copy)


def _prove_honestly(state: StateFolder, log_key: Ed25519Signer, position: int) -> None:
    """By a log that holds this record alone."""
    identity = replace(load_identity(state.identity), hub_log_key=log_key.public_key.hex())
    identity.save(state.identity)
    with closing(sqlite3.connect(state.business.db)) as db:
        [(digest, signature)] = db.execute("SELECT digest, signature FROM digests JOIN envelopes USING (position) "
                                           "WHERE position = ?", (position,))
    key = Ed25519Signer.load(state.record_key)
    key_id, journal = Verifier(key.suite, key.public_key).key_id, identity.journals["business"]
    leaf = leaf_hash(key_id, journal.bytes, position, digest, signature, 0)
    note = Checkpoint(origin_of(identity.hub_id, 1), 1, leaf).signed(log_key).decode()
    ReceiptStore(state.business.db).keep(note, Receipt(position, 1, 0, 0, signature, (), note))


@pytest.mark.parametrize(("name", "said"), [
    ("keys/record.key", ["keys", "keys"]),
    ("identity.json", ["identity", "identity", "keys"]),
    ("journals/business.db", ["identity", "keys"]),
])
def test_another_machines_file_says_nothing_against_the_hub(copy: StateFolder, tmp_path: Path, name: str,
                                                            said: list[str]) -> None:
    log_key, other = Ed25519Signer.create(tmp_path / "log.key"), enrolled(tmp_path / "other")
    _prove_honestly(copy, log_key, 7)
    fill(other, 9)
    _prove_honestly(other, log_key, 7)
    assert _findings(copy) == []
    (copy.root / name).write_bytes((other.root / name).read_bytes())
    found = _findings(copy)
    assert [one.where for one in found] == said
    assert not any("security officer" in one.text for one in found)


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
    damage(copy.business.db, "UPDATE envelopes SET payload = zeroblob(300) WHERE position = 700")
    successor = begin(copy, "a damaged record")
    said = CliRunner().invoke(app, ["--state", str(copy.root), "verify"])
    assert (said.exit_code, "nothing is to be done here" in said.stdout) == (1, False)
    write_private(successor.business.carried, b"{}")
    said = CliRunner().invoke(app, ["--state", str(copy.root), "verify"])
    assert said.exit_code == 1, "its other journal is not settled yet"
    write_private(successor.events.carried, b"{}")
    said = CliRunner().invoke(app, ["--state", str(copy.root), "verify"])
    assert (said.exit_code, "nothing is to be done here, and the exit code is not 1 for it" in said.stdout) == (0, True)
    assert "other than in an identity that is settled" in " ".join(str(verify.__doc__).split())


@pytest.mark.parametrize("command", ["run", "status"])
def test_a_journal_that_is_gone_is_told_with_the_way_that_is_left(copy: StateFolder, command: str) -> None:
    copy.business.db.unlink()
    said = CliRunner().invoke(app, ["--state", str(copy.root), command])
    assert isinstance(said.exception, DatabaseMissing)
    assert "suozhan-edge rejoin --reason TEXT" in str(said.exception)
    assert "enrol" not in str(said.exception)
    [finding] = _findings(copy)
    assert finding.text == str(said.exception)
    assert not copy.business.db.exists()


def test_what_the_log_of_a_journal_that_is_gone_still_holds_is_told(tmp_path: Path) -> None:
    state = enrolled(tmp_path)
    lose_database(state, 0, 20)
    gone, *_, saved = _findings(state)
    assert gone.text.startswith(f"no database at {state.business.db}")
    assert saved.text.startswith("21 records up to position 21 are whole, 0 were dropped before (0 of them are in a "
                                 "backup of the hub, by its word), 0 are lost")


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
    with pytest.raises(raised, match="disk I/O error"), JournalCheck(copy.business.db):
        pass


def test_damage_of_either_journal_is_found_and_named(copy: StateFolder) -> None:
    asyncio.run(_note(copy, 40))
    assert _findings(copy) == []
    said = CliRunner().invoke(app, ["--state", str(copy.root), "verify"])
    assert said.stdout == f"{RECORDS + 1 + 41} positions checked, 0 findings.\n"
    damage(copy.events.db, "UPDATE envelopes SET payload = zeroblob(300) WHERE position = 7")
    damage(copy.business.db, "UPDATE envelopes SET payload = zeroblob(300) WHERE position = 9")
    assert [one.where for one in _findings(copy)] == ["position 9", "events: position 7"]
    copy.events.db.unlink()
    assert _where(copy) == {"position 9", "events: journal"}


async def _say(state: StateFolder, records: int) -> None:
    async with asyncio.timeout(CEILING_S), journal_of(state) as journal:
        await asyncio.gather(*[journal.submit(draft(f"later:{number}")) for number in range(records)])


async def _note(state: StateFolder, records: int) -> None:
    identity = load_identity(state.identity)
    journal = Journal(state.events.db, Ed25519Signer.load(state.record_key), bytes.fromhex(identity.hub_sealing_key),
                      SystemClock(), JournalLimits(reserve_bytes=0))
    async with asyncio.timeout(CEILING_S), journal:
        await asyncio.gather(*[journal.submit(draft(f"event:{number}")) for number in range(records)])


def test_a_check_that_was_interrupted_in_the_second_journal_goes_on_there(copy: StateFolder,
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.verify, "CURSOR_EVERY_RECORDS", 10)
    asyncio.run(_note(copy, 800))
    damage(copy.business.db, "UPDATE envelopes SET payload = zeroblob(300) WHERE position = 9")

    def interrupt(checked: int, end: int) -> None:
        if end == 801 and checked >= 500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Verification(copy, interrupt, resume=False).findings())
    again = Verification(copy, lambda checked, end: None, resume=True)
    assert list(again.findings()) == []
    assert (again.checked, again.earlier) == (301, 1)
