"""What carried records show in the site ledger: whose word counts, and that one record stops no other (invariants 2, 5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.salvage import Saved, salvage
from hub.enrolment.tables import edges
from hub.ledger.runs import Arrival
from hub.ledger.store import Ledger
from hub.projection.tables import findings
from security.chain import Genesis, leaf_hash
from security.record import CarriedRecord, Record, Times, WrappedKey, parse_record, sign_link
from security.run import Run
from security.sealing import DataKey
from security.signer import Ed25519Signer
from tests.hub.transactions.test_projector import transaction
from tests.station import Station


class Carrying:
    """Another machine of the hub, which carries what it likes."""

    def __init__(self, station: Station, follows: UUID | None) -> None:
        self.station = station
        self.signer = Ed25519Signer(Ed25519PrivateKey.generate())
        self.edge, self.journal = uuid4(), uuid4()
        with station.engine.begin() as connection:
            connection.execute(edges.insert().values(edge=str(self.edge), site="A01", machine="窗口2", enrolled_ms=1))
        genesis = Genesis(self.edge, self.journal, self.signer.suite, self.signer.public_key, follows)
        station.own.register_machine([("business", genesis)], "A01")

    def carry(self, carried: CarriedRecord) -> None:
        now_ms = self.station.clock.unix_ms()
        with Ledger(self.station.hub_db) as ledger:
            head = ledger.journal(self.journal)
            position = head.position + 1
            times = Times(now_ms, 0, bytes(16), 1)
            payload = Record(uuid4(), self.edge, self.journal, position, "carried", times, False, carried).payload()
            link = sign_link(self.signer, head.digest, payload)
            leaf = leaf_hash(self.signer.key_id, self.journal.bytes, position, link.digest, link.signature, now_ms)
            run = Run(position, head.digest, [payload], [link.signature])
            ledger.append([Arrival(self.journal, run, [link.digest], [leaf], now_ms)])


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path)
    yield station
    station.engine.dispose()


def _undelivered(station: Station, after: int) -> list[CarriedRecord]:
    """As whoever holds a copy of the disk can carry it, with the key to each body."""
    with salvage(station.state.business.db) as salvaged:
        saved = [one for one in salvaged.entries() if isinstance(one, Saved)]
    keys = {one.position: _key(one.payload) for one in saved}
    newest, carried = None, []
    for one in saved:
        newest = keys[one.position] or newest
        if one.position > after:
            carried.append(CarriedRecord(one.previous, station.signer.key_id, one.payload, one.signature, newest))
    return carried


def _key(payload: bytes) -> WrappedKey | None:
    content = parse_record(payload).content
    return content if isinstance(content, WrappedKey) else None


def _reasons(station: Station) -> list[str]:
    with station.engine.connect() as connection:
        return list(connection.execute(sa.select(findings.c.reason)).scalars())


def test_what_a_machine_carries_that_follows_nobody_shows_nowhere_but_as_a_finding(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say("b1", "b2")
    other, successor = Carrying(station, None), Carrying(station, station.journal_id)
    stolen = _undelivered(station, 2)
    for one in stolen:
        other.carry(one)
    assert station.project(findings_max=3) == [(station.journal_id, 2)]
    assert len(_reasons(station)) == 3
    assert all("does not follow it" in reason for reason in _reasons(station))
    for one in stolen:  # and keeps nothing out when it comes by the right way
        successor.carry(one)
    assert [position for _, position in station.project(findings_max=3)] == [2, 4, 5]


def test_what_somebody_else_has_carried_is_still_taken_from_a_file(station: Station) -> None:
    station.say("a1", deliver=True)
    station.say("b1", "b2")
    elsewhere = Carrying(station, None)
    other = Carrying(station, elsewhere.journal)  # a successor, but of another machine
    for one in _undelivered(station, 2):
        other.carry(one)
    with Ledger(station.hub_db) as ledger:
        ledger.close(station.journal_id, "another one follows it")
    imported = station.take(station.export())
    assert (imported.carried, imported.carried_before) == ([(3, 5)], 0)
    assert [position for _, position in station.project(findings_max=3)] == [2, 4, 5]


@pytest.mark.parametrize("position", [0, 2**63, 2**64 - 1])
def test_a_carried_record_at_a_position_that_no_journal_has_stops_no_projection(station: Station, position: int) -> None:
    station.say("a1", deliver=True)
    successor = Carrying(station, station.journal_id)
    key, times = DataKey(station.edge_id, station.journal_id), Times(1, 0, bytes(16), 1)
    content = key.seal(transaction(), key_position=1, position=position, kind="transaction")
    payload = Record(uuid4(), station.edge_id, station.journal_id, position, "transaction", times, False, content).payload()
    link, wrapped = sign_link(station.signer, bytes(32), payload), key.wrap(station.sealing.public_key().public_bytes_raw())
    successor.carry(CarriedRecord(bytes(32), station.signer.key_id, payload, link.signature, wrapped))
    station.say("a2", deliver=True)
    assert [one for _, one in station.project(findings_max=1)] == [2, 4]
