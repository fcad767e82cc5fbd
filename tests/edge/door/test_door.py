"""The counter's door over real sockets, with the real journal, catalogue and simulated wires."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from devices.contract import DeviceState
from devices.plugged import Plugged
from devices.simulated.card import CardText
from devices.simulated.serials import made_up
from devices.simulated.wire import SimulatedReaders
from edge.advice import CONNECTING, Diagnosis
from edge.alarms import Alarms
from edge.attachments.attachments import Attachments
from edge.attachments.blob_folder import BlobFolder
from edge.attachments.room import AttachmentLimits
from edge.carry import Carrier
from edge.catalogue import Catalogue, parse_catalogue
from edge.door.counter_journal import BesideJournal
from edge.door.messages import check_id_number
from edge.door.pairing import Pairing, PairingDamaged, make_code
from edge.door.server import Door
from edge.drafts import OWN_IDS
from edge.equipment.card_source import CardReaderSource
from edge.equipment.device_list import CardReader, ListedDevice
from edge.equipment.equipment import DeviceSource, Equipment
from edge.equipment.unlisted import Unattended
from edge.forerunners import Forerunners
from edge.journal import Journal, JournalLimits
from edge.journal_store import Standing
from edge.line import Line
from edge.settlement import Held
from hub.services.items import load_catalogue
from hub.services.wire import encode_catalogue
from security.clock import SystemClock
from security.record import parse_record
from tests.edge.test_carry import Machine, RestoredHub
from tests.spine import CEILING_S, Spine, damage, draft

ID_NUMBER = "11010519491231002X"
ORIGIN = "https://counter.example"
PAGE = {"Origin": ORIGIN}


def transaction(**changes: Any) -> dict[str, Any]:
    return {
        "id": "t1", "item": "003-21", "channel": "counter", "operator": "李芳",
        "resident": {"name": "王秀英", "id_number": ID_NUMBER},
        "documents": ["resident-id-card", "eligibility-commitment"], **changes,
    }


class Counter:
    """An open door and a client that has a token."""

    attachments: Attachments

    def __init__(self, journal: Journal, readers: SimulatedReaders, client: httpx.AsyncClient, door: Door,
                 folder: Path, spine: Spine, serving: asyncio.Task[None], equipment: Equipment) -> None:
        self.journal, self.readers, self.client, self.door = journal, readers, client, door
        self.equipment, self.folder, self.spine, self.serving = equipment, folder, spine, serving

    async def pair(self, origin: str = "") -> str:
        code = await make_code(self.folder / "door.db", "test", origin, self.spine.clock)
        headers = {"Origin": origin} if origin else {}
        answer = await self.client.post("/v1/pair", json={"code": code}, headers={"Authorization": "", **headers})
        assert answer.status_code == 200
        return str(answer.json()["token"])


@dataclass
class Health:
    """Of the line and the certificate, as the examination tells it."""

    diagnosis: Diagnosis = CONNECTING
    certificate_ends_ms: int = 1_792_592_000_000


@asynccontextmanager
async def open_door(folder: Path, spine: Spine | None = None, limits: JournalLimits | None = None,
                    *, catalogue: bool = True, of: Journal | None = None,
                    sources: Sequence[DeviceSource] = (), listed: Sequence[ListedDevice] = (),
                    plugged: Sequence[Plugged] = (), events: BesideJournal | None = None,
                    ceiling_s: float = CEILING_S) -> AsyncIterator[Counter]:
    spine = spine or Spine(folder)
    held: Catalogue | None = parse_catalogue(encode_catalogue(load_catalogue())) if catalogue else None
    attachments = Attachments(BlobFolder(folder / "attachments"), spine.clock, AttachmentLimits(reserve_bytes=0))
    async with (asyncio.timeout(ceiling_s), of or spine.journal(limits) as journal, attachments,
                SimulatedReaders(readers=("R1",)) as readers):
        line = Line("replicate", spine.clock, Random(1))
        names = {one.serial: one.name for one in listed if isinstance(one, CardReader)}
        cards = CardReaderSource(readers, lambda: names, simulated=True)
        equipment = Equipment([cards, *sources], spine.clock, lambda view: None)
        unattended = Unattended(lambda: listed, lambda: plugged)
        door = Door(folder / "door.db", 0, journal, readers, equipment, unattended, lambda: held, line, spine.clock,
                    Alarms(folder / "alarms", spine.clock), Health(), lambda: events, attachments)
        looking = asyncio.create_task(equipment.run())
        serving = asyncio.create_task(door.run())
        await door.listening()
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{door.port}", timeout=ceiling_s, trust_env=False) as client:
                counter = Counter(journal, readers, client, door, folder, spine, serving, equipment)
                counter.attachments = attachments
                client.headers["Authorization"] = f"Bearer {await counter.pair()}"
                yield counter
        finally:
            serving.cancel()
            looking.cancel()
            await asyncio.wait([serving, looking])


def at_the_door(folder: Path, visit: Callable[[Counter], Awaitable[None]], **options: Any) -> None:
    async def come() -> None:
        async with open_door(folder, **options) as counter:
            await visit(counter)

    asyncio.run(come())


def code_of(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    assert error["message"].endswith(("。", "结")), "a refusal says what to do"
    return str(error["code"])


def test_a_transaction_is_stored_once_however_often_it_is_said(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        first = await counter.client.post("/v1/transactions", json=transaction())
        again = await counter.client.post("/v1/transactions", json=transaction())
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json() == (await counter.client.get("/v1/transactions/t1")).json()
        assert first.json()["state"] == "queued"
        other = await counter.client.post("/v1/transactions", json=transaction(operator="王芳"))
        assert (other.status_code, code_of(other)) == (409, "caller-id-conflict")
        assert counter.journal.head.position == 2
        assert (await counter.client.get("/v1/state")).json()["queued"] == 2

    at_the_door(tmp_path, visit)


def test_a_repeat_after_a_restart_gets_the_stored_result(tmp_path: Path) -> None:
    spine = Spine(tmp_path)
    for status in (201, 200):
        async def visit(counter: Counter, status: int = status) -> None:
            answer = await counter.client.post("/v1/transactions", json=transaction())
            assert (answer.status_code, answer.json()["position"]) == (status, 2)

        at_the_door(tmp_path, visit, spine=spine)


def test_a_transaction_of_an_earlier_journal_is_in_the_ledger_when_the_hub_has_it_from_there_or_its_copy(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    digests = asyncio.run(machine.write("a", "b"))  # at 2 and 3, behind the data key
    damage(machine.old.business.db, "UPDATE standing SET position = 2")
    (tmp_path / "door").mkdir()

    async def visit() -> None:
        before = Forerunners([(machine.old_genesis.edge, machine.old)], machine.new)
        async with before:
            journal = machine.journal(machine.new, before)
            async with open_door(tmp_path / "door", machine.spine, of=journal) as counter:
                async def states() -> list[str]:
                    return [(await counter.client.get(f"/v1/transactions/{one}")).json()["state"] for one in "ab"]

                await journal.submit(draft("new"))
                assert await states() == ["in-ledger", "queued"]
                await journal.take_standing(Standing(2, 0, 0))  # of a data key and "new"
                assert await states() == ["in-ledger", "queued"]
                Held(1, 0, digests[:1]).save(machine.new.business)  # restored from a backup since
                carrier = Carrier(machine.old.business, machine.new.business, machine.succession, journal)
                await carrier.carry_over(RestoredHub().ask)
                assert await states() == ["queued", "queued"]
                await journal.take_standing(Standing(3, 0, 0))
                assert await states() == ["in-ledger", "queued"]
                await journal.take_standing(Standing(journal.head.position, 0, 0))
                assert await states() == ["in-ledger", "in-ledger"]
                machine.old.identity.unlink()
                machine.new.business.carried.unlink()
                assert await states() == ["in-ledger", "queued"], "not known for sure"

    asyncio.run(visit())


def test_a_repeat_needs_neither_catalogue_nor_reading(tmp_path: Path) -> None:
    """It was checked the first time; what is stored stays true."""
    spine = Spine(tmp_path)

    async def first(counter: Counter) -> None:
        assert (await counter.client.post("/v1/transactions", json=transaction())).status_code == 201

    async def again(counter: Counter) -> None:
        answer = await counter.client.post("/v1/transactions", json=transaction())
        assert (answer.status_code, answer.json()["position"]) == (200, 2)
        assert (await counter.client.post("/v1/transactions", json=transaction(id="new"))).status_code == 503

    at_the_door(tmp_path, first, spine=spine)
    at_the_door(tmp_path, again, spine=spine, catalogue=False)


def test_a_repeat_is_answered_by_a_stopped_journal_too(tmp_path: Path) -> None:
    """Whoever hung up and says it again must not be told that it was not taken."""
    async def visit(counter: Counter) -> None:
        stored = await counter.client.post("/v1/transactions", json=transaction())
        counter.journal.stop("the test")
        again = await counter.client.post("/v1/transactions", json=transaction())
        assert (again.status_code, again.json()) == (200, stored.json())
        new = await counter.client.post("/v1/transactions", json=transaction(id="new"))
        assert (new.status_code, code_of(new)) == (503, "journal-stopped")
        other = await counter.client.post("/v1/transactions", json=transaction(operator="王芳"))
        assert other.status_code == 409

    at_the_door(tmp_path, visit)


def test_other_content_under_a_used_id_is_a_conflict_whatever_reading_it_names(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        counter.readers.insert("R1", CardText(name="王秀英", id_number=ID_NUMBER))
        reading = (await counter.client.post("/v1/readers/R1/read")).json()["id"]
        said = transaction(readings=[reading])
        assert (await counter.client.post("/v1/transactions", json=said)).status_code == 201
        others: list[dict[str, Any]] = [
            transaction(), transaction(readings=[str(uuid4())]), transaction(readings=[reading], operator="王芳"),
            transaction(readings=[str(uuid4())], resident={"name": "李四", "id_number": ID_NUMBER})]
        for other in others:
            assert (await counter.client.post("/v1/transactions", json=other)).status_code == 409, other
        counter.spine.clock.up_ms += 11 * 60 * 1000
        assert (await counter.client.post("/v1/transactions", json=said)).status_code == 200
        assert counter.journal.head.position == 2

    at_the_door(tmp_path, visit)


@pytest.mark.parametrize("own", ["carried:12345678-1234-4234-8234-123456789012:7", "alarm:history:1", "journal.succeeded:1:2:3",
                                 "event:1"])
def test_no_counter_takes_the_place_of_a_record_of_the_agents_own(tmp_path: Path, own: str) -> None:
    """Invariant 3: a copy whose id was taken would never be carried over."""
    async def visit(counter: Counter) -> None:
        answer = await counter.client.post("/v1/transactions", json=transaction(id=own))
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "not-acceptable")
        assert all(one in answer.json()["error"]["message"] for one in OWN_IDS)
        assert counter.journal.head.position == 0

    at_the_door(tmp_path, visit)


@pytest.mark.parametrize("resident", [
    {"name": "张三", "id_number": ID_NUMBER}, {"name": "王秀英", "id_number": ID_NUMBER, "card_number": "Z99999999"}])
def test_a_record_that_names_a_reading_says_what_the_card_says(tmp_path: Path, resident: dict[str, str]) -> None:
    async def visit(counter: Counter) -> None:
        counter.readers.insert("R1", CardText(name="王秀英", id_number=ID_NUMBER))
        reading = (await counter.client.post("/v1/readers/R1/read")).json()
        answer = await counter.client.post("/v1/transactions", json=transaction(readings=[reading["id"]], resident=resident))
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "not-acceptable")
        assert len(answer.json()["error"]["details"]) == 1
        said = {"name": "王秀英", "id_number": ID_NUMBER, "card_number": reading["card"]["card_number"]}
        answer = await counter.client.post("/v1/transactions", json=transaction(readings=[reading["id"]], resident=said))
        assert answer.status_code == 201

    at_the_door(tmp_path, visit)


@pytest.mark.parametrize("damage", [b"", b"garbage" * 1000])
def test_a_damaged_pairing_database_is_set_aside_and_pairing_works_again(tmp_path: Path, damage: bytes) -> None:
    async def visit(counter: Counter) -> None:
        (tmp_path / "door.db").unlink()
        (tmp_path / "door.db-wal").unlink()
        (tmp_path / "door.db").write_bytes(damage)
        answers = [await counter.client.get("/v1/state") for _ in range(2)]
        assert [one.status_code for one in answers] == [503, 401]
        assert [code_of(one) for one in answers] == ["pairing-damaged", "no-token"]
        counter.client.headers["Authorization"] = f"Bearer {await counter.pair()}"
        assert (await counter.client.get("/v1/state")).status_code == 200
        assert (tmp_path / "door.db.damaged").exists()

    at_the_door(tmp_path, visit)


def _killed_over(database: Path) -> None:
    code = ("import os, signal, sys; from pathlib import Path; from security.durable_sqlite import open_durable; "
            "open_durable(Path(sys.argv[1])).execute(\"INSERT INTO tokens VALUES (x'00', 'n', '', 1)\"); "
            "os.kill(os.getpid(), signal.SIGKILL)")
    assert subprocess.run([sys.executable, "-c", code, database], check=False).returncode == -signal.SIGKILL


@pytest.mark.parametrize("gone", ["door.db", "door.db-wal"])
def test_nobody_is_asked_to_put_a_log_back_beside_new_pairings(tmp_path: Path, gone: str) -> None:
    """SQLite would fold it into the new file, and the tokens in that would be gone."""
    database = tmp_path / "door.db"
    with closing(Pairing(database, SystemClock())) as pairing:
        pairing.names()
    _killed_over(database)
    (tmp_path / gone).unlink()
    with closing(Pairing(database, SystemClock())) as pairing, capture_logs() as logs, pytest.raises(PairingDamaged):
        pairing.names()
    [said] = [" ".join(map(str, one.values())) for one in logs]
    assert f"{gone} is gone" in said
    assert "put nothing beside the new one" in said
    assert "back" not in said


def test_pairings_that_are_gone_beside_their_log_are_told_and_the_log_is_kept(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        (tmp_path / "door.db").unlink()
        log = (tmp_path / "door.db-wal").read_bytes()
        answers = [await counter.client.get("/v1/state") for _ in range(2)]
        assert [code_of(one) for one in answers] == ["pairing-damaged", "no-token"]
        assert (tmp_path / "door.db.damaged-wal").read_bytes() == log
        counter.client.headers["Authorization"] = f"Bearer {await counter.pair()}"
        assert (await counter.client.get("/v1/state")).status_code == 200

    at_the_door(tmp_path, visit)


def test_a_pairing_database_put_in_the_place_of_the_old_one_counts(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        (tmp_path / "door.db").rename(tmp_path / "away.db")
        token = await counter.pair()  # `suozhan-edge pair` makes a new file
        assert (await counter.client.get("/v1/state")).status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert (await counter.client.get("/v1/state", headers=headers)).status_code == 200

    at_the_door(tmp_path, visit)


def test_two_windows_submit_at_once(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        answers = await asyncio.gather(*[
            counter.client.post("/v1/transactions", json=transaction(id=f"w{number % 20}")) for number in range(40)
        ])
        assert sorted(answer.status_code for answer in answers) == [200] * 20 + [201] * 20
        assert sorted({answer.json()["position"] for answer in answers}) == list(range(2, 22))

    at_the_door(tmp_path, visit)


def test_a_caller_that_hangs_up_in_the_middle_neither_loses_nor_doubles(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        body = json.dumps(transaction()).encode()
        head = (f"POST /v1/transactions HTTP/1.1\r\nHost: 127.0.0.1:{counter.door.port}\r\n"
                f"Authorization: {counter.client.headers['Authorization']}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        for part in (body[:20], body):
            _, writer = await asyncio.open_connection("127.0.0.1", counter.door.port)
            writer.write(head + part)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        again = await counter.client.post("/v1/transactions", json=transaction())
        assert (again.status_code in {200, 201}, again.json()["position"]) == (True, 2)
        assert (await counter.client.post("/v1/transactions", json=transaction())).status_code == 200
        assert counter.journal.head.position == 2

    at_the_door(tmp_path, visit)


def test_everything_that_is_wrong_is_said_the_first_time(tmp_path: Path) -> None:
    """一次性告知."""
    async def visit(counter: Counter) -> None:
        answer = await counter.client.post("/v1/transactions", json=transaction(channel="kiosk", documents=[]))
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "not-acceptable")
        assert len(answer.json()["error"]["details"]) == 3
        assert counter.journal.head.position == 0

    at_the_door(tmp_path, visit)


@pytest.mark.parametrize("number", ["CAN110079010212", "911124198108030024", "810000199408230021", "can110079010212"])
def test_whoever_has_a_card_of_another_kind_is_served_by_its_number(tmp_path: Path, number: str) -> None:
    async def visit(counter: Counter) -> None:
        said = transaction(resident={"name": "John Smith", "id_number": number})
        assert (await counter.client.post("/v1/transactions", json=said)).status_code == 201
        for field, code in (("id", "bad-caller-id"), ("operator", "not-acceptable")):
            answer = await counter.client.post("/v1/transactions", json=said | {"id": "t2", field: f"a{number.upper()}"})
            assert answer.status_code == 422
            assert number.isdecimal() or answer.json()["error"]["code"] == code
            assert number.upper() not in answer.text

    at_the_door(tmp_path, visit)


@pytest.mark.parametrize("changes", [
    *({"resident": {"name": "王秀英", "id_number": number}} for number in (
        "110105194912310", "CAN11007901021", "CA1110079010212", "ＣＡＮ110079010212", "1101051949123100", "11010519491231002")),
    {"resident": {"name": "王秀英", "id_number": "110105194912310021"}}, {"id": "a b"}, {"channel": "phone"},
    {"operator": ""}, {"operator": "  "}, {"operator": ID_NUMBER},
    {"documents": "resident-id-card"}, {"extra": 1}, {"details": {"x": "y" * 9000}},
    {"item": "999-99"}, {"id": ID_NUMBER}, {"readings": ["no"]}, {"resident": {"name": "王秀英", "id_number": "1" * 400}},
])
def test_a_bad_submission_is_refused_without_repeating_what_was_sent(tmp_path: Path, changes: dict[str, Any]) -> None:
    async def visit(counter: Counter) -> None:
        answer = await counter.client.post("/v1/transactions", json=transaction(**changes))
        assert answer.status_code == 422
        assert "王秀英" not in answer.text
        assert ID_NUMBER not in answer.text
        assert counter.journal.head.position == 0

    at_the_door(tmp_path, visit)


def test_strangers_get_nothing(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        client, port = counter.client, counter.door.port
        page_token = await counter.pair(ORIGIN)
        page = {**PAGE, "Authorization": f"Bearer {page_token}"}
        assert (await client.get("/v1/state", headers=page)).headers["access-control-allow-origin"] == ORIGIN
        refusals = [
            (401, {"Authorization": ""}), (401, {"Authorization": "Bearer wrong"}),
            (403, {"Origin": "https://evil.example"}), (403, {"Origin": "null"}),
            (403, {"Host": f"evil.example:{port}"}), (403, {"Host": "127.0.0.1:1"}),
            (401, PAGE),  # a native program's token in a page
            (401, {"Authorization": f"Bearer {page_token}"}),  # a page's token without its page
        ]
        for status, headers in refusals:
            for method, path in (("GET", "/v1/state"), ("POST", "/v1/transactions")):
                answer = await client.request(method, path, headers=headers, json=transaction())
                assert answer.status_code == status, headers
                assert code_of(answer)
        stranger = await client.options("/v1/transactions", headers={"Origin": "https://evil.example"})
        assert stranger.status_code == 403
        assert "access-control-allow-origin" not in stranger.headers
        ours = await client.options("/v1/transactions", headers=PAGE)
        assert ours.headers["access-control-allow-origin"] == ORIGIN
        assert counter.journal.head.position == 0

    at_the_door(tmp_path, visit)


def test_a_pairing_code_works_once_from_its_origin_and_not_for_long(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        async def redeem(code: str, **headers: str) -> int:
            answer = await counter.client.post("/v1/pair", json={"code": code}, headers=headers)
            return answer.status_code

        path, clock = tmp_path / "door.db", counter.spine.clock
        code = await make_code(path, "t", ORIGIN, clock)
        assert await redeem(code) == 403
        assert await redeem(code, Origin=ORIGIN) == 200
        assert await redeem(code, Origin=ORIGIN) == 403
        late = await make_code(path, "t", "", clock)
        clock.now_ms += 11 * 60 * 1000
        assert await redeem(late) == 403
        fresh = await make_code(path, "t", "", clock)
        for _ in range(4):
            await redeem("0000000000")
        assert await redeem(fresh) == 429
        clock.up_ms += 61_000
        assert await redeem(fresh) == 200

    at_the_door(tmp_path, visit)


def test_oversized_and_malformed_requests_are_refused(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 4096

    async def visit(counter: Counter) -> None:
        large = await counter.client.post("/v1/transactions", content=b"x" * 70_000)
        chunked = await counter.client.post("/v1/transactions", content=chunks())
        assert (large.status_code, chunked.status_code) == (413, 413)
        odd = json.dumps(transaction(details={"x": 0})).replace('"x": 0', '"x": %s')
        odd_values = [(odd % value).encode() for value in ("NaN", "-Infinity", '"\\ud800"', "1e999")]
        surrogate = json.dumps(transaction(operator="?")).replace('"?"', '"\\udfff"').encode()
        gbk = json.dumps(transaction(), ensure_ascii=False).encode("gbk")
        for content in (gbk, b'{"id": ' + b"9" * 5000 + b"}", b"[" * 5000):
            answer = await counter.client.post("/v1/transactions", content=content,
                                               headers={"Content-Type": "application/json"})
            assert (answer.status_code, code_of(answer)) == (400, "not-json")
        for content in (b"", b"{", b"[]", b"\xff\xfe", b"null", surrogate, *odd_values):
            answer = await counter.client.post("/v1/transactions", content=content,
                                               headers={"Content-Type": "application/json"})
            assert answer.status_code in {400, 422}
            assert "error" in answer.json()

    at_the_door(tmp_path, visit)


def test_get_changes_nothing(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        paths = (await counter.client.get("/openapi.json")).json()["paths"]
        for path in paths:
            await counter.client.get(path.replace("{name}", "R1").replace("{code}", "003-01").replace("{id}", "t1"))
        assert counter.journal.head.position == 0
        refused = await counter.client.get("/v1/transactions")
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")

    at_the_door(tmp_path, visit)


def test_the_description_says_which_calls_need_a_token_and_how_all_of_them_refuse(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        document = (await counter.client.get("/openapi.json")).json()
        assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
        free = {path for path, calls in document["paths"].items() for one in calls.values() if not one["security"]}
        assert free == {"/v1/pair", "/metrics"}
        refusals = [answer for path, calls in document["paths"].items() if path != "/metrics" for one in calls.values()
                    for status, answer in one["responses"].items() if not status.startswith("2")]
        shapes = {one["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2] for one in refusals}
        assert shapes == {"ErrorBody", "CommandErrorBody"}
        assert all("default" in one["responses"] for path, calls in document["paths"].items() if path != "/metrics"
                   for one in calls.values())

    at_the_door(tmp_path, visit)


def test_a_reader_that_the_list_names_is_read_by_its_own_name_too(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        counter.readers.insert("R1", CardText(name="王秀英", id_number=ID_NUMBER))
        while [view.state for view in counter.equipment.views] != [DeviceState.ONLINE]:
            await counter.equipment.changed(counter.equipment.generation)
        reading = (await counter.client.post("/v1/readers/R1/read")).json()
        assert (reading["device"], reading["card"]["name"]) == ("card-1", "王秀英")
        counter.readers.plug("CCID/2 R2", made_up("R2"))
        counter.readers.insert("CCID/2 R2", CardText(name="李四"))
        while len(counter.equipment.views) < 2:
            await counter.equipment.changed(counter.equipment.generation)
        for path in ("CCID%2F2%20R2", "CCID/2 R2"):  # as pcscd names some
            assert (await counter.client.post(f"/v1/readers/{path}/read")).json()["card"]["name"] == "李四"
        assert (await counter.client.post("/v1/readers/R1/read")).json()["card"]["name"] == "王秀英"

    at_the_door(tmp_path, visit, listed=[CardReader(name="card-1", kind="social-card", serial=made_up("R1"))])


def test_a_card_is_read_and_bound_to_its_transaction(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        empty = await counter.client.post("/v1/readers/R1/read")
        assert (empty.status_code, code_of(empty)) == (409, "device-unavailable")
        assert (await counter.client.post("/v1/readers/none/read")).status_code == 404
        counter.readers.insert("R1", CardText(name="王秀英", id_number=ID_NUMBER))
        reading = (await counter.client.post("/v1/readers/R1/read")).json()
        assert reading["card"]["id_number"] == ID_NUMBER
        assert reading["simulated"]
        other = transaction(readings=[reading["id"]], resident={"name": "李四", "id_number": "110105194912310038"})
        other["resident"]["id_number"] = "11010519491231003" + _check("11010519491231003")
        mixed = await counter.client.post("/v1/transactions", json=other)
        assert mixed.status_code == 422
        stored = await counter.client.post("/v1/transactions", json=transaction(readings=[reading["id"]]))
        assert stored.status_code == 201
        record = parse_record((await counter.journal.after(0, 10, 10**6)).payloads[-1])
        assert record.simulated
        counter.spine.clock.up_ms += 11 * 60 * 1000
        late = await counter.client.post("/v1/transactions", json=transaction(id="t2", readings=[reading["id"]]))
        assert late.status_code == 422
        again = await counter.client.post("/v1/transactions", json=transaction(readings=[reading["id"]]))
        assert (again.status_code, again.json()) == (200, stored.json())

    at_the_door(tmp_path, visit)


def _check(first17: str) -> str:
    for digit in "0123456789X":
        try:
            return check_id_number(first17 + digit)[17]
        except ValueError:
            continue
    raise AssertionError("no check digit fits")


def test_a_full_journal_says_when_to_come_back(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        answer = await counter.client.post("/v1/transactions", json=transaction())
        assert (answer.status_code, code_of(answer)) == (503, "journal-full")
        assert answer.headers["Retry-After"]

    at_the_door(tmp_path, visit, limits=JournalLimits(reserve_bytes=2**62))


def test_without_a_catalogue_nothing_is_taken(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        for answer in (await counter.client.get("/v1/items"),
                       await counter.client.post("/v1/transactions", json=transaction())):
            assert (answer.status_code, code_of(answer)) == (503, "no-catalogue")

    at_the_door(tmp_path, visit, catalogue=False)


def test_items_carry_their_one_time_notice(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        items = (await counter.client.get("/v1/items")).json()
        kiosk = (await counter.client.get("/v1/items", params={"channel": "kiosk"})).json()
        assert (len(items), len(kiosk)) == (40, 22)
        assert all("一次性告知" in item["one_time_notice"] for item in items)
        assert (await counter.client.get("/v1/items/003-40")).json()["name"] == "社会保障卡挂失与解挂"
        assert (await counter.client.get("/v1/items/003-41")).status_code == 404

    at_the_door(tmp_path, visit)


def test_the_state_says_how_long_the_oldest_record_waits(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        async def oldest() -> int | None:
            state: dict[str, Any] = (await counter.client.get("/v1/state")).json()
            return state["oldest_queued_ms"]

        assert await oldest() is None
        first_ms = counter.spine.clock.now_ms
        for one in ("t1", "t2"):
            await counter.client.post("/v1/transactions", json=transaction(id=one))
            counter.spine.clock.now_ms += 60_000
        assert await oldest() == first_ms
        await counter.journal.take_standing(Standing(2, 0, 0))
        assert await oldest() == first_ms + 60_000
        await counter.journal.take_standing(Standing(3, 0, 0))
        assert await oldest() is None

    at_the_door(tmp_path, visit)


def test_the_state_says_why_there_is_no_line_and_when_the_certificate_ends(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        state = (await counter.client.get("/v1/state")).json()
        assert state["line"]["diagnosis"] == "connecting"
        assert state["line"]["hint"] == CONNECTING.chinese
        assert state["certificate_ends_ms"] == Health.certificate_ends_ms

    at_the_door(tmp_path, visit)


def test_metrics_follow_the_conventions_and_name_nobody(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        await counter.client.post("/v1/transactions", json=transaction())
        text = (await counter.client.get("/metrics", headers={"Authorization": ""})).text
        assert "suozhan_edge_events_queued_records 0.0" in text
        assert 'suozhan_edge_submissions_total{outcome="stored"} 1.0' in text
        assert "suozhan_edge_journal_queued_records 2.0" in text
        assert "suozhan_edge_certificate_expires_timestamp_seconds 1.792592e+09" in text
        assert ID_NUMBER not in text

    at_the_door(tmp_path, visit)


_NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
_JSON = st.recursive(st.none() | st.booleans() | _NUMBERS | st.text(max_size=20),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
                     max_leaves=6)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(field=st.sampled_from(["id", "item", "channel", "operator", "resident", "documents", "readings", "details"]),
       bodies=st.lists(_JSON, min_size=1, max_size=12))
def test_fuzzed_submissions_never_end_in_a_server_error(tmp_path_factory: pytest.TempPathFactory, field: str,
                                                        bodies: list[Any]) -> None:
    async def visit(counter: Counter) -> None:
        for value in bodies:
            for body in (value, transaction(**{field: value})):
                answer = await counter.client.post("/v1/transactions", json=body)
                assert answer.status_code in {200, 201, 409, 422}

    at_the_door(tmp_path_factory.mktemp("fuzz"), visit)


@dataclass
class Beside:
    """In the place of a journal of events."""

    queued: int
    stopped: str = ""


def test_the_journal_of_events_is_told_of(tmp_path: Path) -> None:
    events = Beside(7)

    async def visit(counter: Counter) -> None:
        assert (await counter.client.get("/v1/state")).json()["events"] == {"queued": 7, "stopped": ""}
        assert "suozhan_edge_events_queued_records 7.0" in (await counter.client.get("/metrics")).text
        events.stopped = "its disk is full"
        state = (await counter.client.get("/v1/state")).json()
        assert state["events"]["stopped"] == "its disk is full"

    at_the_door(tmp_path, visit, events=events)


def test_a_machine_without_a_journal_of_events_says_so(tmp_path: Path) -> None:
    async def visit(counter: Counter) -> None:
        assert (await counter.client.get("/v1/state")).json()["events"] is None

    at_the_door(tmp_path, visit)
