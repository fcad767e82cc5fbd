"""The rejoin desk over a real database: whose journal ends, by whose word, and what a second or another request gets."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.database import metadata
from hub.enrolment.desk import EnrolmentRefused
from hub.enrolment.rejoin_request import Following, Forerunner, RejoinRequest
from hub.enrolment.renewals import ApprovalWaits
from hub.enrolment.revocation import revoke
from hub.enrolment.sites import SiteRefused
from hub.enrolment.tables import machine_certificates
from hub.ledger.journal_head import UnknownJournal
from hub.recall import Recall
from security.certificates import new_key
from security.signer import Ed25519Signer
from tests.rejoining import Identity, RejoiningHub


@pytest.fixture
def hub(tmp_path: Path) -> RejoiningHub:
    return RejoiningHub(tmp_path)


@pytest.fixture
def machine(hub: RejoiningHub) -> Identity:
    return Identity(hub).enrol()


def _rows(hub: RejoiningHub) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(hub.folder / "hub.db")) as db:
        return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in (*metadata.tables, "journals", "runs")}


def _refuses(hub: RejoiningHub, request: RejoinRequest, text: str) -> None:
    before = _rows(hub)
    with pytest.raises(EnrolmentRefused, match=text):
        hub.rejoins.admit(request)
    assert _rows(hub) == before


def test_an_approved_machine_goes_on_and_its_old_identity_ends_with_a_record(hub: RejoiningHub, machine: Identity) -> None:
    new = Identity(hub, machine)
    rejoined = new.rejoin()
    assert hub.journal(machine.journal).closed
    assert (hub.journal(new.journal).edge, hub.journal(new.journal).closed) == (new.edge, "")
    known = hub.known(machine.edge)
    assert known is not None
    assert (known.successor, known.revoked_why) == (new.edge, f"machine {new.edge} follows it")
    kinds = hub.kinds()
    assert kinds[-3:] == ["journal.closed", "machine.revoked", "key.registered"]
    again = new.rejoin()
    assert again.admission == rejoined.admission
    assert hub.kinds() == kinds


def test_who_decides_reads_what_the_hub_knows_and_not_only_what_the_machine_says(hub: RejoiningHub, machine: Identity) -> None:
    first, second = Identity(hub, machine), Identity(hub, machine)
    first.rejoin()
    with pytest.raises(ApprovalWaits):
        hub.rejoins.admit(second.request(journals=[Following(second.journal, "business", machine.journal, old_held=7)]))
    [waiting] = hub.approvals.waiting()
    assert waiting.body["revoked"].endswith(f": machine {first.edge} follows it")
    assert waiting.body["certificate"].startswith("generation 0, the newest is 0; it ends 20")
    assert waiting.body["known_as"] == "窗口1"
    [told] = waiting.body["journals"]
    assert (told["name"], told["machine_was_told"], told["hub_holds"]) == ("business", 7, 0)


def test_a_machine_whose_certificates_a_restore_forgot_is_shown_as_that(hub: RejoiningHub, machine: Identity) -> None:
    with hub.engine.begin() as connection:
        connection.execute(machine_certificates.delete())
    with pytest.raises(ApprovalWaits):
        hub.rejoins.admit(Identity(hub, machine).request())
    [waiting] = hub.approvals.waiting()
    assert waiting.body["certificate"].startswith("generation 0, none is known here since a restore; it ends 20")


def test_a_machine_that_a_person_revoked_comes_back_by_an_invitation_only(hub: RejoiningHub, machine: Identity) -> None:
    revoke(hub.engine, hub.own, str(machine.edge), "李芳", "stolen", hub.clock.unix_ms())
    new = Identity(hub, machine)
    _refuses(hub, new.request(), f"was revoked at the hub on .*suozhan-hub invite SITE --replaces {machine.edge}")
    assert hub.approvals.waiting() == []
    new.rejoin(hub.invitation(replaces=machine.edge))
    _refuses(hub, Identity(hub, machine).request(), "was revoked at the hub")  # whoever stole it is out for good
    known = hub.known(machine.edge)
    assert known is not None
    assert known.revoked_why == "stolen (李芳)"


def test_an_approval_is_of_one_request(hub: RejoiningHub, machine: Identity) -> None:
    """What is another identity, journal, key or name was not approved; of what was, each part counts."""
    other, new = Identity(hub).enrol("B07"), Identity(hub, machine)
    new.rejoin()
    csr, signer = new.csr, new.signer
    new.signer = Ed25519Signer(Ed25519PrivateKey.generate())
    with pytest.raises(ApprovalWaits):
        hub.rejoins.admit(new.request())
    new.signer, new.journal = signer, uuid4()
    with pytest.raises(ApprovalWaits):
        hub.rejoins.admit(new.request())
    _refuses(hub, new.request(journals=[Following(new.journal, "business", other.journal)]), "belongs to another machine")
    _refuses(hub, new.request(journals=[Following(new.journal, "business", hub.hub)]), "belongs to another machine")
    assert new.csr == csr
    assert not hub.journal(other.journal).closed


def test_what_was_registered_once_is_not_registered_otherwise(hub: RejoiningHub, machine: Identity) -> None:
    """Also by approvals and invitations that somebody gives for each."""
    new = Identity(hub, machine)
    new.rejoin()
    journal, signer = new.journal, new.signer
    for new.journal, new.signer in ((uuid4(), signer), (journal, Ed25519Signer(Ed25519PrivateKey.generate()))):
        _refuses(hub, new.request(hub.invitation(replaces=machine.edge)), "came before for another identity, key or journal")
    new.journal, new.signer = journal, signer
    revoke(hub.engine, hub.own, str(new.edge), "李芳", "lost", hub.clock.unix_ms())
    _refuses(hub, new.request(), "revoked since")


def test_an_invitation_replaces_the_machine_that_it_names_and_no_other(hub: RejoiningHub, machine: Identity) -> None:
    victim, new = Identity(hub).enrol("B07"), Identity(hub, machine)
    enrolled = Identity(hub).enrol()
    _refuses(hub, new.request(hub.invitation()), f"not to replace machine .*--replaces {machine.edge}")
    given = hub.invitation(replaces=machine.edge)
    _refuses(hub, Identity(hub, victim).request(given), "not to replace machine")
    _refuses(hub, Identity(hub, enrolled).request(given), "not to replace machine")
    new.rejoin(given)
    new.rejoin(given)  # an answer that was lost
    _refuses(hub, Identity(hub, machine).request(given), "used by another machine")
    second = hub.invitation(replaces=machine.edge)
    new.rejoin(second)  # the answer was lost for good
    _refuses(hub, Identity(hub, machine).request(second), "used by another machine")
    late = hub.invitation(replaces=machine.edge)
    hub.clock.now_ms += 25 * 3600 * 1000
    _refuses(hub, Identity(hub, machine).request(late), "expired")
    assert not hub.journal(victim.journal).closed


def test_an_invitation_to_replace_enrols_nobody_and_is_of_the_machines_site(hub: RejoiningHub, machine: Identity) -> None:
    given = hub.invitation(replaces=machine.edge)
    with pytest.raises(EnrolmentRefused, match=f"to replace machine {machine.edge}.*rejoin TOKEN"):
        hub.desk.admit(Identity(hub).application(given.id, given))
    with pytest.raises(SiteRefused, match=f"is of site A01; give: suozhan-hub invite A01 --replaces {machine.edge}"):
        hub.invitation("B07", machine.edge)


def test_only_the_old_key_speaks_for_the_old_identity(hub: RejoiningHub, machine: Identity) -> None:
    other, new = Identity(hub).enrol(), Identity(hub, machine)
    _refuses(hub, new.request(signature=b""), "did not prove that it holds its old key")
    _refuses(hub, new.request(certificate_der=other.certificate), "did not prove")
    _refuses(hub, new.request(certificate_der=b"rubbish"), "did not prove")
    _refuses(hub, new.request(nonce=bytes(32)), "nonce")
    machine.key = new_key()
    _refuses(hub, new.request(), "did not prove")


def test_a_restore_forgets_neither_who_followed_a_machine_nor_whom_a_person_revoked(hub: RejoiningHub, machine: Identity) -> None:
    stolen, backup = Identity(hub).enrol(), hub.folder / "backup.db"
    with closing(sqlite3.connect(hub.folder / "hub.db")) as db:
        db.execute("VACUUM INTO ?", (str(backup),))
    new = Identity(hub, machine)
    new.rejoin()
    revoke(hub.engine, hub.own, str(stolen.edge), "李芳", "stolen", hub.clock.unix_ms())
    decided = hub.known(machine.edge), hub.known(stolen.edge)
    hub.engine.dispose()
    for ending in ("-wal", "-shm"):
        Path(f"{hub.folder / 'hub.db'}{ending}").unlink(missing_ok=True)
    backup.replace(hub.folder / "hub.db")
    hub.restart()
    Recall(hub.engine, hub.folder / "hub.db", hub.own, hub.hub, bytes(32)).run()
    assert (hub.known(machine.edge), hub.known(stolen.edge)) == decided
    assert hub.journal(machine.journal).closed
    _refuses(hub, Identity(hub, stolen).request(), "was revoked at the hub")


def test_all_journals_of_the_old_machine_end(hub: RejoiningHub, machine: Identity) -> None:
    events = Identity(hub)
    events.edge = machine.edge
    hub.own.register_machine([("events", events.genesis)], "A01")
    Identity(hub, machine).rejoin()
    assert hub.journal(events.journal).closed


def _restored(hub: RejoiningHub, count: int) -> Identity:
    """A machine whose last `count` identities this hub does not remember."""
    machine = Identity(hub)
    for _ in range(count - 1):
        machine = Identity(hub, machine)
    return machine


@pytest.mark.parametrize("count", [1, 3])
def test_a_hub_that_forgot_a_machine_takes_its_keys_by_invitation(hub: RejoiningHub, count: int) -> None:
    """Invariant 3: what its journals hold can be carried, verified and shown."""
    machine = _restored(hub, count)
    new = Identity(hub, machine)
    _refuses(hub, new.request(), "did not prove|is not known here")
    new.rejoin(hub.invitation("B07", machine.edge))
    at: Identity | None = machine
    while at is not None:
        head, known = hub.journal(at.journal), hub.known(at.edge)
        assert (head.genesis, bool(head.closed), head.edge) == (at.genesis.digest(), True, at.edge)
        assert known is not None
        assert known.successor == new.edge
        at = at.old
    assert hub.journal(new.journal).closed == ""
    new.rejoin(hub.invitation("B07", machine.edge))  # a repeat


def test_a_forgotten_journal_counts_only_with_its_record_keys_word(hub: RejoiningHub) -> None:
    machine = _restored(hub, 2)
    new = Identity(hub, machine)
    [first, second] = new.forerunners()
    assert machine.old is not None
    new.rejoin(hub.invitation(replaces=machine.edge), forerunners=[first, Forerunner(second.genesis, first.proof)])
    assert hub.journal(machine.journal).closed
    with pytest.raises(UnknownJournal):
        hub.journal(machine.old.journal)


def test_nobody_ends_a_machine_by_naming_it_among_his_forgotten_ones(hub: RejoiningHub) -> None:
    victim, mine = Identity(hub).enrol(), _restored(hub, 2)
    assert mine.old is not None
    mine.old.edge = victim.edge
    _refuses(hub, Identity(hub, mine).request(hub.invitation(replaces=mine.edge)), "belongs to another machine")
    mine.old.edge = hub.hub
    _refuses(hub, Identity(hub, mine).request(hub.invitation(replaces=mine.edge)), "belongs to another machine")


def test_the_last_common_record_is_found_and_not_assumed(hub: RejoiningHub, machine: Identity) -> None:
    """What this hub acknowledged before it was restored is not what it holds now."""
    digests = [bytes([number]) * 32 for number in range(1, 7)]
    with closing(sqlite3.connect(hub.folder / "hub.db")) as db:
        ref = db.execute("SELECT ref FROM journals WHERE journal = ?", (machine.journal.bytes,)).fetchone()[0]
        size = db.execute("SELECT size FROM ledger_head").fetchone()[0]
        db.execute("INSERT INTO runs VALUES (?, ?, 1, 6, 0, zeroblob(48), ?, zeroblob(192), x'', x'')",
                   (size, ref, b"".join(digests)))
        db.commit()
    new = Identity(hub, machine)
    for known, common in (((6, digests[5]), 6), ((2, digests[1]), 2), ((4, bytes(32)), 0), ((9, digests[5]), 0)):
        [told] = new.rejoin(known=[known, (1, digests[0] if common else bytes(32))]).held
        assert (told.position, told.common, told.digests) == (6, common, digests[common:])
