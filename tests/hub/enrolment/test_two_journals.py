"""A machine with two journals at the hub: both are registered, end together, and each is followed by the one of its name."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from hub.enrolment.declaring import DeclarationDesk
from hub.enrolment.desk import EnrolmentRefused
from hub.enrolment.rejoin_request import Following, RejoinRequest
from hub.enrolment.renewals import ApprovalWaits
from hub.enrolment.tables import declarations
from hub.ledger.journal_head import UnknownJournal
from hub.ledger.own_journal import OwnJournal
from hub.ledger.reader import LedgerReader
from hub.recall import Recall
from security.invitations import declaration_proof
from security.record import ClearBody, parse_record
from tests.rejoining import Identity, RejoiningHub


@pytest.fixture
def hub(tmp_path: Path) -> RejoiningHub:
    return RejoiningHub(tmp_path)


@pytest.fixture
def machine(hub: RejoiningHub) -> Identity:
    return Identity(hub, events=True).enrol()


def _refuses(hub: RejoiningHub, request: RejoinRequest, text: str) -> None:
    with pytest.raises(EnrolmentRefused, match=text):
        hub.rejoins.admit(request)


def _closed(hub: RejoiningHub) -> dict[str, str]:
    """Which journal follows which, as the hub's own records say."""
    with LedgerReader(hub.folder / "hub.db") as ledger:
        records = [parse_record(entry.payload) for entry in ledger.feed(0, 1000)]
    bodies = [json.loads(one.content.data) for one in records
              if one.kind == "journal.closed" and isinstance(one.content, ClearBody)]
    return {body["journal"]: body["successor"] for body in bodies}


def test_each_journal_is_followed_by_the_one_of_its_name(hub: RejoiningHub, machine: Identity) -> None:
    new = Identity(hub, machine, events=True)
    new.rejoin()
    assert _closed(hub) == {str(machine.journal): str(new.journal), str(machine.events): str(new.events)}
    for old, journal in ((machine.journal, new.journal), (machine.events, new.events)):
        assert old is not None
        assert journal is not None
        assert hub.journal(old).closed
        assert (hub.journal(journal).predecessor, hub.journal(journal).closed) == (old, "")
    kinds = hub.kinds()
    assert kinds.count("machine.revoked") == 1
    new.rejoin()  # an answer that was lost
    assert hub.kinds() == kinds


def test_who_decides_reads_of_both_journals(hub: RejoiningHub, machine: Identity) -> None:
    with pytest.raises(ApprovalWaits):
        hub.rejoins.admit(Identity(hub, machine, events=True).request())
    [waiting] = hub.approvals.waiting()
    assert [(one["name"], one["journal"]) for one in waiting.body["journals"]] == [
        ("business", str(machine.journal)), ("events", str(machine.events))]


def test_another_journal_of_events_is_another_request(hub: RejoiningHub, machine: Identity) -> None:
    new = Identity(hub, machine, events=True)
    new.rejoin()
    new.events = uuid4()
    with pytest.raises(ApprovalWaits):
        hub.rejoins.admit(new.request())


def test_a_machine_that_had_no_such_journal_gets_one(hub: RejoiningHub) -> None:
    machine = Identity(hub).enrol()
    new = Identity(hub, machine, events=True)
    new.rejoin()
    assert new.events is not None
    assert hub.journal(new.events).predecessor is None
    assert _closed(hub) == {str(machine.journal): str(new.journal)}


def test_nobody_ends_another_machines_journal_as_his_second(hub: RejoiningHub, machine: Identity) -> None:
    victim, new = Identity(hub, events=True).enrol("B07"), Identity(hub, machine, events=True)
    assert new.events is not None
    own = Following(new.journal, "business", machine.journal)
    for journals, text in (
            ([own, Following(new.events, "events", victim.events)], "belongs to another machine"),
            ([own, Following(new.events, "events", victim.journal)], "belongs to another machine"),
            ([own, Following(new.events, "events", machine.journal)], "each journal that it leaves, once"),
            ([Following(new.journal, "business"), Following(new.events, "events")], "each journal that it leaves"),
            ([own, Following(new.journal, "events", machine.events)], "distinct ids and names"),
            ([own, Following(new.events, "business", machine.events)], "distinct ids and names"),
            ([], "1 to 4 journals")):
        application = new.request().application
        changed = type(application)(*[
            [(one.journal, one.name) for one in journals] if field == "journals" else getattr(application, field)
            for field in application.__dataclass_fields__])
        _refuses(hub, new.request(journals=journals, application=changed), text)
    assert victim.events is not None
    assert not hub.journal(victim.events).closed


@pytest.mark.parametrize("count", [1, 3])
def test_a_hub_that_forgot_a_machine_takes_both_of_its_journals(hub: RejoiningHub, count: int) -> None:
    """Invariant 3."""
    machine = Identity(hub, events=True)
    for _ in range(count - 1):
        machine = Identity(hub, machine, events=True)
    new = Identity(hub, machine, events=True)
    new.rejoin(hub.invitation("B07", machine.edge))
    at: Identity | None = machine
    while at is not None:
        for genesis in (at.genesis, at.events_genesis):
            assert genesis is not None
            head = hub.journal(genesis.journal)
            assert (head.genesis, bool(head.closed), head.edge) == (genesis.digest(), True, at.edge)
        at = at.old


