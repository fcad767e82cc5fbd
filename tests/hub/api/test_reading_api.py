"""The reading API over real HTTPS, and the site ledger behind it."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from edge.drafts import Draft
from edge.wire import encode_batch, encode_open
from hub.api.app import build_app
from hub.api.metrics import HubMetrics
from hub.api.tokens import Scope, TokenRefused, make_token, revoke_token
from hub.attention.alarms import Alarms
from hub.attention.approvals import Approvals
from hub.database import open_engine
from hub.enrolment.open_streams import Presence
from hub.enrolment.sites import add_site
from hub.enrolment.tables import edges
from hub.ledger.runs import Arrival
from hub.ledger.store import Ledger
from hub.projection.projector import Projector
from hub.projection.tables import findings
from hub.resources.store import store_report
from hub.resources.versions import NamedVersion, Report, Version
from hub.transactions.tables import transactions
from hub.transactions.view import TransactionView
from proto import sync_pb2
from security.record import ClearBody, Record, Times, sign_link
from security.run import Run
from tests.spine import CEILING_S, CutWire, Spine, damage

ID_NUMBER = "11010519491231002X"
EIGHTEEN = re.compile(r"\d{17}[\dXx]")


def body(item: str = "003-21", operator: str = "李芳") -> bytes:
    return json.dumps({"item": item, "channel": "counter", "operator": {"name": operator, "verified": False},
                       "resident": {"name": "王秀英", "id_number": ID_NUMBER}, "documents": []}).encode()


@pytest.fixture
def spine(tmp_path: Path) -> Spine:
    return Spine(tmp_path)


@pytest.fixture
def engine(spine: Spine) -> Iterator[sa.Engine]:
    engine = open_engine(spine.hub_db)
    add_site(engine, "A01", "古魏镇服务所", "office", "芮城县")
    with engine.begin() as connection:
        connection.execute(edges.insert().values(edge=str(spine.edge_id), site="A01", machine="窗口1", enrolled_ms=1))
    yield engine
    engine.dispose()


async def _deliver(spine: Spine, *drafts: Draft) -> None:
    async with spine.journal() as journal, spine.ingest() as ingest:
        for one in drafts:
            await journal.submit(one)
        await spine.drain(journal, CutWire(ingest, spine.edge_id))


def deliver(spine: Spine, *drafts: Draft) -> None:
    asyncio.run(_deliver(spine, *drafts))


def project(spine: Spine, engine: sa.Engine) -> None:
    projector = Projector(engine, spine.hub_db, spine.unsealer(), [TransactionView(engine)])
    while projector.step():
        pass


def app_of(spine: Spine, engine: sa.Engine, presence: Callable[[], Presence] = Presence) -> FastAPI:
    registry = CollectorRegistry()
    return build_app(engine, spine.hub_db, spine.clock, registry, HubMetrics(registry), asyncio.Event(),
                     Alarms(engine, spine.own, spine.clock), Approvals(engine, spine.own, spine.clock), presence)


def ask(spine: Spine, engine: sa.Engine, visit: Callable[[httpx.AsyncClient], Awaitable[None]],
        token: str | None = None) -> None:
    async def come() -> None:
        text = token if token is not None else make_token(engine, "t", list(Scope), spine.clock.unix_ms(), None)
        transport = httpx.ASGITransport(app_of(spine, engine), raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {text}"}
        async with asyncio.timeout(CEILING_S), httpx.AsyncClient(transport=transport, base_url="https://hub",
                                                                 headers=headers) as client:
            await visit(client)

    asyncio.run(come())


def test_the_feed_gives_every_entry_once_and_in_order_while_more_come_in(spine: Spine, engine: sa.Engine) -> None:
    deliver(spine, *[Draft(f"a{number}", "transaction", body()) for number in range(7)])

    async def visit(client: httpx.AsyncClient) -> None:
        cursors: list[int] = []
        after = 0
        for number in range(20):
            if number == 2:
                await _deliver(spine, *[Draft(f"b{one}", "transaction", body()) for one in range(5)])
            page = (await client.get("/v1/feed", params={"after": after, "limit": 3})).json()
            cursors += [entry["cursor"] for entry in page["entries"]]
            after = page["next"]
        assert cursors == list(range(1, 1 + 1 + 1 + 7 + 1 + 5))  # registration, two data keys, transactions
        entry = (await client.get("/v1/feed", params={"after": 2, "limit": 1})).json()["entries"][0]
        record = (await client.get(f"/v1/records/{entry['journal']}/{entry['position']}")).json()
        assert record["entry"] == entry
        assert record["clear"]["sealed"]
        assert (await client.get(f"/v1/records/{uuid4()}/1")).status_code == 404

    ask(spine, engine, visit)


def test_a_page_of_the_feed_is_bounded_in_bytes_and_next_goes_on(spine: Spine, engine: sa.Engine) -> None:
    """However many entries are asked for: a few readers at once must not take the hub's memory."""
    deliver(spine, *[Draft(f"a{number}", "transaction", os.urandom(48_000)) for number in range(100)])

    async def visit(client: httpx.AsyncClient) -> None:
        first = (await client.get("/v1/feed", params={"limit": 1000})).json()
        assert 80 < len(first["entries"]) < 95
        second = (await client.get("/v1/feed", params={"limit": 1000, "after": first["next"]})).json()
        assert [one["cursor"] for one in first["entries"] + second["entries"]] == list(range(1, first["size"] + 1))

    ask(spine, engine, visit)


