"""A machine's file at the hub: each record once, in its journal where it follows, else verbatim (invariants 2 to 5)."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
import sqlalchemy as sa

import hub.imports.deliveries
from edge.identity import load_identity
from edge.salvage import Saved, salvage
from edge.state import StateFolder
from edge.succession import begin
from hub.enrolment.tables import edges
from hub.imports.check import ImportRefused
from hub.imports.importing import import_file
from hub.imports.journal_import import JournalImport
from hub.imports.order import Order
from hub.ledger.decision_log import DecisionLog
from hub.ledger.hole import Hole
from hub.ledger.store import Ledger
from security.bundle.lines import LINE_MAX_BYTES
from security.certificates import pin_of
from security.record import CarriedRecord
from security.run import Run
from tests.station import Station


@pytest.fixture(autouse=True)
def _small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.imports.deliveries, "RUN_MAX_RECORDS", 4)


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def _lose(station: Station, *positions: int) -> None:
    """As a damaged page does it: no whole copy is left of those records; their digests stand elsewhere."""
    with closing(sqlite3.connect(station.state.business.db)) as db:
        names = db.execute(f"SELECT id FROM digests WHERE position IN ({','.join(map(str, positions))})").fetchall()
    data = bytearray(station.state.business.db.read_bytes())
    for (name,) in names:
        at = data.index(b"\x0a\x10" + name)
        data[at:at + 64] = bytes(64)
    station.state.business.db.write_bytes(data)


def _copy(station: Station, name: str) -> StateFolder:
    shutil.copytree(station.state.root, station.folder / name)
    return StateFolder(station.folder / name)


def test_what_continues_the_journal_is_appended_to_it(station: Station) -> None:
    station.say("a1", "a2", deliver=True)
    station.say(*_names("b", 10))
    imported = station.take(station.export())
    assert (imported.held, imported.appended, imported.carried, imported.unheld) == (3, [(4, 14)], [], [])
    assert station.shown() == [2, 3, *range(5, 15)]
    assert station.carried() == []
    station.check_ledger()


def test_a_journal_that_the_hub_has_nothing_of_is_appended_from_its_beginning(station: Station) -> None:
    station.say("a1", "a2")
    assert station.take(station.export()).appended == [(1, 3)]
    assert station.shown() == [2, 3]
    station.check_ledger()


def test_a_file_that_comes_twice_changes_nothing(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say(*_names("b", 9))
    file = station.export()
    station.take(file)
    again = station.take(file)
    assert (again.held, again.appended, again.carried) == (again.records, [], [])
    assert len(station.shown()) == 10
    assert len(station.notes("records.imported")) == 2


def test_the_hubs_own_journal_says_who_brought_what(station: Station) -> None:
    station.say("a1", "a2")
    file = station.export()
    station.take(file)
    [note] = [json.loads(one) for one in station.notes("records.imported")]
    assert note["by"] == "周敏"
    assert note["file_sha256"] == station.checked_file.sha256.hex()
    assert [(one["journal"], one["appended"], one["held"]) for one in note["journals"]] == [
        (str(station.journal_id), [[1, 3]], 0)]


def test_the_line_comes_back_after_an_import_and_nothing_is_doubled(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say(*_names("b", 5))
    station.take(station.export())
    station.say("c1", deliver=True)
    assert len(station.shown()) == 7
    assert [entry.position for entry in station.entries()] == list(range(1, len(station.entries()) + 1))
    station.check_ledger()


def test_what_lies_behind_a_lost_record_is_carried_and_nothing_is_appended_over_the_gap(station: Station) -> None:
    """Invariants 3 and 5."""
    station.say("a1", "a2", deliver=True)
    station.say(*_names("b", 12))
    _lose(station, 8)
    imported = station.take(station.export())
    assert "LOST: 1 record, at 8" in station.told
    assert (imported.appended, imported.carried, imported.unheld) == ([(4, 7)], [(9, 16)], [(8, 8)])
    assert station.carried() == list(range(9, 17))
    assert station.shown() == [2, 3, 5, 6, 7, *range(9, 17)]
    assert [entry.position for entry in station.entries()] == list(range(1, 8))
    station.check_ledger()


def test_what_was_carried_is_carried_once_however_often_the_file_comes(station: Station) -> None:
    station.say(*_names("a", 12))
    whole = _copy(station, "whole")
    _lose(station, 5)
    file = station.export()
    station.take(file)
    again = station.take(file)
    assert (again.carried, again.carried_before) == ([], 8)
    assert station.carried() == list(range(6, 14))
    # Another export of the same machine, too.
    assert station.take(station.export("second.bundle")).carried == []
    # A whole copy of the disk turns up: the gap closes, and what was carried before shows once.
    found = station.take(station.export("whole.bundle", whole))
    assert found.appended == [(5, 13)]
    assert station.shown() == list(range(2, 14))
    station.check_ledger()


def test_records_that_were_projected_from_a_file_are_not_shown_again_when_the_line_brings_them(station: Station) -> None:
    """Invariant 2: the carried copies come first, their own journal after them."""
    station.say(*_names("a", 12))
    whole = _copy(station, "whole")
    _lose(station, 5)
    station.take(station.export())
    assert station.shown() == [2, 3, 4, *range(6, 14)]
    shutil.rmtree(station.state.root)
    whole.root.rename(station.state.root)
    station.say("b1", deliver=True)
    assert sorted(station.shown()) == [*range(2, 14), 15]
    station.check_ledger()


def test_the_other_branch_of_a_fork_is_carried_whole_and_both_show(station: Station) -> None:
    """Invariant 5."""
    station.say("a1", "a2", deliver=True)
    clone = _copy(station, "clone")
    station.say(*_names("b", 6), deliver=True)
    station.say(*_names("c", 9), folder=clone)
    imported = station.take(station.export(state=clone))
    assert (imported.held, imported.forked, imported.appended, imported.carried) == (3, 3, [], [(4, 13)])
    assert len(station.shown()) == 2 + 6 + 9
    assert station.take(station.export("again.bundle", clone)).carried_before == 10
    station.check_ledger()


def test_a_restored_machine_brings_nothing_that_is_new(station: Station) -> None:
    station.say("a1", deliver=True)
    backup = _copy(station, "backup")
    station.say("b1", deliver=True)
    imported = station.take(station.export(state=backup))
    assert (imported.held, imported.records, imported.forked) == (2, 2, None)


def test_what_a_closed_journal_could_not_take_any_more_is_carried(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say("b1", "b2")
    with Ledger(station.hub_db) as ledger:
        ledger.close(station.journal_id, "another one follows it")
    imported = station.take(station.export())
    assert (imported.held, imported.appended, imported.carried) == (2, [], [(3, 5)])
    assert station.shown() == [2, 4, 5]
    station.check_ledger()


def test_what_the_machine_has_carried_over_itself_is_not_carried_again(station: Station) -> None:
    """The file was written before the machine came back on line, and is imported after."""
    station.say("a1", deliver=True)
    station.say(*_names("b", 8))
    file = station.export()
    station.rejoin(begin(station.state, "a damaged page"))
    assert station.shown() == [2, *range(4, 12)]
    imported = station.take(file)
    assert (imported.held, imported.carried, imported.carried_before) == (2, [], 9)
    assert station.carried() == []
    station.check_ledger()


def test_what_a_file_brought_shows_once_when_the_machine_carries_it_over_later(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say(*_names("b", 8))
    _lose(station, 6)
    assert station.take(station.export()).carried == [(7, 11)]
    assert station.shown() == [2, 4, 5, *range(7, 12)]
    station.rejoin(begin(station.state, "a damaged page"))
    assert station.shown() == [2, 4, 5, *range(7, 12)]
    station.check_ledger()


def test_a_copy_that_its_machine_did_not_sign_is_none(station: Station) -> None:
    """Nobody keeps a record out of the ledger by carrying it with a false signature before it comes."""
    station.say("a1", deliver=True)
    station.say("b1", "b2")
    with salvage(station.state.business.db) as salvaged:
        saved = [one for one in salvaged.entries(3) if isinstance(one, Saved)]
    key_id = station.signer.key_id
    with Ledger(station.hub_db) as ledger, station.own.transaction(ledger) as deciding:
        station.own.carry(deciding, [(CarriedRecord(one.previous, key_id, one.payload, bytes(64)), False) for one in saved])
        ledger.close(station.journal_id, "another one follows it")
    assert station.take(station.export()).carried == [(3, 5)]


def test_a_record_that_was_given_up_as_a_hole_and_is_found_is_carried(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say("b1", "b2", "b3")
    whole = station.export()
    with Ledger(station.hub_db) as ledger:
        head = ledger.journal(station.journal_id)
    with salvage(station.state.business.db) as salvaged:
        saved = [one for one in salvaged.entries() if isinstance(one, Saved)]
    hole = Hole(3, head.digest, [one.digest for one in saved[2:5]], [one.id for one in saved[2:5]])
    station.own.accept_hole(station.journal_id, hole, {})
    imported = station.take(whole)
    assert (imported.appended, imported.carried, imported.held) == ([(6, 6)], [(3, 5)], 2)
    assert station.shown() == [2, 4, 5, 6]  # also what came behind the hole, under the key that was lost in it
    station.check_ledger()


@pytest.mark.parametrize("page", [200, 1])
def test_a_data_key_that_was_lost_and_is_found_opens_what_came_behind_it(
        station: Station, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    """Until then each of those records is a finding."""
    monkeypatch.setattr("hub.projection.projector.PAGE_ENTRIES", page)
    station.say("a1", deliver=True)
    station.say("b1", "b2", "b3")
    file = station.export()
    with Ledger(station.hub_db) as ledger:
        head = ledger.journal(station.journal_id)
    with salvage(station.state.business.db) as salvaged:
        saved = [one for one in salvaged.entries() if isinstance(one, Saved)]
    station.own.accept_hole(station.journal_id, Hole(3, head.digest, [saved[2].digest], [saved[2].id]), {})
    station.say("c1", deliver=True)
    assert [position for _, position in station.project(findings_max=3)] == [2, 8]
    station.take(file)
    assert station.shown() == [2, 4, 5, 6, 8]
    station.take(file)
    assert station.shown() == [2, 4, 5, 6, 8]
    station.check_ledger()


def test_records_behind_a_gap_open_with_the_key_that_stands_before_it(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say(*_names("b", 3))
    _lose(station, 5)
    imported = station.take(station.export())
    assert (imported.carried, imported.without_key) == ([(6, 6)], 0)
    assert station.shown() == [2, 4, 6]


def test_records_whose_key_is_pruned_at_the_machine_open_with_the_hubs(station: Station) -> None:
    station.say("a1", "a2", deliver=True)
    station.back_up()
    station.deliver()
    clone = _copy(station, "clone")
    station.say("b1", deliver=True)
    station.say("c1", folder=clone)
    imported = station.take(station.export(state=clone))
    assert (imported.unheld, imported.without_key, imported.forked) == ([], 0, 3)
    assert len(station.shown()) == 4


def test_a_damaged_data_key_comes_from_its_second_copy(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say("b1", "b2")
    _lose(station, 3)
    assert station.take(station.export()).appended == [(3, 5)]
    assert station.shown() == [2, 4, 5]


def test_a_key_that_is_lost_is_told_and_stops_nothing(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say("b1", "b2")
    _lose(station, 3)  # the data key of the second start
    shutil.rmtree(station.state.business.db.with_suffix(".keys"))
    imported = station.take(station.export())
    assert (imported.carried, imported.without_key) == ([(4, 5)], 2)


@pytest.mark.parametrize("seed", range(12))
def test_a_file_with_one_changed_byte_is_refused_entirely(station: Station, seed: int) -> None:
    station.say(*_names("a", 9))
    data = bytearray(station.export().read_bytes())
    at = Random(seed).randrange(len(data))
    data[at] ^= 1 << Random(seed).randrange(8)
    changed = station.folder / "changed.bundle"
    changed.write_bytes(data)
    before = _size(station)
    with pytest.raises(ImportRefused, match="nothing was taken"):
        station.take(changed)
    assert _size(station) == before


def test_a_file_that_is_cut_off_or_no_bundle_at_all_is_refused(station: Station) -> None:
    station.say("a1")
    data = station.export().read_bytes()
    for number, bad in enumerate([data[:-200], data[:1000], b"", b"\0" * 5000, b"x" * (LINE_MAX_BYTES + 9)]):
        file = station.folder / f"{number}.bundle"
        file.write_bytes(bad)
        with pytest.raises(ImportRefused, match="nothing was taken"):
            station.take(file)
    assert station.entries() == []


def test_a_folder_and_a_site_that_is_none_are_named_as_that(station: Station) -> None:
    station.say("a1")
    with pytest.raises(ImportRefused, match="is a folder; name the file in it that `suozhan-edge export` wrote"):
        station.take(station.folder)
    with pytest.raises(ImportRefused, match=r"nothing was taken: there is no site 'A0l'; .*suozhan-hub site list"):
        station.take_all(station.export(), "A0l")
    assert station.entries() == []


def _size(station: Station) -> int:
    with Ledger(station.hub_db) as ledger:
        return ledger.size()


def test_another_hubs_file_is_refused(station: Station, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Station(tmp_path / "other")
    other.say("a1")
    with pytest.raises(ImportRefused, match="root"):
        station.take(other.export())
    other.engine.dispose()


def test_a_file_of_a_root_that_only_bears_the_hubs_name_is_refused(station: Station) -> None:
    station.say("a1")
    file = station.export()
    false = replace(station.hub, pin=pin_of(station.new_authority("false-ca").root))
    with pytest.raises(ImportRefused, match="pin"):
        import_file(false, Order(file, "周敏", "x"))


def test_an_expired_certificate_and_a_revoked_machine_are_told_and_taken(station: Station) -> None:
    """Invariant 9."""
    station.say("a1")
    station.clock.now_ms += 400 * 24 * 3600 * 1000
    with station.engine.begin() as connection:
        connection.execute(edges.update().values(revoked_ms=1))
    assert station.take(station.export()).appended == [(1, 2)]
    assert "the hub takes the file all the same" in station.told
    assert "expired" in station.checked_file.words[0]
    assert "revoked" in station.checked_file.words[1]


@pytest.mark.parametrize(("by", "reason"), [("", "x"), ("x", " "), ("a\nb", "x"), ("x", "y" * 200)])
def test_somebody_imports_for_a_reason(station: Station, by: str, reason: str) -> None:
    with pytest.raises(ImportRefused, match="--by"):
        Order(station.folder, by, reason)


# ---- journals that the hub has never heard of ----


def test_a_successor_without_a_line_waits_for_a_persons_word_and_is_taken_then(station: Station) -> None:
    """The journal before it is taken at once, and closed with the approval."""
    station.say("a1", deliver=True)
    station.say("b1", "b2")
    successor = begin(station.state, "a damaged page")
    station.say("c1", "c2", folder=successor)
    file = station.export()
    first, second, events = station.take_all(file)
    assert (first.appended, second.appended) == ([(3, 5)], [])
    assert events.waits == second.waits
    assert "request 1 waits" in second.waits
    assert station.take_all(file)[1].waits == second.waits  # one request, however often the file comes
    [request] = station.approvals.waiting()
    assert request.body["new_journals"] == [str(second.journal), str(events.journal)]
    station.approvals.decide(1, "周敏", "电话核实", approved=True)
    first, second, events = station.take_all(file)
    assert (first.held, second.waits, second.appended) == (5, "", [(1, 3)])
    assert events.waits == ""
    assert sorted(position for _, position in station.project()) == [2, 2, 3, 4, 5]
    with Ledger(station.hub_db) as ledger:
        assert ledger.journal(station.journal_id).closed
        assert ledger.journal(second.journal).predecessor == station.journal_id
    with station.engine.connect() as connection:
        revoked = {row.edge: row.revoked_ms for row in connection.execute(sa.select(edges))}
    assert revoked[str(station.edge_id)] is not None
    assert revoked[str(second.edge)] is None
    station.check_ledger()


def test_a_successor_that_was_refused_is_not_taken(station: Station) -> None:
    station.say("a1")
    station.say("c1", folder=begin(station.state, "a damaged page"))
    file = station.export()
    station.take_all(file)
    station.approvals.decide(1, "周敏", "不是本所的机器", approved=False)
    first, second, *_ = station.take_all(file)
    assert first.held == 2
    assert "refused request 1" in second.waits


def test_a_chain_of_successors_is_let_in_one_by_one(station: Station) -> None:
    station.say("a1")
    station.say("b1", folder=begin(station.state, "damage"))
    station.say("c1", folder=begin(station.state, "damage again"))
    file = station.export()
    _, second, _, third, _ = station.take_all(file)
    assert "request 1 waits" in second.waits
    assert "has to be registered first" in third.waits
    station.approvals.decide(1, "周敏", "核实", approved=True)
    assert "request 2 waits" in station.take_all(file)[3].waits
    station.approvals.decide(2, "周敏", "核实", approved=True)
    assert [one.waits for one in station.take_all(file)] == [""] * 5
    assert len(station.project()) == 3
    station.check_ledger()


def test_a_machine_cannot_have_a_key_let_in_as_another_machines_successor(station: Station) -> None:
    station.say("a1")
    station.say("b1", folder=begin(station.state, "damage"))
    other = uuid4()
    with station.engine.begin() as connection:
        connection.execute(edges.insert().values(edge=str(other), site="A01", machine="窗口2", enrolled_ms=1))
    identity = load_identity(station.state.identity)
    replace(identity, edge=str(other), chain=station.new_pair(other)).save(station.state.identity)
    station.state.record_key.unlink()
    first, second, *_ = station.take_all(station.export())
    assert first.appended == [(1, 2)]  # its own signatures speak for these, whoever brings them
    assert "rejoin" in second.waits
    assert station.approvals.waiting() == []
    assert (second.appended, second.carried) == ([], [])


def test_an_import_that_died_anywhere_is_finished_by_the_next(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 11."""
    station.say("a1", deliver=True)
    station.say(*_names("b", 20))
    _lose(station, 10)
    file = station.export()
    take, died = JournalImport.take, 0
    for number in range(8):

        def dies(self: JournalImport, run: Run, at: int = number) -> None:
            nonlocal at_run
            at_run += 1
            if at_run > at:
                raise OSError("the plug was pulled")
            take(self, run)

        at_run = 0
        monkeypatch.setattr(JournalImport, "take", dies)
        try:
            station.take(file)
        except OSError:
            died += 1
    monkeypatch.undo()
    station.take(file)
    assert died > 3
    assert station.carried() == list(range(11, 24))
    assert station.shown() == [2, *range(4, 10), *range(11, 24)]
    station.check_ledger()


def test_what_an_import_carried_whose_commit_was_lost_is_not_carried_twice(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision log has it, and gives it back before the next import looks (invariant 2)."""
    station.say(*_names("a", 8))
    _lose(station, 5)
    file, append = station.export(), DecisionLog.append

    def dies(self: DecisionLog, run: Run, digests: Sequence[bytes]) -> None:
        append(self, run, digests)
        raise OSError("the plug was pulled")

    with monkeypatch.context() as crash:
        crash.setattr(DecisionLog, "append", dies)
        with pytest.raises(OSError, match="plug"):
            station.take(file)
    station.take(file)
    assert station.carried() == [6, 7, 8, 9]
    station.check_ledger()
