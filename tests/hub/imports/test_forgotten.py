"""A hub that is older than a machine, after a restore: what the machine holds reaches the site's ledger all the same."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from edge.identity import load_identity
from edge.old_journals import old_journals
from edge.succession import begin
from hub.enrolment.tables import edges
from hub.imports.check import ImportRefused
from security.chain import Genesis
from security.signer import Ed25519Signer
from tests.station import Station


def test_what_is_carried_out_of_journals_that_the_hub_forgot_is_shown(station: Station) -> None:
    """Invariant 3."""
    station.say("a1", "a2", deliver=True)
    station.say("a3")
    successor = begin(station.state, "the hub forgot it")
    identity, signer = load_identity(successor.identity), Ed25519Signer.load(successor.record_key)
    genesis = Genesis(identity.edge_id, UUID(identity.journal), signer.suite, signer.public_key, station.journal_id)
    station.forget()
    [old] = old_journals([station.state], b"")
    station.own.succeed([("business", genesis)], "A01", {"by": "周敏", "reason": "restored"}, [("business", old.genesis)])
    with station.engine.begin() as connection:
        connection.execute(edges.insert().values(edge=str(station.edge_id), site="A01", machine="", enrolled_ms=1))
    station.rejoin(successor)
    assert station.shown() == [2, 3, 5]
    station.check_ledger()


def test_a_hub_that_forgot_a_machine_takes_its_file_once_a_person_says_where_it_stands(station: Station) -> None:
    """Invariant 3: it came back from a backup that is older than the machine."""
    station.say("a1", "a2")
    station.say("b1", folder=begin(station.state, "damage"))
    file = station.export()
    station.forget()
    first, *_ = station.take_all(file)
    assert "not known to this hub" in station.checked_file.words[0]
    assert "again with --site SITE" in first.waits
    with pytest.raises(ImportRefused, match="there is no site 'A77'"):
        station.take_all(file, "A77")
    assert station.approvals.waiting() == []
    assert "request 1 waits" in station.take_all(file, "A01")[0].waits
    [request] = station.approvals.waiting()
    assert (request.body["site"], request.body["edge"]) == ("A01", str(station.edge_id))
    station.approvals.decide(1, "周敏", "电话核实", approved=True)
    first, second, _ = station.take_all(file, "A01")
    assert first.appended == [(1, 3)]
    assert "request 2 waits" in second.waits  # its successor is let in as any other
    station.approvals.decide(2, "周敏", "电话核实", approved=True)
    assert [one.waits for one in station.take_all(file)] == ["", "", ""]
    assert len(station.project()) == 3
    station.check_ledger()


def test_no_file_makes_a_forgotten_machine_of_one_that_did_not_sign_it(station: Station) -> None:
    station.say("a1")
    other = uuid4()
    identity = load_identity(station.state.identity)
    replace(identity, edge=str(other), chain=station.new_pair(other)).save(station.state.identity)
    station.state.record_key.unlink()
    file = station.export()
    station.forget()
    assert "rejoin" in station.take_all(file, "A01")[0].waits
    assert station.approvals.waiting() == []
