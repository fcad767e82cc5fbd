"""What a machine saves of itself into a file: all that can be proved, or nothing at all (invariants 3, 4, 11)."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.agent_lock import agent_lock
from edge.export import export_machine
from edge.pruned_mark import PrunedMark
from edge.signatory import ExportRefused
from edge.start import AlreadyRunning
from edge.succession import begin
from edge.verify import Verification
from security.bundle.coverage import How
from security.bundle.reader import verify_bundle
from security.bundle.report import Report
from security.bundle.writer import BundleExists
from tests.edge.machine import enrolled, fill, lose_database
from tests.spine import HandClock, damage
from tests.station import Station


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path)
    yield station
    station.engine.dispose()


def _proved(file: Path) -> Report:
    report = verify_bundle(file)
    assert report.refusal is None, report.refusal
    assert report.signed
    return report


def test_all_records_of_a_whole_machine_are_in_its_file(tmp_path: Path) -> None:
    state, file = enrolled(tmp_path / "machine"), tmp_path / "file"
    fill(state, 20)
    told = export_machine(state, file, HandClock())
    assert "holds 21 records of 2 journals" in told
    assert "LOST" not in told
    assert "suozhan-hub import file --by NAME --reason TEXT" in told
    assert _proved(file).entries == 21
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_receipts_go_along_and_prove_what_the_hub_has(station: Station) -> None:
    station.say("a1", "a2", deliver=True)
    station.say("b1", deliver=True)
    station.say("c1")
    [journal] = _proved(station.export()).journals
    [covered] = journal.ranges
    assert covered[-1].how is How.SIGNED  # nobody but the machine speaks for the last ones
    assert How.OWN in {one.how for one in covered}
    assert "0 receipts" not in station.told


def test_what_was_pruned_is_named_and_its_receipts_go_along(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say("a2", deliver=True)
    station.back_up()
    station.say("b1", deliver=True)
    station.say("c1")
    report = _proved(station.export())
    [journal] = report.journals
    [covered] = journal.ranges
    assert [one.how for one in covered][:2] == [How.PRUNED, How.RECEIPT]
    assert covered[-1].how is How.SIGNED
    assert re.search(r"\d were dropped here before, as a backup of the hub holds them, by its word\.", station.told)
    assert "LOST" not in station.told


@pytest.mark.parametrize("harm", ["UPDATE standing SET backed_up = 0", "UPDATE standing SET position = 999"],
                         ids=["the hub came back from an older backup", "its word is damaged"])
def test_of_what_was_pruned_it_is_not_said_that_a_backup_holds_it_where_nothing_says_so(station: Station, harm: str) -> None:
    station.say("a1", deliver=True)
    station.say("a2", deliver=True)
    station.back_up()
    station.say("b1", deliver=True)
    PrunedMark(station.state.business.db).keep(2)  # as the agent does when it hears of the older backup
    damage(station.state.business.db, harm)
    assert _proved(station.export()).journals[0].ranges[0][0].how is How.PRUNED
    assert "2 were dropped here before; that a backup of the hub holds 2 of them, nothing here says any more" in station.told
    assert "Ask there whether it has them." in station.told
    assert "LOST" not in station.told


def test_damaged_receipts_cost_no_record(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say("b1", deliver=True)
    damage(station.state.business.db, "UPDATE receipts SET proof = zeroblob(32 * 3)")
    assert _proved(station.export()).entries == 4
    assert "Not all of its receipts are in the file" in station.told


@pytest.mark.parametrize("page", [0, 1, 2])
def test_a_page_that_is_gone_stops_no_export(station: Station, page: int) -> None:
    station.say(*[f"a{number}" for number in range(60)])
    with station.state.business.db.open("r+b") as file:
        file.seek(page * 4096)
        file.write(bytes(4096))
    report = _proved(station.export())
    assert report.entries + sum(last - first + 1 for one in report.journals for first, last in _lost(one.ranges)) == 61
    assert report.entries > 30


def _lost(ranges: object) -> Iterator[tuple[int, int]]:
    assert isinstance(ranges, list)
    for covered in ranges:
        for one in covered:
            if one.how is How.LOST:
                yield one.first, one.last


def test_a_running_agent_is_to_be_stopped_first(station: Station) -> None:
    station.say("a1")
    with agent_lock(station.state.lock), pytest.raises(AlreadyRunning, match="stop it first"):
        station.export()
    assert not list(station.folder.glob("*.bundle"))


def test_a_file_that_is_there_already_is_never_overwritten(station: Station) -> None:
    station.say("a1")
    before = station.export().read_bytes()
    with pytest.raises(BundleExists):
        station.export()
    assert (station.folder / "machine.bundle").read_bytes() == before


@contextmanager
def _files_at_most(size: int) -> Iterator[None]:
    """As on a full disk: a write beyond fails."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [0, 5_000, 20_000])
def test_a_full_disk_leaves_nothing_half_written(station: Station, size: int) -> None:
    station.say(*[f"a{number}" for number in range(60)])
    stick = station.folder / "stick"
    stick.mkdir()
    with _files_at_most(size), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        station.export("stick/file")
    assert list(stick.iterdir()) == []
    station.export("stick/file")


