"""A device list that names a machine stays its own while its identities follow each other."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.equipment.device_list import DEVICES
from edge.resources import ResourceRefused, ResourceStore, SignedResource
from hub.enrolment.revocation import revoke
from hub.fleet.device_list import publish_devices
from hub.recall import Recall
from hub.resources.store import fetch, newest_for
from hub.resources.versions import NamedVersion, Version
from security.signer import Ed25519Signer
from security.suites import Verifier
from tests.rejoining import Identity, RejoiningHub

LIST = '[[devices]]\nname = "{name}"\nkind = "id-card"\nport = "/dev/ttyUSB0"\n'
SIGNER = Ed25519Signer(Ed25519PrivateKey.generate())
FIRST, SECOND = Version(1, 1), Version(1, 2)


@pytest.fixture
def hub(tmp_path: Path) -> RejoiningHub:
    return RejoiningHub(tmp_path)


@pytest.fixture(params=[False, True], ids=["one journal", "two journals"])
def machine(hub: RejoiningHub, request: pytest.FixtureRequest) -> Identity:
    return Identity(hub, events=request.param).enrol()


def publish(hub: RejoiningHub, machine: UUID | None, name: str = "id-1") -> None:
    path = hub.folder / "office.toml"
    path.write_text(LIST.format(name=name), encoding="utf-8")
    publish_devices(hub.engine, SIGNER, hub.clock, path, machine)


def meant_for(hub: RejoiningHub, machine: Identity) -> Version | None:
    return newest_for(hub.engine, machine.edge, hub.clock.unix_ms()).get("devices")


def follow(hub: RejoiningHub, old: Identity) -> Identity:
    new = Identity(hub, old, events=old.events is not None)
    new.rejoin()
    return new


def test_the_list_goes_to_whoever_follows_the_machine_and_to_nobody_else(hub: RejoiningHub, machine: Identity) -> None:
    stranger = Identity(hub).enrol()
    publish(hub, machine.edge)
    second = follow(hub, machine)
    third = follow(hub, second)
    assert [meant_for(hub, one) for one in (machine, second, third)] == [FIRST] * 3
    assert meant_for(hub, stranger) is None
    assert meant_for(hub, follow(hub, stranger)) is None


def test_what_is_published_for_the_new_identity_is_not_the_old_ones(hub: RejoiningHub, machine: Identity) -> None:
    publish(hub, machine.edge)
    new = follow(hub, machine)
    publish(hub, new.edge)
    assert (meant_for(hub, machine), meant_for(hub, new)) == (FIRST, SECOND)


def test_what_is_published_for_the_old_identity_still_arrives(hub: RejoiningHub, machine: Identity) -> None:
    new = follow(hub, machine)
    publish(hub, machine.edge)
    assert meant_for(hub, new) == FIRST
    publish(hub, None)
    assert meant_for(hub, new) == SECOND, "the newest counts, whomever it names"


def test_each_of_two_copies_has_the_list(hub: RejoiningHub, machine: Identity) -> None:
    publish(hub, machine.edge)
    first, second = follow(hub, machine), follow(hub, machine)
    assert meant_for(hub, first) == meant_for(hub, second) == FIRST
    publish(hub, first.edge)
    assert meant_for(hub, second) == FIRST


def test_a_revoked_machine_that_was_replaced_has_its_list(hub: RejoiningHub, machine: Identity) -> None:
    publish(hub, machine.edge)
    revoke(hub.engine, hub.own, str(machine.edge), "李芳", "its key is gone", hub.clock.unix_ms())
    new = Identity(hub, machine, events=machine.events is not None)
    new.rejoin(hub.invitation(replaces=machine.edge))
    assert meant_for(hub, new) == FIRST


def test_a_restored_hub_knows_whose_the_list_is(hub: RejoiningHub, machine: Identity) -> None:
    publish(hub, machine.edge)
    backup = hub.folder / "backup.db"
    with closing(sqlite3.connect(hub.folder / "hub.db")) as db:
        db.execute("VACUUM INTO ?", (str(backup),))
    new = follow(hub, machine)
    hub.engine.dispose()
    for ending in ("-wal", "-shm"):
        Path(f"{hub.folder / 'hub.db'}{ending}").unlink(missing_ok=True)
    backup.replace(hub.folder / "hub.db")
    hub.restart()
    assert meant_for(hub, new) is None
    Recall(hub.engine, hub.folder / "hub.db", hub.own, hub.hub, bytes(32)).run()
    assert meant_for(hub, new) == FIRST


def test_the_machine_applies_it_and_has_it_before_the_hub_has_let_it_in(hub: RejoiningHub, machine: Identity) -> None:
    publish(hub, machine.edge)
    made = fetch(hub.engine, NamedVersion("devices", FIRST))
    assert made is not None
    signed = SignedResource(made.key_id, made.payload, made.signature)
    new = Identity(hub, machine)

    def store(*machines: UUID) -> ResourceStore:
        return ResourceStore(hub.folder / "resources", machines, Verifier(SIGNER.suite, SIGNER.public_key), hub.clock, [DEVICES])

    with pytest.raises(ResourceRefused, match="another machine"):
        store(new.edge).apply(signed)
    store(machine.edge).apply(signed)
    followed = store(new.edge, machine.edge)
    followed.load()
    assert [one.name for one in followed.current(DEVICES) or ()] == ["id-1"]
    followed.apply(signed)