def test_the_site_ledger_counts_by_day_item_and_operator_and_masks_the_resident(spine: Spine, engine: sa.Engine) -> None:
    deliver(spine, Draft("a", "transaction", body()), Draft("b", "transaction", body()),
            Draft("c", "transaction", body(operator="王芳")), Draft("d", "transaction", body(item="003-01")))
    project(spine, engine)

    async def visit(client: httpx.AsyncClient) -> None:
        page = (await client.get("/v1/sites/A01/ledger")).json()
        assert {(one["item"], one["operator"]): one["count"] for one in page["totals"]} == {
            ("003-21", "李芳"): 2, ("003-21", "王芳"): 1, ("003-01", "李芳"): 1}
        assert {row["id_number"] for row in page["rows"]} == {"110***********002X"}
        assert {row["resident"] for row in page["rows"]} == {"王**"}
        only = (await client.get("/v1/sites/A01/ledger", params={"item": "003-01", "limit": 1})).json()
        assert len(only["rows"]) == 1
        none = (await client.get("/v1/sites/A01/ledger", params={"from": "2030-01-01"})).json()
        assert none["rows"] == none["totals"] == []
        assert (await client.get("/v1/sites/Z99/ledger")).status_code == 404
        for path in ("/v1/feed", "/v1/sites", "/v1/sites/A01/ledger", "/v1/edges", "/metrics"):
            answer = await client.get(path)
            assert answer.status_code == 200
            assert ID_NUMBER not in answer.text
            assert "王秀英" not in answer.text

    ask(spine, engine, visit)


def test_no_free_text_carries_a_whole_id_number_into_an_answer(spine: Spine, engine: sa.Engine) -> None:
    """Invariant 7: whatever a counter program or a technician typed into the wrong field."""
    text = f"王{ID_NUMBER}"
    said = {"item": text, "channel": text, "operator": {"name": text, "verified": False},
            "resident": {"name": text, "id_number": ID_NUMBER}}
    deliver(spine, Draft("a", "transaction", json.dumps(said).encode()))
    project(spine, engine)
    with engine.begin() as connection:
        connection.execute(edges.update().values(machine=text))
    report = Report(NamedVersion("catalogue", Version(1, 1)), False, text)
    store_report(engine, spine.edge_id, report, spine.clock.unix_ms())
    with Ledger(spine.hub_db) as ledger:
        ledger.note_refusal(spine.journal_id, spine.edge_id, text)
    damage(spine.hub_db, f"UPDATE journals SET name = '{text}'")

    async def visit(client: httpx.AsyncClient) -> None:
        page = await client.get("/v1/sites/A01/ledger")
        assert len(page.json()["rows"]) == 1
        for answer in (page, await client.get("/v1/edges"), await client.get("/metrics")):
            assert not EIGHTEEN.search(answer.text)
            assert "王110***********002X" in answer.text

    ask(spine, engine, visit)


