"""What a counter program can ask: readers, cards, items, transactions, the state of queue and line."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from devices.contract import Reading
from edge.advice import LineHealth
from edge.alarms import Alarms
from edge.attachments.attached import Attached
from edge.attachments.attachments import Attachments
from edge.catalogue import Catalogue, Item, check
from edge.door.attachment_routes import GONE, name
from edge.door.bindings import bound, problems
from edge.door.counter_journal import BesideJournal, CounterJournal
from edge.door.errors import DAMAGED, DoorError, responses
from edge.door.messages import (
    AlarmAnswer,
    EventsAnswer,
    LineAnswer,
    MachineState,
    PairAnswer,
    PairRequest,
    ServiceItem,
    Submission,
    TransactionState,
)
from edge.door.metrics import DoorMetrics
from edge.door.pairing import NATIVE, CodeRefused, Pairing, PairingDamaged, TooManyCodes
from edge.door.readings import RecentReadings
from edge.drafts import HOLDS_ID_NUMBER, OWN_IDS, BadDraft, Draft, JournalRefused, JournalStopped, Stored
from edge.identity import NotEnrolled
from edge.line import Line

TRANSACTION = "transaction"


class DoorRoutes:
    """Handlers over the parts that the agent is made of."""

    def __init__(self, journal: CounterJournal, catalogue: Callable[[], Catalogue | None], line: Line, pairing: Pairing,
                 readings: RecentReadings, metrics: DoorMetrics, alarms: Alarms,
                 health: LineHealth, events: Callable[[], BesideJournal | None], attachments: Attachments) -> None:
        self._journal = journal
        self._catalogue = catalogue
        self._line = line
        self._pairing = pairing
        self._readings = readings
        self._metrics = metrics
        self._alarms = alarms
        self._health = health
        self._events = events
        self._attachments = attachments

    def router(self) -> APIRouter:
        router = APIRouter()
        add = router.add_api_route
        add("/v1/pair", self.pair, methods=["POST"], responses=responses(422, 429), summary="Code to token")
        add("/v1/items", self.items, methods=["GET"], responses=responses(503), summary="Service items")
        add("/v1/items/{code}", self.item, methods=["GET"], responses=responses(404, 503), summary="One service item")
        add("/v1/transactions", self.submit, methods=["POST"], status_code=201,
            responses={200: {"model": TransactionState, "description": "Said before; stored once"},
                       **responses(409, 413, 422, 503)},
            summary="Submit a transaction; answered once it is on disk")
        add("/v1/transactions/{id}", self.transaction, methods=["GET"], responses=responses(404), summary="Its state")
        add("/v1/state", self.state, methods=["GET"], responses=responses(), summary="Queue and line")
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
            attached = [self._attachments.find(one) for one in dict.fromkeys(submission.attachments)]
            draft = self._draft(submission, said, attached)
            await name(self._attachments, attached, submission.id)
            return await self._journal.submit(draft)
        except (DoorError, JournalStopped):
            # A repeat was checked and stored the first time; catalogue, readings and journal may have changed since.
            if repeat := await self._journal.repeat(submission.id, TRANSACTION, said):
                return repeat
            raise

    def _draft(self, submission: Submission, said: bytes, attached: Sequence[Attached | None]) -> Draft:
        """Raises DoorError."""
        if submission.id.startswith(OWN_IDS):
            raise DoorError(422, "not-acceptable", f"业务流水号不得以 {'、'.join(OWN_IDS)} 开头，请由柜面程序重新生成。")
        if submission.resident.id_number in submission.id.upper():  # of a shape that a Draft does not know for one, too
            raise BadDraft("caller id holds an ID number", HOLDS_ID_NUMBER)
        readings = [self._readings.find(one) for one in dict.fromkeys(submission.readings)]
        _check(self._known(submission.item, 422), submission, readings, attached)
        known, scans = [one for one in readings if one is not None], [one for one in attached if one is not None]
        return Draft(submission.id, TRANSACTION, _json(_said(submission) | _readings(known) | _scans(scans)),
                     simulated=any(one.simulated for one in known) or any(one.simulated for one in scans), said=said)

    async def transaction(self, id: str) -> TransactionState:  # noqa: A002 - the path's own word
        stored = await self._journal.find(id)
        if stored is None:
            raise DoorError(404, "no-transaction", "本机没有这笔业务，请核对业务流水号，或重新提交。")
        return await self._state(id, stored)

    async def state(self) -> MachineState:
        line, diagnosis, events = self._line.state, self._health.diagnosis, self._events()
        return MachineState(
            queued=self._journal.queued, oldest_queued_ms=await self._journal.oldest_queued_ms(),
            head=self._journal.head.position,
            acknowledged=self._journal.standing.position, catalogue=self._catalogue() is not None,
            events=EventsAnswer(queued=events.queued, stopped=events.stopped) if events else None,
            attachments=len(self._attachments.waiting()), certificate_ends_ms=self._health.certificate_ends_ms,
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


def _check(item: Item, submission: Submission, readings: Sequence[Reading[Any] | None],
           attached: Sequence[Attached | None]) -> None:
    """Everything that is wrong at once: the resident must not come a third time (一次性告知). Raises DoorError."""
    wrong = check(item, submission.channel, submission.documents)
    if submission.resident.id_number in submission.operator.upper():
        wrong.append("经办人处填写了居民的证件号码。请填写经办人姓名。")
    if None in readings:
        wrong.append("读卡记录不存在或已超过 10 分钟，请重新读卡。")
    if None in attached:
        wrong.append(GONE)
    for reading in readings:
        wrong += problems(submission.resident, reading) if reading is not None else []
    if wrong:
        raise DoorError(422, "not-acceptable", f"本笔未受理。{item.one_time_notice}", list(dict.fromkeys(wrong)))


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
    if submission.readings:
        said["readings"] = [{"id": str(one)} for one in dict.fromkeys(submission.readings)]
    if submission.attachments:
        said["attachments"] = [{"id": str(one)} for one in dict.fromkeys(submission.attachments)]
    if submission.details:
        said["details"] = submission.details
    return said


def _readings(readings: Sequence[Reading[Any]]) -> dict[str, Any]:
    """Where they came from, in the place of what was said of them."""
    return {"readings": [bound(one) for one in readings]} if readings else {}


def _scans(attached: Sequence[Attached]) -> dict[str, Any]:
    """With what opens them; only in the sealed body."""
    return {"attachments": [one.body() for one in attached]} if attached else {}


def _item(item: Item) -> ServiceItem:
    return ServiceItem(
        code=item.code, group=item.group, name=item.name, description=item.description, channels=list(item.channels),
        applicants=item.applicants, documents=[list(entry) for entry in item.documents],
        working_days=item.working_days, one_time_notice=item.one_time_notice,
    )
