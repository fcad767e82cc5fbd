"""The desk over a real database: copied disks, lost answers, repeats. A refusal changes nothing."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.database import metadata, open_engine
from hub.enrolment.authority import create_authority, load_authority
from hub.enrolment.desk import JOURNALS_MAX, Application, EnrolmentDesk, EnrolmentRefused
from hub.enrolment.issuing import Issuer
from hub.enrolment.sites import INVITATION_LIFE_MS, add_site, invite
from hub.ledger.own_journal import OwnJournal
from hub.ledger.store import Ledger
from hub.migrate import create
from security.certificates import EDGE_LIFE, new_csr, new_key
from security.chain import Genesis
from security.invitations import Invitation, enrolment_proof
from security.signer import Ed25519Signer
from tests.spine import HandClock


class Desk:
    """A desk of a hub with the sites A01 and A02."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "hub.db"
        create(self.path)
        self.engine = open_engine(self.path)
        self.clock = HandClock()
        self.hub = uuid4()
        create_authority(folder, self.hub, dt.datetime.now(dt.UTC))
        own = OwnJournal(self.path, self.hub, Ed25519Signer(Ed25519PrivateKey.generate()), self.clock)
        own.create()
        self.own = own
        issuer = Issuer(load_authority(folder), self.hub, self.clock)
        self.desk = EnrolmentDesk(self.engine, issuer, own, self.clock)
        for site in ("A01", "A02"):
            add_site(self.engine, site, "古魏镇服务所", "office", "")

    def invitation(self, site: str = "A01") -> Invitation:
        return invite(self.engine, site, "127.0.0.1:7444", bytes(32), self.clock.unix_ms())

    def rows(self) -> dict[str, list[tuple[object, ...]]]:
        """All that enrolment has written, in the ledger, too."""
        names = [*metadata.tables, "journals", "runs"]
        with closing(sqlite3.connect(self.path)) as db:
            return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}

    def execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            db.execute(statement)

    def journals(self, edge: UUID) -> list[UUID]:
        with Ledger(self.path) as ledger:
            return [head.journal for head in ledger.journals() if head.edge == edge]

    def refuses(self, application: Application, text: str) -> None:
        before = self.rows()
        with pytest.raises(EnrolmentRefused, match=text):
            self.desk.admit(application)
        assert self.rows() == before


class Applicant:
    """A machine's keys, request and journals."""

    def __init__(self, *journals: tuple[UUID, str]) -> None:
        self.signer = Ed25519Signer(Ed25519PrivateKey.generate())
        self.csr = new_csr(new_key(), "窗口1")
        self.journals = list(journals) or [(uuid4(), "business")]

    def application(self, invitation: Invitation) -> Application:
        proof = self.signer.sign(enrolment_proof(invitation.id, self.csr))
        return Application(invitation.id, invitation.secret, self.csr, int(self.signer.suite), self.signer.public_key,
                           proof, self.journals, "窗口1")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_journal_of_another_machine_is_refused_and_costs_no_invitation(desk: Desk) -> None:
    first = Applicant()
    desk.desk.admit(first.application(desk.invitation()))
    invitation = desk.invitation()
    copy = Applicant(*first.journals)
    desk.refuses(copy.application(invitation), "disk copied.*journals folders of this machine away")
    copy.journals = [(uuid4(), "business"), *first.journals]
    desk.refuses(copy.application(invitation), "distinct")
    copy.journals = [(desk.hub, "business")]
    desk.refuses(copy.application(invitation), "disk copied")
    copy.journals = [(uuid4(), "business")]
    assert desk.desk.admit(copy.application(invitation)).edge


def test_a_journal_is_claimed_before_it_is_in_the_ledger(desk: Desk) -> None:
    """Invariant 11: the hub died between its two commits, and a copy came before the machine repeated."""
    first, invitation = Applicant(), desk.invitation()
    desk.execute("CREATE TRIGGER dying BEFORE INSERT ON journals BEGIN SELECT RAISE(ABORT, 'dead'); END")
    with pytest.raises(sqlite3.IntegrityError, match="dead"):
        desk.desk.admit(first.application(invitation))
    desk.execute("DROP TRIGGER dying")
    desk.refuses(Applicant(*first.journals).application(desk.invitation()), "disk copied")
    edge = desk.desk.admit(first.application(invitation)).edge
    assert desk.journals(edge) == [first.journals[0][0]]


def test_a_journal_that_only_the_ledger_knows_is_refused_too(desk: Desk) -> None:
    journal = uuid4()
    stranger = Ed25519Signer(Ed25519PrivateKey.generate())
    desk.own.register_machine([("business", Genesis(uuid4(), journal, stranger.suite, stranger.public_key))], "A01")
    desk.refuses(Applicant((journal, "business")).application(desk.invitation()), "disk copied")


