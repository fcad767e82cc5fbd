"""Whatever happens to the database, an auditor names the place, and what is sound is still read (invariants 4, 6)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from deploy.demo.processes import DemoFailed, command
from hub.ledger.findings import Finding
from hub.ledger.runs import Damaged, DamagedRow
from hub.ledger.store import Ledger
from hub.ledger.verify import LedgerCheck
from hub.outage import trouble
from tests.spine import CutWire, Spine, damage, draft

DRAINS = 3
RECORDS_A_DRAIN = 6
FLIPS = 300


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of several rows in one file, without a WAL."""
    spine = Spine(tmp_path_factory.mktemp("whole"))

    async def fill() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest:
            for number in range(DRAINS * RECORDS_A_DRAIN):
                await journal.submit(draft(str(number)))
                if number % RECORDS_A_DRAIN == 0:
                    await spine.drain(journal, CutWire(ingest, spine.edge_id))
            await spine.drain(journal, CutWire(ingest, spine.edge_id))

    asyncio.run(fill())
    with closing(sqlite3.connect(spine.hub_db)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    return spine.hub_db


@pytest.fixture
def database(whole: Path, tmp_path: Path) -> Path:
    """A copy in a folder of its own, as a hub's is."""
    return Path(shutil.copy(whole, tmp_path / "hub.db"))


def findings(database: Path) -> list[Finding]:
    with Ledger(database) as ledger:
        return list(LedgerCheck(ledger).findings())


FIRST_ROW = "WHERE idx = (SELECT min(idx) FROM runs WHERE journal = 2 AND count > 1)"
LAST_ROW = "WHERE idx = (SELECT max(idx) FROM runs)"
LAST_JOURNAL = "WHERE ref = 2"


@pytest.mark.parametrize(("statement", "where"), [
    (f"UPDATE runs SET count = count + 1 {FIRST_ROW}", "cursor"),
    (f"UPDATE runs SET count = count - 1 {FIRST_ROW}", "cursor"),
    (f"UPDATE runs SET count = -1 {LAST_ROW}", "cursor"),
    (f"UPDATE runs SET count = 2000000000 {LAST_ROW}", "cursor"),
    (f"UPDATE runs SET first = -5 {FIRST_ROW}", "cursor"),
    (f"UPDATE runs SET arrived_ms = -5 {FIRST_ROW}", "cursor"),
    (f"UPDATE runs SET arrived_ms = arrived_ms + 1 {FIRST_ROW}", "cursor"),
    (f"UPDATE runs SET sizes = zeroblob(length(sizes)) {FIRST_ROW}", "cursor"),
    (f"UPDATE runs SET payloads = x'00' {FIRST_ROW}", "cursor"),
    (f"UPDATE runs SET payloads = CAST(substr(payloads, 1, length(payloads) - 1) || x'00' AS BLOB) {FIRST_ROW}", "cursor"),
    (f"UPDATE runs SET digests = CAST(zeroblob(32) || substr(digests, 33) AS BLOB) {FIRST_ROW}", "cursor"),
    (f"UPDATE runs SET payloads = CAST(payloads || x'00' AS BLOB) {FIRST_ROW}", "cursor"),
    (f"UPDATE runs SET signatures = CAST(signatures || x'00' AS BLOB) {FIRST_ROW}", "cursor"),
    (f"UPDATE runs SET journal = 99 {FIRST_ROW}", "cursor"),
    (f"DELETE FROM runs {FIRST_ROW}", "cursor"),
    (f"DELETE FROM runs {LAST_ROW}", "ledger head"),
    ("DELETE FROM runs", "ledger head"),
    ("UPDATE ledger_head SET size = size + 5", "ledger head"),
    ("UPDATE ledger_head SET size = size - 1", "ledger head"),
    ("UPDATE ledger_head SET size = 0", "ledger head"),
    (f"UPDATE journals SET public_key = x'0102' {LAST_JOURNAL}", "journals"),
    (f"UPDATE journals SET public_key = zeroblob(32) {LAST_JOURNAL}", "journals"),
    (f"UPDATE journals SET suite = 7 {LAST_JOURNAL}", "journals"),
    (f"UPDATE journals SET name = CAST(x'62ff' AS TEXT) {LAST_JOURNAL}", "journals"),
    (f"UPDATE journals SET refusal = CAST(x'62ff' AS TEXT) {LAST_JOURNAL}", "journals"),
    (f"UPDATE journals SET closed = CAST(x'62ff' AS TEXT) {LAST_JOURNAL}", "journals"),
    (f"UPDATE journals SET journal = x'00' {LAST_JOURNAL}", "journals"),
    (f"UPDATE journals SET predecessor = randomblob(16) {LAST_JOURNAL}", "journal "),
    (f"UPDATE journals SET edge = randomblob(16) {LAST_JOURNAL}", "journal "),
    (f"UPDATE journals SET genesis = randomblob(32) {LAST_JOURNAL}", "journal "),
    (f"UPDATE journals SET key_id = randomblob(32) {LAST_JOURNAL}", "cursor"),
    (f"UPDATE journals SET digest = randomblob(32) {LAST_JOURNAL}", "journal "),
    (f"UPDATE journals SET position = position - 1 {LAST_JOURNAL}", "journal "),
])
def test_an_auditor_names_what_was_damaged_and_reads_on(database: Path, statement: str, where: str) -> None:
    assert findings(database) == []
    damage(database, statement)
    found = findings(database)
    assert any(one.where.startswith(where) for one in found), found
    assert all(one.damage for one in found)
    # A damage is told where it is, not once more at every entry behind it, unless the journal itself is lost.
    assert len(found) <= 4 or "journals" in statement, found


def _varint(number: int) -> bytes:
    """SQLite's: seven bits a byte, the highest first."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.insert(0, number & 0x7F | 0x80)
    return bytes(digits)


@pytest.mark.parametrize("column", range(4))
def test_bytes_that_one_bit_has_made_a_text_are_damage_of_that_row_only(database: Path, column: int) -> None:
    """In SQLite's row header BLOB and TEXT of one length differ by a bit; the bytes themselves are nobody's to quote."""
    columns = "digests, leaves, signatures, payloads"
    with closing(sqlite3.connect(database)) as db:
        index, *values = db.execute(f"SELECT idx, {columns} FROM runs {FIRST_ROW}").fetchone()
    types = [_varint(12 + 2 * len(value)) for value in values]
    data = bytearray(database.read_bytes())
    data[data.index(b"".join(types)) + len(b"".join(types[:column + 1])) - 1] ^= 1
    database.write_bytes(data)
    found = findings(database)
    assert found[0].where == f"cursor {index + 1}"
    assert len(found) <= 2  # and the gap that it leaves
    with Ledger(database) as ledger:
        assert len(ledger.feed(0, 1_000)) == index
        with pytest.raises(DamagedRow) as caught:
            ledger.feed(index, 1_000)
        assert str(caught.value).isascii()
        assert ledger.feed(ledger.behind(caught.value), 1_000)


def test_no_flipped_bit_trips_the_auditor(whole: Path, tmp_path: Path) -> None:
    """It is found, or SQLite says that the database is damaged, or it changes nothing that is read."""
    data, random, path = whole.read_bytes(), Random(7), tmp_path / "hub.db"
    with Ledger(whole) as ledger:
        entries = ledger.feed(0, 1_000)
    for _ in range(FLIPS):
        changed = bytearray(data)
        changed[random.randrange(100, len(data))] ^= 1 << random.randrange(8)
        path.write_bytes(changed)
        for left in tmp_path.glob("hub.db-*"):
            left.unlink()
        try:
            with Ledger(path) as ledger:
                assert list(LedgerCheck(ledger).findings()) or ledger.feed(0, 1_000) == entries
        except sqlite3.DatabaseError as error:
            assert "damaged" in trouble(error), error  # noqa: PT017 - which error comes depends on the bit


def _destroy_header(database: Path) -> None:
    with database.open("r+b") as file:
        file.write(bytes(100))


def _destroy_pages(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (database.stat().st_size - 4096))


def _empty(database: Path) -> None:
    database.write_bytes(b"")


@pytest.mark.parametrize("destroy", [_destroy_header, _destroy_pages, _empty])
def test_a_destroyed_database_is_one_line_that_says_what_to_do(database: Path, destroy: Callable[[Path], None]) -> None:
    destroy(database)
    with pytest.raises(DemoFailed, match=r"failed: suozhan-hub: the database is damaged \(.*\); keep it, and restore") as failed:
        command("hub", database.parent, "verify")
    assert len(str(failed.value).splitlines()) == 1


def test_the_command_checks_the_database_or_a_backup_and_leaves_the_backup_as_it_is(database: Path, tmp_path: Path) -> None:
    state, backup = tmp_path, tmp_path / "elsewhere" / "backup.db"
    backup.parent.mkdir()
    assert "0 findings" in command("hub", state, "verify")
    command("hub", state, "backup", str(backup))
    before = backup.read_bytes()
    damage(database, f"UPDATE runs SET count = count + 1 {FIRST_ROW}")
    with pytest.raises(DemoFailed, match=r"(?s)cursor .* does not hold what it says.*2 findings.*Stop the hub"):
        command("hub", state, "verify")
    assert "0 findings" in command("hub", state, "verify", str(backup))
    assert backup.read_bytes() == before
    assert [path.name for path in backup.parent.iterdir()] == ["backup.db"]
    damage(backup, f"UPDATE runs SET count = count + 1 {FIRST_ROW}")
    with pytest.raises(DemoFailed, match="Do not restore this file"):
        command("hub", state, "verify", str(backup))


def test_a_damaged_journal_is_refused_by_name_and_not_by_a_crash(database: Path) -> None:
    damage(database, f"UPDATE journals SET suite = 7 {LAST_JOURNAL}")
    with Ledger(database) as ledger:
        with pytest.raises(Damaged, match="journal number 2"):
            ledger.journals()
        assert len(ledger.marks()) == 2