def test_a_successor_without_a_certificate_is_signed_for_by_the_identity_before_it(station: Station) -> None:
    station.say("a1", "a2")
    successor = begin(station.state, "a damaged page")
    station.say("b1", folder=successor)
    report = _proved(station.export())
    assert report.header is not None
    assert report.header.edge == station.edge_id
    assert [(one.journal.name, len(one.ranges)) for one in report.journals] == [("business", 1), ("business", 1), ("events", 1)]
    assert report.journals[1].journal.predecessor == station.journal_id


def test_what_is_settled_is_brought_too_while_it_is_here(station: Station) -> None:
    """The hub may have come back from a backup, and nobody here can ask it."""
    station.say("a1")
    successor = begin(station.state, "a damaged page")
    station.say("b1", folder=successor)
    successor.business.carried.write_text("{}", encoding="utf-8")
    assert next(one.journal.journal for one in _proved(station.export()).journals) == station.journal_id
    station.state.business.db.unlink()
    assert len(_proved(station.export("second.bundle")).journals) == 2
    assert "NOT IN IT" not in station.told


def test_a_damaged_pair_gives_way_to_the_first_one(station: Station) -> None:
    station.say("a1")
    station.state.tls_pair.touch(mode=0o600)
    assert _proved(station.export()).entries == 2
    assert "tls.pem is damaged" in station.told


def test_a_machine_without_any_key_that_signs_says_so(station: Station) -> None:
    station.say("a1")
    station.state.tls_key.unlink()
    with pytest.raises(ExportRefused, match=r"tls\.key"):
        station.export()


def test_a_journal_that_is_gone_is_told(station: Station) -> None:
    station.say("a1")
    station.say("b1", folder=begin(station.state, "a damaged page"))
    station.state.business.db.unlink()
    assert _proved(station.export()).entries == 2
    assert "NOT IN IT" in station.told
    shutil.rmtree(station.state.current.root / "journals")
    with pytest.raises(ExportRefused, match="nothing can be saved"):
        station.export("none.bundle")


def test_the_log_of_a_journal_whose_file_is_gone_is_saved(tmp_path: Path) -> None:
    """Invariant 3."""
    state, file = enrolled(tmp_path / "machine"), tmp_path / "file"
    lose_database(state, 0, 20)
    log = Path(f"{state.business.db}-wal").read_bytes()
    told = export_machine(state, file, HandClock())
    assert "holds 21 records of 2 journals" in told
    assert f"no database at {state.business.db}: the journal is gone, and business.db-wal beside it" in told
    assert _proved(file).entries == 21
    assert Path(f"{state.business.db}-wal").read_bytes() == log


def test_what_stood_in_a_file_that_is_gone_is_lost_and_not_taken_for_pruned(tmp_path: Path) -> None:
    """Invariant 3: nobody has said that a backup holds it."""
    state = enrolled(tmp_path / "machine")
    lose_database(state, 300, 20)
    told = export_machine(state, tmp_path / "file", HandClock())
    assert "in a backup of the hub" not in told
    assert "LOST: " in told
    assert "SOME RECORDS ARE LOST HERE" in told


def test_a_reason_that_no_bundle_can_hold_is_refused(station: Station) -> None:
    with pytest.raises(ExportRefused, match="--reason"):
        export_machine(station.state, station.folder / "f", station.clock, "a\nb")


def _zeroed_from(database: Path, page: int) -> None:
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(page * 4096)
        file.write(bytes(size - page * 4096))


def test_a_journal_of_which_only_the_first_page_is_left_is_not_told_as_an_empty_one(tmp_path: Path) -> None:
    """Its file would be taken by the hub as all that there was."""
    state, file = enrolled(tmp_path / "machine"), tmp_path / "file"
    fill(state, 20)
    _zeroed_from(state.business.db, 1)
    told = export_machine(state, file, HandClock())
    assert f"NOT IN IT: {state.business.db} is damaged, and holds no record that can be proved" in told
    assert "SOME RECORDS ARE LOST HERE" in told
    assert "(business)" not in told


def test_records_without_any_trace_are_not_told_as_dropped_where_nothing_says_that_they_were(tmp_path: Path) -> None:
    """The head alone is left, and the second copy of the data key (edge/key_copies.py)."""
    state, file = enrolled(tmp_path / "machine"), tmp_path / "file"
    fill(state, 20)
    _zeroed_from(state.business.db, 3)
    told = export_machine(state, file, HandClock())
    assert "20 are not here; whether they were dropped, as a backup of the hub held them, or are lost (up to 20 of them)" in told
    assert "SOME RECORDS MAY BE LOST HERE" in told
    said = [one.text for one in Verification(state, lambda *_: None, resume=False).findings()]
    assert any("or it is lost, nothing here says any more" in one for one in said)
    assert any("21 were dropped before or are lost: nothing here says which" in one for one in said)


def test_an_export_of_a_machine_whose_journals_are_gone_says_what_to_do(tmp_path: Path) -> None:
    state = enrolled(tmp_path / "machine")
    shutil.rmtree(state.business.db.parent)
    with pytest.raises(ExportRefused, match=r"the journal is gone\. Look for it in a copy of this folder"):
        export_machine(state, tmp_path / "file", HandClock())
