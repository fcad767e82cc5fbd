"""What a machine may ask of the journals before its own, and what a restored hub answers (invariants 3 and 5)."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from hub.ledger.predecessors import NotBefore, Predecessors
from hub.ledger.store import Ledger
from security.chain import Genesis
from security.signer import Ed25519Signer
from tests.station import Station


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


def _follow(station: Station, before: UUID) -> Genesis:
    signer = Ed25519Signer.create(station.folder / f"{uuid4()}.key")
    genesis = Genesis(uuid4(), uuid4(), signer.suite, signer.public_key, before)
    station.own.succeed([("business", genesis)], "A01", {})
    return genesis


def test_a_machine_hears_what_is_held_of_each_journal_before_its_own(station: Station) -> None:
    station.say("a1", "a2", deliver=True)
    with Ledger(station.hub_db) as ledger:
        head = ledger.journal(station.journal_id)
        digests = ledger.digests(head, 0, 10)
    second = _follow(station, station.journal_id)
    third = _follow(station, second.journal)
    predecessors = Predecessors(station.hub_db)
    for edge in (second.edge, third.edge):
        for position, digest in enumerate(digests, 1):
            assert predecessors.held(edge, station.journal_id, position, digest) == (3, True)
            assert predecessors.held(edge, station.journal_id, position, bytes(32)) == (3, False)
        assert predecessors.held(edge, station.journal_id, 4, digests[-1]) == (3, False)
        assert predecessors.held(edge, station.journal_id, 2**64 - 1, digests[-1]) == (3, False)
    assert predecessors.held(third.edge, second.journal, 1, bytes(32)) == (0, False)


def test_of_a_journal_that_a_restored_hub_has_never_heard_of_it_holds_nothing(station: Station) -> None:
    lost = uuid4()
    assert Predecessors(station.hub_db).held(_follow(station, lost).edge, lost, 5, bytes(32)) == (0, False)


def test_nobody_asks_after_another_machines_journal(station: Station) -> None:
    station.say("a1", deliver=True)
    second = _follow(station, station.journal_id)
    for edge, journal in ((station.edge_id, second.journal), (second.edge, second.journal), (uuid4(), station.journal_id),
                          (second.edge, station.hub_id)):
        with pytest.raises(NotBefore):
            Predecessors(station.hub_db).held(edge, journal, 1, bytes(32))
