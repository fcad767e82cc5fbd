"""A file with both journals of a machine: each is taken as the other, and one decision lets both of a successor in."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import uuid4

import sqlalchemy as sa

from edge.identity import load_identity
from edge.succession import begin
from hub.enrolment.tables import edges
from hub.ledger.reader import LedgerReader
from tests.station import Station


def test_both_journals_of_a_machine_are_taken(station: Station) -> None:
    """Invariants 2 to 5; the site ledger shows transactions only."""
    events = station.begin_events()
    station.say("a1", "a2")
    station.note("event:1", "event:2", "event:3")
    taken = station.take_all(station.export())
    assert [(one.journal, one.appended) for one in taken] == [(station.journal_id, [(1, 3)]), (events, [(1, 4)])]
    assert [one.held for one in station.take_all(station.export("again"))] == [3, 4]
    station.check_ledger()


def test_a_successor_is_let_in_with_both_journals_by_one_decision(station: Station) -> None:
    events = station.begin_events()
    station.say("a1")
    station.note("event:1")
    successor = begin(station.state, "a damaged page")
    station.say("b1", folder=successor)
    station.note("event:2", folder=successor)
    file = station.export()
    assert ["request 1 waits" in one.waits for one in station.take_all(file)] == [False, False, True, True]
    [request] = station.approvals.waiting()
    new = load_identity(successor.identity).journals
    assert request.body["new_journals"] == [str(one) for one in new.values()]
    station.approvals.decide(1, "周敏", "电话核实", approved=True)
    assert [(one.waits, one.held or one.appended) for one in station.take_all(file)] == [
        ("", 2), ("", 2), ("", [(1, 2)]), ("", [(1, 2)])]
    assert station.approvals.waiting() == []
    closed = {body["journal"]: body["successor"] for body in map(json.loads, station.notes("journal.closed"))}
    assert closed == {str(station.journal_id): str(new["business"]), str(events): str(new["events"])}
    with LedgerReader(station.hub_db) as ledger:
        assert ledger.journal(new["events"]).predecessor == events
    station.check_ledger()


def test_a_journal_that_its_machine_had_no_line_to_declare_comes_with_the_key_that_works_here(station: Station) -> None:
    events = station.begin_events(known=False)
    station.say("a1")
    station.note("event:1")
    assert [(one.waits, one.appended) for one in station.take_all(station.export())] == [("", [(1, 2)]), ("", [(1, 2)])]
    assert station.approvals.waiting() == []
    with LedgerReader(station.hub_db) as ledger:
        assert ledger.journal(events).edge == station.edge_id
    station.check_ledger()


def test_a_file_of_another_machine_brings_no_second_journal_of_this_one(station: Station) -> None:
    """Its certificate does not speak for it, whatever key it names."""
    station.begin_events(known=False)
    station.say("a1")
    station.note("event:1")
    other = uuid4()
    with station.engine.begin() as connection:
        connection.execute(edges.insert().values(edge=str(other), site="A01", machine="窗口2", enrolled_ms=1))
    identity = load_identity(station.state.identity)
    replace(identity, edge=str(other), chain=station.new_pair(other)).save(station.state.identity)
    station.state.record_key.unlink()
    business, events = station.take_all(station.export())
    assert business.appended == [(1, 2)]
    assert "rejoin" in events.waits
    assert events.appended == []
    with station.engine.connect() as connection:
        assert len(connection.execute(sa.select(edges)).all()) == 2