def test_a_projection_that_stops_anywhere_neither_loses_nor_doubles(spine: Spine, engine: sa.Engine,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant 11; a new projector has to look its data keys up again."""
    monkeypatch.setattr("hub.projection.projector.PAGE_ENTRIES", 3)
    for start in range(3):
        deliver(spine, *[Draft(f"{start}-{number}", "transaction", body()) for number in range(5)])
        Projector(engine, spine.hub_db, spine.unsealer(), [TransactionView(engine)]).step()
    project(spine, engine)
    with engine.connect() as connection:
        positions = [row.position for row in connection.execute(sa.select(transactions).order_by(transactions.c.cursor))]
        assert connection.execute(sa.select(findings)).all() == []
    assert len(positions) == 15
    assert positions == sorted(set(positions))


@pytest.mark.parametrize("bad", [b"", b"not json", b'{"item":1}', b"[]"])
def test_a_record_that_makes_no_sense_is_told_and_blocks_nothing(spine: Spine, engine: sa.Engine, bad: bytes) -> None:
    deliver(spine, Draft("a", "transaction", body()), Draft("b", "transaction", bad), Draft("c", "transaction", body()))
    project(spine, engine)
    with engine.connect() as connection:
        assert len(connection.execute(sa.select(transactions)).all()) == 2
        found = connection.execute(sa.select(findings)).all()
    assert [row.position for row in found] == [3]
    assert not EIGHTEEN.search(found[0].reason)


def test_a_transaction_in_clear_is_a_finding(spine: Spine, engine: sa.Engine) -> None:
    """Invariant 7: a machine that does not seal shows; nothing is passed over in silence."""
    deliver(spine, Draft("a", "transaction", body()))
    with Ledger(spine.hub_db) as ledger:
        head = ledger.journal(spine.journal_id)
    times = Times(spine.clock.now_ms, 0, bytes(16), 1)
    record = Record(uuid4(), spine.edge_id, spine.journal_id, 3, "transaction", times, False, ClearBody(body()))
    link = sign_link(spine.signer, head.digest, record.payload())
    arrival = Arrival(spine.journal_id, Run(3, head.digest, [link.payload], [link.signature]), [link.digest], [bytes(32)], 1)
    with Ledger(spine.hub_db) as ledger:
        ledger.append([arrival])
    project(spine, engine)
    with engine.connect() as connection:
        found = connection.execute(sa.select(findings)).all()
    assert [(row.position, "sealed" in row.reason) for row in found] == [(3, True)]


def test_a_well_signed_record_that_cannot_be_read_blocks_neither_projection_nor_answers(
    spine: Spine, engine: sa.Engine
) -> None:
    """A faulty machine's own signature stands under it: it is kept, told, and in nobody's way."""
    deliver(spine, Draft("a", "transaction", body()))
    with Ledger(spine.hub_db) as ledger:
        head = ledger.journal(spine.journal_id)
        start = ledger.feed(1, 1)[0].payload[:54]
    payload = start + b"\x20\x03" + b"\xff" * 20
    link = sign_link(spine.signer, head.digest, payload)
    batch = encode_batch(Run(3, head.digest, [payload], [link.signature]), spine.signer.key_id, 3)

    async def send() -> list[sync_pb2.ReplicateDown]:
        async def incoming() -> AsyncIterator[sync_pb2.ReplicateUp]:
            yield encode_open(spine.journal_id, 3)
            yield batch

        answers: list[sync_pb2.ReplicateDown] = []

        async def hear(message: sync_pb2.ReplicateDown) -> None:
            answers.append(message)

        async with spine.ingest() as ingest:
            await ingest.serve(spine.edge_id, incoming(), hear)
        return answers

    assert not any(message.HasField("refusal") for message in asyncio.run(send()))
    project(spine, engine)
    with engine.connect() as connection:
        assert [row.position for row in connection.execute(sa.select(findings))] == [3]

    async def visit(client: httpx.AsyncClient) -> None:
        record = await client.get(f"/v1/records/{spine.journal_id}/3")
        assert (record.status_code, record.json()["clear"]) == (200, None)
        assert (await client.get("/v1/edges")).json()[0]["journals"][0]["position"] == 3

    ask(spine, engine, visit)


def test_edges_show_their_lag_and_why_they_were_refused(spine: Spine, engine: sa.Engine) -> None:
    deliver(spine, Draft("a", "transaction", body()))
    spine.clock.now_ms += 90_000

    async def visit(client: httpx.AsyncClient) -> None:
        edge = (await client.get("/v1/edges")).json()[0]
        assert (edge["site"], edge["machine"]) == ("A01", "窗口1")
        journal = edge["journals"][0]
        assert (journal["position"], journal["lag_records"], journal["silent_s"]) == (2, 0, 90.0)
        assert journal["skew_ms"] == 0

    ask(spine, engine, visit)


def test_a_machine_that_was_never_enrolled_has_no_list_of_devices(spine: Spine, engine: sa.Engine) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        known = await client.get(f"/v1/edges/{spine.edge_id}/devices")
        assert (known.status_code, known.json()) == (200, [])
        unknown = await client.get(f"/v1/edges/{UUID(int=1)}/devices")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "no-machine")

    ask(spine, engine, visit)


@pytest.mark.parametrize(("statement", "paths", "status", "code"), [
    ("UPDATE runs SET count = count + 1", ("/v1/feed",), 500, "damaged-record"),
    ("UPDATE journals SET suite = 7", ("/v1/edges", "/metrics"), 500, "damaged-record"),
    ("DROP TABLE projection_cursors", ("/metrics",), 503, "database-trouble"),
    ("DROP TABLE ledger_head", ("/v1/feed",), 503, "database-trouble"),
])
def test_damage_is_answered_in_the_shape_of_every_refusal(
    spine: Spine, engine: sa.Engine, statement: str, paths: tuple[str, ...], status: int, code: str
) -> None:
    deliver(spine, Draft("a", "transaction", body()))
    damage(spine.hub_db, statement)

    async def visit(client: httpx.AsyncClient) -> None:
        for path in paths:
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            assert "verif" in answer.json()["error"]["message"]

    ask(spine, engine, visit)


def test_a_bug_is_answered_in_the_shape_of_every_refusal(spine: Spine, engine: sa.Engine,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    def trips(_engine: sa.Engine) -> None:
        raise KeyError(ID_NUMBER)

    monkeypatch.setattr("hub.api.questions.list_sites", trips)

    async def visit(client: httpx.AsyncClient) -> None:
        answer = await client.get("/v1/sites")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal-error")
        assert ID_NUMBER not in answer.text

    ask(spine, engine, visit)


def test_tokens_open_what_their_scopes_say_until_they_end(spine: Spine, engine: sa.Engine) -> None:
    now = spine.clock.unix_ms()
    feed_only = make_token(engine, "t", [Scope.FEED], now, now + 1000)

    async def visit(client: httpx.AsyncClient) -> None:
        assert (await client.get("/v1/feed")).status_code == 200
        edges_answer = await client.get("/v1/edges")
        assert (edges_answer.status_code, edges_answer.json()["error"]["code"]) == (403, "scope-missing")
        for wrong in ("", "x", feed_only[:-1], feed_only.replace(".", "_"), f"szhub.{'0' * 12}.x"):
            refused = await client.get("/v1/feed", headers={"Authorization": f"Bearer {wrong}"})
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert (await client.get("/healthz", headers={"Authorization": ""})).status_code == 200
        spine.clock.now_ms += 1000
        assert (await client.get("/v1/feed")).status_code == 401
        spine.clock.now_ms -= 1000
        revoke_token(engine, spine.own, feed_only.split(".")[1], now)
        assert (await client.get("/v1/feed")).status_code == 401

    ask(spine, engine, visit, feed_only)
    assert feed_only.split(".")[2].encode() not in spine.hub_db.read_bytes()
    with pytest.raises(TokenRefused, match="feed:read"):
        make_token(engine, "t", ["everything"], now, None)


def test_every_route_is_described_and_needs_a_token(spine: Spine, engine: sa.Engine) -> None:
    async def visit(client: httpx.AsyncClient) -> None:
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert {"/v1/feed", "/v1/records/{journal}/{position}", "/v1/sites/{code}/ledger", "/v1/edges"} <= set(paths)
        for path in set(paths) - {"/healthz"}:
            filled = path.format(journal=uuid4(), edge=uuid4(), position=1, code="A01")
            assert (await client.get(filled, headers={"Authorization": ""})).status_code == 401
        for query in ("after=-1", "limit=0", "limit=5000", "wait_s=99", "after=x"):
            assert (await client.get(f"/v1/feed?{query}")).status_code == 422

    ask(spine, engine, visit)
