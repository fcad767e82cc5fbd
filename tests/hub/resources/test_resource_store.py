"""Publishing, choosing the newest, keeping reports: over a real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa

from hub.database import open_engine
from hub.resources.store import (
    ResourceInvalid,
    fetch,
    head_versions,
    newest_for,
    newest_reports,
    publish,
    store_report,
)
from hub.resources.versions import RESOURCE_MAX_BYTES, NamedVersion, Report, Version
from hub.services.items import CatalogueInvalid, load_catalogue
from hub.services.publication import publish_catalogue
from hub.services.wire import encode_catalogue
from proto import sync_pb2
from security.clock import Clock
from security.signer import Signer
from security.statements import check_resource
from security.suites import Verifier

OURS, OTHER = UUID(int=1), UUID(int=2)
PUBLISHERS, EACH = 4, 10


def test_the_signed_bytes_are_the_stored_bytes(engine: sa.Engine, signer: Signer, clock: Clock) -> None:
    """Invariant 4."""
    published = publish(engine, signer, clock, "roster", b"content", expires_ms=clock.unix_ms() + 1)
    stored = fetch(engine, published.subject)
    assert stored == published
    check_resource(Verifier(signer.suite, signer.public_key), stored.payload, stored.signature)
    assert sync_pb2.ResourcePayload.FromString(stored.payload) == sync_pb2.ResourcePayload(
        audience="all", version=sync_pb2.ResourceVersion(name="roster", epoch=1, number=1),
        expires_ms=clock.unix_ms() + 1, content=b"content",
    )


def test_two_processes_never_take_the_same_number(database: Path, signer: Signer, clock: Clock) -> None:
    def publisher(_: int) -> list[Version]:
        own = open_engine(database)
        try:
            return [publish(own, signer, clock, "roster", b"").subject.version for _ in range(EACH)]
        finally:
            own.dispose()

    with ThreadPoolExecutor(PUBLISHERS) as pool:
        taken = sorted(version for versions in pool.map(publisher, range(PUBLISHERS)) for version in versions)
    assert taken == [Version(1, number) for number in range(1, PUBLISHERS * EACH + 1)]


def test_names_count_apart_and_the_head_tells_of_each(engine: sa.Engine, signer: Signer, clock: Clock) -> None:
    for name in ("roster", "policy", "roster"):
        publish(engine, signer, clock, name, b"")
    assert head_versions(engine) == {"policy": Version(1, 1), "roster": Version(1, 2)}


def test_the_newest_meant_for_an_edge_is_for_all_or_for_itself(engine: sa.Engine, signer: Signer, clock: Clock) -> None:
    publish(engine, signer, clock, "policy", b"")
    publish(engine, signer, clock, "policy", b"", audience=OURS)
    assert newest_for(engine, OURS, clock.unix_ms()) == {"policy": Version(1, 2)}
    assert newest_for(engine, OTHER, clock.unix_ms()) == {"policy": Version(1, 1)}
    publish(engine, signer, clock, "policy", b"")
    assert newest_for(engine, OURS, clock.unix_ms()) == {"policy": Version(1, 3)}


def test_an_older_version_does_not_come_back_when_the_newest_ends(engine: sa.Engine, signer: Signer,
                                                                  clock: Clock) -> None:
    publish(engine, signer, clock, "roster", b"old")
    publish(engine, signer, clock, "roster", b"new", expires_ms=clock.unix_ms() + 10)
    assert newest_for(engine, OURS, clock.unix_ms()) == {"roster": Version(1, 2)}
    assert newest_for(engine, OURS, clock.unix_ms() + 10) == {}


def test_a_new_epoch_is_newer_than_any_number_of_the_old_one(engine: sa.Engine, signer: Signer, clock: Clock) -> None:
    for _ in range(3):
        publish(engine, signer, clock, "roster", b"")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE resource_heads SET epoch = 2, number = 0"))
    assert publish(engine, signer, clock, "roster", b"").subject.version == Version(2, 1)
    assert newest_for(engine, OURS, clock.unix_ms()) == {"roster": Version(2, 1)}


@pytest.mark.parametrize(("name", "size", "expires_ms"), [
    ("../roster", 0, 0), ("Roster", 0, 0), ("", 0, 0), ("a" * 64, 0, 0),
    ("roster", RESOURCE_MAX_BYTES + 1, 0), ("roster", 0, 1),
])
def test_what_no_edge_could_take_is_not_published(engine: sa.Engine, signer: Signer, clock: Clock, name: str, size: int,
                                                  expires_ms: int) -> None:
    with pytest.raises(ResourceInvalid):
        publish(engine, signer, clock, name, bytes(size), expires_ms=expires_ms)
    assert head_versions(engine) == {}


def test_the_newest_report_of_an_edge_and_name_is_kept(engine: sa.Engine) -> None:
    subject = NamedVersion("roster", Version(1, 1))
    store_report(engine, OURS, Report(subject, False, "expired"), 1)
    store_report(engine, OTHER, Report(subject, False, "another machine"), 1)
    store_report(engine, OURS, Report(subject, True, ""), 2)
    assert newest_reports(engine, OURS) == [Report(subject, True, "")]
    assert newest_reports(engine, OTHER) == [Report(subject, False, "another machine")]


def test_publishing_the_catalogue_publishes_the_delivered_items(engine: sa.Engine, signer: Signer,
                                                                clock: Clock) -> None:
    published = publish_catalogue(engine, signer, clock)
    assert published.subject == NamedVersion("catalogue", Version(1, 1))
    assert sync_pb2.ResourcePayload.FromString(published.payload).content == encode_catalogue(load_catalogue())


def test_an_invalid_catalogue_is_not_published(engine: sa.Engine, signer: Signer, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("source = 3", encoding="utf-8")
    with pytest.raises(CatalogueInvalid):
        publish_catalogue(engine, signer, clock, path)
    assert head_versions(engine) == {}
