"""Attachments over the reading API: for tokens that may, one at a time, and each reading is a record."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from prometheus_client import CollectorRegistry

from hub.api.app import build_app
from hub.api.attachments import add_attachments
from hub.api.metrics import HubMetrics
from hub.api.tokens import Scope, list_tokens, make_token
from hub.attachments.tables import attachment_names
from hub.attention.alarms import Alarms
from hub.attention.approvals import Approvals
from hub.enrolment.open_streams import Presence
from hub.ledger.store import Ledger
from security.record import ClearBody, parse_record
from tests.attaching import ScanningSpine, record_of, scan
from tests.spine import CEILING_S, CutWire

CONTENT = scan(100_000)
NOBODY = UUID(int=1)


@pytest.fixture
def spine(tmp_path: Path) -> ScanningSpine:
    """One record with two scans, of which the second one has not arrived."""
    spine = ScanningSpine(tmp_path)

    async def scenario() -> None:
        async with spine.journal() as journal, spine.ingest() as ingest, spine.attachments() as held:
            first = await held.put(CONTENT, "application/pdf")
            await held.name([first], "t1")
            await spine.upload(held, spine.wire())
            second = await held.put(scan(1_000), "application/pdf")
            await spine.store(journal, held, "t1", first, second)
            await spine.drain(journal, CutWire(ingest, spine.edge_id))

    asyncio.run(scenario())
    spine.project()
    return spine


def _get(spine: ScanningSpine, path: str, *scopes: Scope) -> httpx.Response:
    alarms, approvals = Alarms(spine.engine, spine.own, spine.clock), Approvals(spine.engine, spine.own, spine.clock)
    registry = CollectorRegistry()
    app = build_app(spine.engine, spine.hub_db, spine.clock, registry, HubMetrics(registry), asyncio.Event(), alarms, approvals,
                    Presence)
    add_attachments(app, spine.engine, spine.clock, spine.reader(), spine.own)
    token = make_token(spine.engine, "archive", scopes or [Scope.ATTACHMENTS], spine.clock.unix_ms(), None)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with asyncio.timeout(CEILING_S), httpx.AsyncClient(transport=transport, base_url="https://hub") as client:
            return await client.get(path, headers={"Authorization": f"Bearer {token}"})

    return asyncio.run(ask())


def _readings(spine: ScanningSpine) -> list[dict[str, object]]:
    """Records of the hub's own journal."""
    with Ledger(spine.hub_db) as ledger:
        records = [parse_record(one.payload) for one in ledger.entries(ledger.journal(spine.hub_id), 0)]
    return [json.loads(one.content.data) for one in records
            if one.kind == "attachment.read" and isinstance(one.content, ClearBody)]


def test_one_is_opened_for_a_token_that_may_and_the_ledger_says_so(spine: ScanningSpine) -> None:
    record = record_of(spine, "t1")
    listed = _get(spine, f"/v1/attachments/{record}").json()
    assert [(one["number"], one["media_type"], one["size"]) for one in listed] == [
        (1, "application/pdf", 100_000), (2, "application/pdf", 1_000)]
    assert [one["arrived_ms"] is None for one in listed] == [False, True]
    assert _readings(spine) == []
    answer = _get(spine, f"/v1/attachments/{record}/1")
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == "application/pdf"
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert _readings(spine) == [{"record": str(record), "journal": str(spine.journal_id), "position": 2, "number": 1,
                                 "token": list_tokens(spine.engine)[-1]["id"]}]


@pytest.mark.parametrize(("path", "status", "code"), [
    ("{record}/2", 404, "not-arrived"), ("{record}/3", 404, "no-attachment"), ("{record}/0", 404, "no-attachment"),
    (f"{NOBODY}/1", 404, "no-attachment"), (f"{NOBODY}", 404, "no-attachment"), ("{record}/x", 422, "invalid-request"),
    (f"{{record}}/1?journal={NOBODY}", 404, "no-attachment")])
def test_what_is_not_there_is_told_and_no_reading(spine: ScanningSpine, path: str, status: int, code: str) -> None:
    answer = _get(spine, "/v1/attachments/" + path.format(record=record_of(spine, "t1")))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert _readings(spine) == []


def test_no_other_scope_opens_one(spine: ScanningSpine) -> None:
    for path in ("", "/1"):
        others = [one for one in Scope if one != Scope.ATTACHMENTS]
        answer = _get(spine, f"/v1/attachments/{record_of(spine, 't1')}{path}", *others)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "scope-missing")


def test_a_damaged_one_is_told_and_not_given_out(spine: ScanningSpine) -> None:
    [path] = list((spine.folder / "attachments").glob("[0-9a-f][0-9a-f]/*"))
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    answer = _get(spine, f"/v1/attachments/{record_of(spine, 't1')}/1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "damaged-attachment")
    assert _readings(spine) == []


def test_a_record_id_that_two_journals_have_has_to_be_told_apart(spine: ScanningSpine) -> None:
    """Machines choose the ids of their records: one of them may say another's."""
    record, other = record_of(spine, "t1"), UUID(int=7)
    with spine.engine.begin() as connection:
        connection.execute(attachment_names.insert().values(
            cursor=1, number=1, record=str(record), edge="e", journal=str(other), position=1, address="00" * 32, size=1,
            media_type="image/png"))
    answer = _get(spine, f"/v1/attachments/{record}/1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "several-records")
    assert str(other) in answer.json()["error"]["message"]
    assert _get(spine, f"/v1/attachments/{record}/1?journal={spine.journal_id}").content == CONTENT


def test_nothing_is_given_out_that_cannot_be_noted(spine: ScanningSpine, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(spine.own, "note", locked)
    answer = _get(spine, f"/v1/attachments/{record_of(spine, 't1')}/1")
    assert answer.status_code in (500, 503)
    assert b"%PDF" not in answer.content
