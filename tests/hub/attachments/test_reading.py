"""Attachments of records that came another way than their journal's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from edge.attachments.attached import Attached
from edge.drafts import record_id
from hub.attachments.files import BlobFiles
from hub.attachments.reading import AttachmentReader, NoAttachment
from hub.transactions.body import ATTACHMENTS_MAX
from security.attachment import seal_attachment
from tests.attaching import naming, scan
from tests.hub.transactions.test_carried_rows import Carrying, _undelivered
from tests.hub.transactions.test_projector import transaction
from tests.station import Station

CONTENT = scan(1_000)


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    station = Station(tmp_path)
    yield station
    station.engine.dispose()


def _reader(station: Station) -> AttachmentReader:
    return AttachmentReader(station.engine, station.hub_db, BlobFiles.beside(station.hub_db), station.unsealer())


def test_a_carried_record_names_its_scan_also_when_its_own_journal_comes_after_all(station: Station,
                                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    sealed, seal = seal_attachment(CONTENT)
    monkeypatch.setattr("tests.station.transaction", lambda: naming(Attached(uuid4(), seal, "application/pdf")))
    station.say("a", "b")
    carrying = Carrying(station, station.journal_id)
    for carried in _undelivered(station, 1):
        carrying.carry(carried)
    (station.folder / "attachments").mkdir()
    BlobFiles.beside(station.hub_db).write(seal.address, sealed)
    station.project()
    record = record_id(station.edge_id, "b")
    assert _reader(station).read(record, 1, None)[2] == CONTENT
    station.deliver()
    station.project()
    [place] = _reader(station).names(record, None)
    assert (place.journal, place.position, place.number) == (str(station.journal_id), 3, 1)
    assert _reader(station).read(record, 1, None)[2] == CONTENT


@pytest.mark.parametrize("wrong", [
    {"key": "00"}, {"blob": "x" * 64}, {"size": -1}, {"size": 2**40}, {"media_type": "text/html; charset=\r\nx"}])
def test_a_record_that_names_what_none_can_be_is_a_finding_and_names_nothing(
    station: Station, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, object]
) -> None:
    body = json.loads(naming(Attached(uuid4(), seal_attachment(CONTENT)[1], "application/pdf")))
    body["attachments"][0] |= wrong
    monkeypatch.setattr("tests.station.transaction", lambda: json.dumps(body).encode())
    station.say("a", deliver=True)
    assert station.project(findings_max=1) == []
    with pytest.raises(NoAttachment):
        _reader(station).names(record_id(station.edge_id, "a"), None)


def test_more_than_a_record_may_name_is_a_finding(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.loads(transaction())
    [named] = json.loads(naming(Attached(uuid4(), seal_attachment(CONTENT)[1], "a/b")))["attachments"]
    body["attachments"] = [named] * (ATTACHMENTS_MAX + 1)
    monkeypatch.setattr("tests.station.transaction", lambda: json.dumps(body).encode())
    station.say("a", deliver=True)
    assert station.project(findings_max=1) == []


def test_ids_and_numbers_that_nobody_named_are_told(station: Station) -> None:
    with pytest.raises(NoAttachment):
        _reader(station).read(UUID(int=1), 1, None)
