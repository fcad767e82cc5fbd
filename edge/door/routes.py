"""What a counter program can ask: readers, cards, items, transactions, the state of queue and line."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from devices.cards import CardReaders
from devices.contract import Reading
from devices.social_card import SocialCard, SocialCardDriver
from edge.advice import LineHealth
from edge.alarms import Alarms
from edge.catalogue import Catalogue, Item, check
from edge.door.counter_journal import CounterJournal
from edge.door.errors import DAMAGED, DoorError, ErrorBody
from edge.door.messages import (
    AlarmAnswer,
    Card,
    CardReading,
    LineAnswer,
    MachineState,
    PairAnswer,
    PairRequest,
    Reader,
    Readers,
    Resident,
    ServiceItem,
    Submission,
    TransactionState,
)
from edge.door.metrics import DoorMetrics
from edge.door.pairing import NATIVE, CodeRefused, Pairing, PairingDamaged, TooManyCodes
from edge.door.readings import RecentReadings
from edge.drafts import OWN_IDS, Draft, JournalRefused, JournalStopped, Stored
from edge.identity import NotEnrolled
from edge.line import Line

TRANSACTION = "transaction"


def _errors(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: {"model": ErrorBody} for code in (401, 403, *codes)}


class DoorRoutes:
    """Handlers over the parts that the agent is made of."""

    def __init__(self, journal: CounterJournal, readers: CardReaders, catalogue: Callable[[], Catalogue | None], line: Line,
                 pairing: Pairing, readings: RecentReadings, metrics: DoorMetrics, alarms: Alarms,
                 health: LineHealth) -> None:
        self._journal = journal
        self._readers = readers
        self._catalogue = catalogue
        self._line = line
        self._pairing = pairing
        self._readings = readings
        self._metrics = metrics
        self._alarms = alarms
        self._health = health

    def router(self) -> APIRouter:
        router = APIRouter()
        add = router.add_api_route
        add("/v1/pair", self.pair, methods=["POST"], responses=_errors(422, 429), summary="Code to token")
        add("/v1/readers", self.readers, methods=["GET"], responses=_errors(), summary="Readers and their state")
        add("/v1/readers/{name}/read", self.read, methods=["POST"], responses=_errors(404, 409, 502),
            summary="Read the card that is in")
        add("/v1/items", self.items, methods=["GET"], responses=_errors(503), summary="Service items")
        add("/v1/items/{code}", self.item, methods=["GET"], responses=_errors(404, 503), summary="One service item")
        add("/v1/transactions", self.submit, methods=["POST"], status_code=201,
            responses={200: {"model": TransactionState, "description": "Said before; stored once"},
                       **_errors(409, 413, 422, 503)},
            summary="Submit a transaction; answered once it is on disk")
        add("/v1/transactions/{id}", self.transaction, methods=["GET"], responses=_errors(404), summary="Its state")
        add("/v1/state", self.state, methods=["GET"], responses=_errors(), summary="Queue and line")
        add("/metrics", self.metrics, methods=["GET"], response_class=Response, summary="For Prometheus")
        return router

    async def pair(self, body: PairRequest, request: Request) -> PairAnswer:
        origin = request.headers.get("origin", NATIVE)
        try:
            return PairAnswer(token=await asyncio.to_thread(self._pairing.redeem, body.code, origin))
        except CodeRefused as error:
            raise DoorError(403, "code-refused", "配对码不正确、已使用或已过期，请由技术人员重新生成。") from error
        except (PairingDamaged, sqlite3.Error, OSError) as error:
            raise DoorError(503, "pairing-damaged", DAMAGED) from error
        except TooManyCodes as error:
            raise DoorError(429, "too-many-codes", "配对码连续错误，请一分钟后再试。") from error

    async def readers(self) -> Readers:
        states = [Reader(name=one.name, state=one.state, card_present=one.card_present) for one in self._readers.states]
        return Readers(service=self._readers.service, readers=states)

    async def read(self, name: str) -> CardReading:
        if name not in {one.name for one in self._readers.states}:
            raise DoorError(404, "no-reader", "没有这个读卡器，请检查连接线，或从读卡器列表中重新选择。")
        async with SocialCardDriver(self._readers, name) as driver:
            reading = await driver.read()
        self._readings.keep(reading)
        return _reading(reading)

    async def items(self, channel: str | None = None) -> list[ServiceItem]:
        return [_item(one) for one in self._held().items if channel is None or channel in one.channels]

    async def item(self, code: str) -> ServiceItem:
        return _item(self._known(code, 404))

    async def submit(self, submission: Submission, response: Response) -> TransactionState:
        try:
            with self._metrics.submit_seconds.time():
                stored = await self._stored(submission)
        except JournalRefused as error:
            self._metrics.submissions.labels(type(error).__name__).inc()
            raise
        self._metrics.submissions.labels("repeat" if stored.repeat else "stored").inc()
        response.status_code = 200 if stored.repeat else 201
        return await self._state(submission.id, stored)

    async def _stored(self, submission: Submission) -> Stored:
        """Raises DoorError, JournalRefused."""
        said = _json(_said(submission))
        try:
            return await self._journal.submit(self._draft(submission, said))
        except (DoorError, JournalStopped):
            # A repeat was checked and stored the first time; catalogue, readings and journal may have changed since.
            if repeat := await self._journal.repeat(submission.id, TRANSACTION, said):
                return repeat
            raise

    def _draft(self, submission: Submission, said: bytes) -> Draft:
        """Raises DoorError."""
        if submission.id.startswith(OWN_IDS):
            raise DoorError(422, "not-acceptable", "业务流水号不得以 alarm:、carried: 或 journal. 开头，请由柜面程序重新生成。")
        reading = self._readings.find(submission.reading) if submission.reading else None
        _check(self._known(submission.item, 422), submission, reading)
        return Draft(submission.id, TRANSACTION, _json(_body(submission, reading)),
                     simulated=reading is not None and reading.simulated, said=said)

    async def transaction(self, id: str) -> TransactionState:  # noqa: A002 - the path's own word
        stored = await self._journal.find(id)
        if stored is None:
            raise DoorError(404, "no-transaction", "本机没有这笔业务，请核对业务流水号，或重新提交。")
        return await self._state(id, stored)

    async def state(self) -> MachineState:
        line, diagnosis = self._line.state, self._health.diagnosis
        return MachineState(
            queued=self._journal.queued, head=self._journal.head.position,
            acknowledged=self._journal.standing.position, catalogue=self._catalogue() is not None,
            certificate_ends_ms=self._health.certificate_ends_ms,
            line=LineAnswer(state=line.state.value, since_ms=line.since_ms, detail=line.detail,
                            diagnosis=diagnosis.kind.value, hint=diagnosis.chinese),
            alarms=[AlarmAnswer(kind=one.kind, raised_ms=one.raised_ms, text=one.text, hint=one.hint)
                    for one in self._alarms.open_alarms()],
        )

    async def metrics(self) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    def _held(self) -> Catalogue:
        catalogue = self._catalogue()
        if catalogue is None:
            raise DoorError(503, "no-catalogue", "本机尚未收到服务事项清单，请检查网络线路，待自动接收后再试。")
        return catalogue

    def _known(self, code: str, status: int) -> Item:
        item = self._held().item(code)
        if item is None:
            raise DoorError(status, "no-item", "没有这个服务事项，请从事项列表中重新选择。")
        return item

    async def _state(self, caller_id: str, stored: Stored) -> TransactionState:
        try:
            held = await self._journal.in_ledger(stored)
        except (JournalRefused, NotEnrolled, OSError, ValueError):
            held = False  # not known now: it is stored, and nobody is told more than that
        return TransactionState(id=caller_id, record=stored.id, position=stored.position,
                                state="in-ledger" if held else "queued",
                                alarms=[one.hint for one in self._alarms.open_alarms()])


def _check(item: Item, submission: Submission, reading: Reading[SocialCard] | None) -> None:
    """Everything that is wrong at once: the resident must not come a third time (一次性告知). Raises DoorError."""
    problems = check(item, submission.channel, submission.documents)
    if submission.reading and reading is None:
        problems.append("读卡记录不存在或已超过 10 分钟，请重新读卡。")
    if reading is not None:
        problems += _other_than_the_card(submission.resident, reading.data)
    if problems:
        raise DoorError(422, "not-acceptable", f"本笔未受理。{item.one_time_notice}", problems)


def _other_than_the_card(resident: Resident, card: SocialCard) -> list[str]:
    """A record that names a reading says what the card says."""
    problems = []
    if card.id_number.upper() != resident.id_number:
        problems.append("读出的卡与填写的身份证号码不是同一人，请核对后重新读卡。")
    if card.name != resident.name:
        problems.append("读出的卡与填写的姓名不一致，请核对后重新读卡。")
    if resident.card_number not in (None, card.card_number):
        problems.append("读出的卡与填写的卡号不一致，请核对后重新读卡。")
    return problems


def _json(body: dict[str, Any]) -> bytes:
    """The same submission gives the same bytes: only so can a repeat be told from a conflict."""
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _said(submission: Submission) -> dict[str, Any]:
    said: dict[str, Any] = {
        "caller_id": submission.id,
        "item": submission.item,
        "channel": submission.channel,
        "operator": {"name": submission.operator, "verified": False},
        "resident": submission.resident.model_dump(exclude_none=True),
        "documents": sorted(set(submission.documents)),
    }
    if submission.reading is not None:
        said["reading"] = {"id": str(submission.reading)}
    if submission.details:
        said["details"] = submission.details
    return said


def _body(submission: Submission, reading: Reading[SocialCard] | None) -> dict[str, Any]:
    """What was said, and where the reading came from."""
    body = _said(submission)
    if reading is not None:
        body["reading"] |= {"device": reading.device, "kind": reading.kind}
    return body


def _reading(reading: Reading[SocialCard]) -> CardReading:
    card = reading.data
    fields = {name: getattr(card, name) for name in Card.model_fields}
    return CardReading(id=reading.id, kind=reading.kind, device=reading.device, observed_at=reading.observed_at,
                       simulated=reading.simulated, card=Card(**fields))


def _item(item: Item) -> ServiceItem:
    return ServiceItem(
        code=item.code, group=item.group, name=item.name, description=item.description, channels=list(item.channels),
        applicants=item.applicants, documents=[list(entry) for entry in item.documents],
        working_days=item.working_days, one_time_notice=item.one_time_notice,
    )
