"""Attachments in backups: on a backup's word machines forget their own, so it has to hold what it says (invariant 3)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deploy.demo.processes import DemoFailed
from edge.attachments.attachments import Attachments
from hub.attachments import copies
from hub.attachments.copies import FOLDER, attachment_findings, put_back
from hub.attachments.files import BlobFiles
from hub.attachments.inbox import Fate
from hub.attachments.tables import attachment_names, attachments
from hub.backup import BackupFailed, back_up
from hub.database import open_engine
from hub.ledger.store import Ledger
from hub.restore import restore
from hub.state import checked_config
from security.attachment import seal_attachment
from security.durable_sqlite import open_durable, open_look
from security.sqlite_connection import FileChanged
from tests.attaching import ScanningSpine, record_of, scan
from tests.hub.commands import command_here
from tests.hub.test_restore import SAID, City
from tests.spine import CutWire

ON_HUB = "attachment 1 of record"


@pytest.fixture
def spine(tmp_path: Path) -> ScanningSpine:
    """Two records with a scan each, both at the hub; and a third one whose scan has not arrived."""
    spine = ScanningSpine(tmp_path)

    async def scenario() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest, spine.attachments() as held:
            for number in range(2):
                await _store(spine, journal, held, f"t{number}")
            await spine.upload(held, spine.wire())
            await _store(spine, journal, held, "t2")
            await spine.drain(journal, CutWire(ingest, spine.edge_id))

    asyncio.run(scenario())
    spine.project()
    config = checked_config({"hub": spine.hub_id, "hosts": ["127.0.0.1"]})
    (tmp_path / "hub.toml").write_text(config.to_toml(), encoding="utf-8")
    (tmp_path / "keys").mkdir()
    shutil.copy(tmp_path / "log.key", tmp_path / "keys")
    return spine


async def _store(spine: ScanningSpine, journal, held: Attachments, caller: str) -> None:  # type: ignore[no-untyped-def]
    await spine.store(journal, held, caller, await held.put(scan(1_000), "application/pdf"))


def _addresses(spine: ScanningSpine) -> list[bytes]:
    return [bytes.fromhex(str(row.address)) for row in spine.rows(attachment_names)]


def _fates(spine: ScanningSpine) -> list[Fate]:
    return spine.inbox().fates(spine.edge_id, _addresses(spine))


def _flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])


def test_a_backup_copies_what_is_new_and_says_what_is_safe(spine: ScanningSpine, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    assert _fates(spine) == [Fate.HELD, Fate.HELD, Fate.MISSED]
    back_up(spine.hub_db, tmp_path / "one.db")
    assert _fates(spine) == [Fate.SAFE, Fate.SAFE, Fate.MISSED]
    kept = BlobFiles(tmp_path / FOLDER)
    assert sorted(kept.addresses()) == sorted(_addresses(spine)[:2])
    assert all(kept.intact(one) for one in kept.addresses())

    async def third() -> None:
        async with spine.attachments() as held:
            await spine.upload(held, spine.wire())

    asyncio.run(third())
    copied: list[bytes] = []
    real = copies._copied
    monkeypatch.setattr(copies, "_copied", lambda *those: copied.append(those[2]) or real(*those))
    back_up(spine.hub_db, tmp_path / "two.db")
    assert copied == _addresses(spine)[2:]
    assert _fates(spine) == [Fate.SAFE] * 3


@pytest.mark.parametrize("harm", ["flipped", "gone"])
def test_no_machine_forgets_what_is_damaged_at_the_hub_and_it_is_sent_again(spine: ScanningSpine, tmp_path: Path,
                                                                            harm: str) -> None:
    first, _, _ = _addresses(spine)
    path = spine.files.path(first)
    path.unlink() if harm == "gone" else _flip(path)
    with pytest.raises(BackupFailed, match=f"one.db is whole, but 1 attachments are gone .*{record_of(spine, 't0')}"):
        back_up(spine.hub_db, tmp_path / "one.db")
    assert _fates(spine) == [Fate.MISSED, Fate.SAFE, Fate.MISSED]
    with Ledger(spine.hub_db) as ledger:
        assert ledger.journal(spine.journal_id).backed_up == 4, "records do not wait for attachments"

    async def again() -> None:
        async with spine.attachments() as held:
            await spine.upload(held, spine.wire())

    asyncio.run(again())
    back_up(spine.hub_db, tmp_path / "two.db")
    assert _fates(spine) == [Fate.SAFE] * 3
    assert spine.files.intact(first)


def test_a_full_disk_of_the_backup_leaves_a_whole_database_and_frees_no_scan(
    spine: ScanningSpine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(BlobFiles, "write", full)
    with pytest.raises(BackupFailed, match="No space"):
        back_up(spine.hub_db, tmp_path / "one.db")
    assert _fates(spine) == [Fate.HELD, Fate.HELD, Fate.MISSED]
    assert (tmp_path / "one.db").exists()


def test_verify_names_record_and_machine_of_what_is_gone_or_damaged(spine: ScanningSpine, tmp_path: Path) -> None:
    back_up(spine.hub_db, tmp_path / "one.db")
    for file in ((), (str(tmp_path / "one.db"),)):
        said = command_here(tmp_path, "verify", *file)
        assert f"{ON_HUB} {record_of(spine, 't2')} (machine {spine.edge_id}" in said
        assert said.count("has not arrived yet") == 1
        assert "0 of them damage" in said
    first, second, _ = _addresses(spine)
    spine.files.path(first).unlink()
    _flip(spine.files.path(second))
    with pytest.raises(DemoFailed) as refused:
        command_here(tmp_path, "verify")
    for caller, what in (("t0", "is gone"), ("t1", "is not what was sealed")):
        assert any(f"{ON_HUB} {record_of(spine, caller)} (machine {spine.edge_id}" in line and what in line
                   for line in str(refused.value).splitlines())
    assert "Attachments are gone or damaged; records are not" in str(refused.value)
    assert "2 of them damage" in str(refused.value)
    command_here(tmp_path, "verify", str(tmp_path / "one.db"))
    _flip(BlobFiles(tmp_path / FOLDER).path(first))
    with pytest.raises(DemoFailed, match="beside this backup"):
        command_here(tmp_path, "verify", str(tmp_path / "one.db"))


def test_a_hub_that_starts_while_its_resting_file_is_looked_at_is_not_damaged(
        spine: ScanningSpine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resting = tmp_path / "resting.db"
    back_up(spine.hub_db, resting)

    def look(path: Path) -> sqlite3.Connection:
        db = open_look(path)
        with closing(open_durable(path)) as writer:
            writer.execute("VACUUM")
        return db

    monkeypatch.setattr(copies, "open_look", look)
    with pytest.raises(FileChanged, match="do it again"):
        list(attachment_findings(resting, BlobFiles.beside(spine.hub_db)))


def test_a_backup_of_a_program_that_knew_no_attachments_verifies(spine: ScanningSpine, tmp_path: Path) -> None:
    back_up(spine.hub_db, tmp_path / "one.db")
    with closing(sqlite3.connect(tmp_path / "one.db")) as db:
        db.execute("DROP TABLE attachment_names")
    assert "0 findings" in command_here(tmp_path, "verify", str(tmp_path / "one.db"))


def test_a_restore_puts_back_what_the_hub_lacks(tmp_path: Path) -> None:
    city, backups = City(tmp_path), tmp_path / "backups"
    backups.mkdir()
    files, sealed = BlobFiles.beside(city.state.database), dict[bytes, bytes]()
    engine = open_engine(city.state.database)
    with engine.begin() as connection:
        for number in range(3):
            content, seal = seal_attachment(scan(1_000))
            sealed[seal.address] = content
            (files.path(bytes(32)).parent.parent).mkdir(exist_ok=True)
            files.write(seal.address, content)
            connection.execute(attachments.insert().values(address=seal.address.hex(), size=len(content), edge="e", arrived_ms=1))
            connection.execute(attachment_names.insert().values(
                cursor=number + 1, number=1, record=f"r{number}", edge="e", journal="j", position=number, size=1,
                address=seal.address.hex(), media_type="application/pdf"))
    engine.dispose()
    back_up(city.state.database, backups / "one.db")
    first, second, _ = sealed
    files.path(first).unlink()
    files.path(second).unlink()
    _flip(BlobFiles(backups / FOLDER).path(second))
    back = restore(city.state, backups / "one.db", city.clock, SAID)
    assert (back.attachments.count, back.attachments.damaged) == (1, [second.hex()])
    assert [files.holds(one) for one in sealed] == [True, False, True]
    assert files.intact(first)
    shutil.rmtree(city.state.root / "attachments")
    shutil.rmtree(backups / FOLDER)
    assert put_back(backups / "one.db", city.state.database).count == 0