def test_one_journal_that_the_hub_forgot_comes_with_the_key_that_it_knows(hub: RejoiningHub) -> None:
    """Its machine works here with another one; with another key it is not that machine."""
    first = Identity(hub).enrol()
    machine = Identity(hub, first)
    machine.rejoin()
    first.events, machine.events = uuid4(), uuid4()  # which this hub has never heard of
    Identity(hub, machine, events=True).rejoin(hub.invitation(replaces=machine.edge))
    assert hub.journal(first.events).edge == first.edge
    assert hub.journal(first.events).closed

    stranger = Identity(hub).enrol("B07")
    mine = Identity(hub, Identity(hub, events=True), events=True)
    assert mine.old is not None
    mine.old.edge = stranger.edge
    _refuses(hub, Identity(hub, mine, events=True).request(hub.invitation(replaces=mine.edge)), "belongs to another machine")


def test_a_restored_hub_knows_both_journals_of_a_machine_again(hub: RejoiningHub) -> None:
    backup = hub.folder / "backup.db"
    with closing(sqlite3.connect(hub.folder / "hub.db")) as db:
        db.execute("VACUUM INTO ?", (str(backup),))
    machine = Identity(hub, events=True).enrol()
    hub.engine.dispose()
    for ending in ("-wal", "-shm"):
        Path(f"{hub.folder / 'hub.db'}{ending}").unlink(missing_ok=True)
    backup.replace(hub.folder / "hub.db")
    hub.restart()
    Recall(hub.engine, hub.folder / "hub.db", hub.own, hub.hub, bytes(32)).run()
    assert machine.events is not None
    assert {hub.journal(one).edge for one in (machine.journal, machine.events)} == {machine.edge}
    with hub.engine.connect() as connection:
        rows = connection.execute(sa.select(declarations).where(declarations.c.edge == str(machine.edge))).all()
    assert {row.name for row in rows} == {"business", "events"}


def test_the_last_common_record_is_found_for_each_journal(hub: RejoiningHub, machine: Identity) -> None:
    new = Identity(hub, machine, events=True)
    held = new.rejoin().held
    assert [(one.journal, one.position, one.common) for one in held] == [(machine.journal, 0, 0), (machine.events, 0, 0)]


# ---- a machine that enrolled before it had a second one ----


def _desk(hub: RejoiningHub) -> DeclarationDesk:
    return DeclarationDesk(hub.engine, hub.folder / "hub.db", hub.own)


def _signed(machine: Identity, journal: UUID, name: str = "events", edge: UUID | None = None) -> bytes:
    return machine.signer.sign(declaration_proof(edge or machine.edge, journal, name))


def test_a_machine_declares_another_journal_with_its_record_key(hub: RejoiningHub) -> None:
    machine, journal = Identity(hub).enrol(), uuid4()
    _desk(hub).declare(machine.edge, journal, "events", _signed(machine, journal))
    kinds = hub.kinds()
    assert kinds[-1] == "key.registered"
    machine.events = journal
    assert machine.events_genesis is not None
    assert (hub.journal(journal).genesis, hub.journal(journal).name) == (machine.events_genesis.digest(), "events")
    _desk(hub).declare(machine.edge, journal, "events", _signed(machine, journal))  # an answer that was lost
    assert hub.kinds() == kinds
    Identity(hub, machine, events=True).rejoin()
    assert hub.journal(journal).closed


def test_a_journal_that_was_declared_and_not_registered_is_by_the_next_try(
        hub: RejoiningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 11."""
    machine, journal = Identity(hub).enrol(), uuid4()

    def dies(*_: object) -> None:
        raise OSError("the plug was pulled")

    with monkeypatch.context() as cut:
        cut.setattr(OwnJournal, "register_machine", dies)
        with pytest.raises(OSError, match="plug"):
            _desk(hub).declare(machine.edge, journal, "events", _signed(machine, journal))
    _desk(hub).declare(machine.edge, journal, "events", _signed(machine, journal))
    assert hub.journal(journal).edge == machine.edge


def test_nobody_declares_a_journal_for_a_machine_whose_key_he_has_not(hub: RejoiningHub) -> None:
    machine, other, journal = Identity(hub).enrol(), Identity(hub).enrol("B07"), uuid4()
    ended = Identity(hub).enrol()
    Identity(hub, ended).rejoin()
    for edge, asked, name, signature, text in (
            (machine.edge, journal, "events", _signed(other, journal, edge=machine.edge), "did not prove"),
            (machine.edge, journal, "events", _signed(machine, uuid4()), "did not prove"),
            (machine.edge, journal, "events", _signed(machine, journal, "other"), "did not prove"),
            (machine.edge, journal, "events", b"", "did not prove"),
            (machine.edge, journal, "business", _signed(machine, journal, "business"), "already"),
            (machine.edge, other.journal, "events", _signed(machine, other.journal), "belongs to another one"),
            (machine.edge, journal, "\x1b", _signed(machine, journal, "\x1b"), "cannot be printed"),
            (ended.edge, journal, "events", _signed(ended, journal), "no journal here that goes on"),
            (uuid4(), journal, "events", _signed(machine, journal), "no journal here that goes on")):
        with pytest.raises(EnrolmentRefused, match=text):
            _desk(hub).declare(edge, asked, name, signature)
    with pytest.raises(UnknownJournal):
        hub.journal(journal)