def test_a_record_key_of_another_machine_is_refused(desk: Desk) -> None:
    first, copy, invitation = Applicant(), Applicant(), desk.invitation()
    desk.desk.admit(first.application(desk.invitation()))
    copy.signer = first.signer
    desk.refuses(copy.application(invitation), "disk copied.*keys and journals folders")


def test_a_repeat_brings_the_same_journals_and_no_more(desk: Desk) -> None:
    machine, invitation = Applicant((uuid4(), "business"), (uuid4(), "audit")), desk.invitation()
    admission = desk.desk.admit(machine.application(invitation))
    again = machine.application(invitation)
    assert desk.desk.admit(replace(again, journals=machine.journals[::-1])) == admission
    for others in ([(uuid4(), "business")], [*machine.journals, (uuid4(), "third")], machine.journals[:1],
                   [(machine.journals[0][0], "other"), machine.journals[1]]):
        desk.refuses(replace(again, journals=others), "other journals before.*with a new invitation")
    assert sorted(desk.journals(admission.edge)) == sorted(journal for journal, _ in machine.journals)


def test_the_journals_of_a_request_are_few_and_distinct(desk: Desk) -> None:
    invitation, journal = desk.invitation(), uuid4()
    for journals, text in (
        ([], "1 to 4"), ([(uuid4(), str(number)) for number in range(JOURNALS_MAX + 1)], "1 to 4"),
        ([(uuid4(), "business"), (uuid4(), "business")], "distinct"),
        ([(journal, "business"), (journal, "audit")], "distinct"),
    ):
        machine = Applicant()
        machine.journals = journals
        desk.refuses(machine.application(invitation), text)


def test_after_a_lost_answer_a_new_invitation_gives_the_same_certificate_and_is_used_up(desk: Desk) -> None:
    machine, second = Applicant(), desk.invitation()
    admission = desk.desk.admit(machine.application(desk.invitation()))
    assert desk.desk.admit(machine.application(second)) == admission
    assert desk.desk.admit(machine.application(second)) == admission
    desk.refuses(Applicant().application(second), "used by another machine")
    assert len(desk.rows()["edges"]) == 1
    assert desk.journals(admission.edge) == [machine.journals[0][0]]


def test_a_lost_answer_is_given_to_nobody_else(desk: Desk) -> None:
    machine, used, elsewhere = Applicant(), desk.invitation(), desk.invitation("A02")
    desk.desk.admit(machine.application(desk.invitation()))
    desk.desk.admit(Applicant().application(used))
    desk.refuses(machine.application(used), "used by another machine")
    desk.refuses(machine.application(elsewhere), "site A01 before; get an invitation to it, or move the keys")
    unproved = replace(machine.application(elsewhere), invitation=desk.invitation().id)
    desk.refuses(unproved, "not known")
    good = desk.invitation()
    desk.refuses(replace(machine.application(good), record_proof=machine.application(used).record_proof), "did not prove")
    late = desk.invitation()
    desk.clock.now_ms += INVITATION_LIFE_MS
    desk.refuses(machine.application(late), "expired after 24 hours")
    thief = Applicant(*machine.journals)
    thief.csr = machine.csr
    desk.refuses(thief.application(desk.invitation()), "another record key; move the keys")


def test_a_certificate_that_is_of_no_use_any_more_is_not_given_again(desk: Desk) -> None:
    machine, first = Applicant(), desk.invitation()
    desk.desk.admit(machine.application(first))
    desk.execute("UPDATE edges SET revoked_ms = 1")
    desk.refuses(machine.application(desk.invitation()), "revoked.*with a new invitation")
    desk.execute("UPDATE edges SET revoked_ms = NULL")
    desk.clock.now_ms += int(EDGE_LIFE.total_seconds()) * 1000
    desk.refuses(machine.application(first), "expired.*with a new invitation")
    machine.csr, machine.signer, machine.journals = Applicant().csr, Applicant().signer, Applicant().journals
    assert desk.desk.admit(machine.application(desk.invitation())).edge


def test_names_that_would_forge_a_list_are_refused(desk: Desk) -> None:
    machine, invitation = Applicant(), desk.invitation()
    good = machine.application(invitation)
    for name in ("m\n\x1b[31m", "m\x00", "m" * 129):
        desk.refuses(replace(good, machine=name), "the name of this machine .*; give another with --machine")
        desk.refuses(replace(good, journals=[(uuid4(), name)]), "name of a journal")
    assert desk.desk.admit(replace(good, machine="窗" * 128)).edge
