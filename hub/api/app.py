"""The reading API's routes. Blocking work goes to threads; every route but /healthz needs a scope."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from fastapi import Depends, FastAPI, Query, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CollectorRegistry, generate_latest

from hub.api.errors import ApiError, ErrorBody, add_handlers
from hub.api.messages import (
    AttentionAnswer,
    DeviceEvent,
    DeviceEventPage,
    EdgeAnswer,
    FeedPage,
    LedgerPage,
    RecordAnswer,
    SiteAnswer,
)
from hub.api.metrics import HubMetrics
from hub.api.questions import Questions
from hub.api.tokens import Scope, scopes_of, token_id
from hub.attention.alarms import Alarms
from hub.attention.approvals import Approvals
from hub.enrolment.newest import newest_certificates
from hub.enrolment.open_streams import Presence
from hub.ledger.reader import LedgerReader
from hub.projection.projector import NAME as PROJECTION
from hub.projection.tables import cursors
from hub.transactions.site_ledger import LedgerQuery
from security.clock import Clock

PAGE_MAX = 1_000
WAIT_MAX_S = 30
WAIT_STEP_S = 0.25

_BEARER = HTTPBearer(auto_error=False)

After = Annotated[int, Query(ge=0, le=2**63 - 1, description="The cursor behind which to begin; 0 = the beginning.")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
_ERRORS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorBody} for code in (401, 403, 404, 422, 500, 503)}


def build_app(engine: sa.Engine, database: Path, clock: Clock, registry: CollectorRegistry,
              metrics: HubMetrics, stopping: asyncio.Event, alarms: Alarms, approvals: Approvals,
              presence: Callable[[], Presence]) -> FastAPI:
    """An ASGI application over one hub's database; once `stopping` is set, nobody waits for news any longer. `presence` is asked
    in the loop."""
    app = FastAPI(title="Suozhan hub reading API", version="1", docs_url=None, redoc_url=None, responses=_ERRORS)
    add_handlers(app)
    questions = Questions(engine, database, alarms, approvals)

    def needs(scope: Scope) -> Any:
        return Depends(guard(engine, clock, scope))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/feed", dependencies=[needs(Scope.FEED)])
    async def feed(after: After = 0, limit: Limit = 100,
                   wait_s: Annotated[float, Query(ge=0, le=WAIT_MAX_S)] = 0) -> FeedPage:
        """Every entry of the ledger once and in order; with `wait_s` the answer waits for news."""
        page = await asyncio.to_thread(questions.feed, after, limit)
        while not page.entries and wait_s > 0 and not stopping.is_set():
            await asyncio.sleep(WAIT_STEP_S)
            wait_s -= WAIT_STEP_S
            page = await asyncio.to_thread(questions.feed, after, limit)
        return page

    @app.get("/v1/records/{journal}/{position}", dependencies=[needs(Scope.RECORDS)])
    async def record(journal: UUID, position: int) -> RecordAnswer:
        """One record: what it says in clear, and its envelope."""
        answer = await asyncio.to_thread(questions.record, journal, position)
        if answer is None:
            raise ApiError(404, "no-record", "the ledger holds no such record; the feed lists what it holds")
        return answer

    @app.get("/v1/sites", dependencies=[needs(Scope.LEDGER)])
    async def sites() -> list[SiteAnswer]:
        """Offices and stations."""
        return await asyncio.to_thread(questions.sites)

    @app.get("/v1/sites/{code}/ledger", dependencies=[needs(Scope.LEDGER)])
    async def site_ledger(
        code: str, first: Annotated[date | None, Query(alias="from")] = None,
        last: Annotated[date | None, Query(alias="to")] = None, item: str | None = None, operator: str | None = None,
        after: After = 0, limit: Limit = 100,
    ) -> LedgerPage:
        """The site's electronic ledger (台账), with totals by day, item and operator. Names and numbers are masked."""
        if code not in {site.code for site in await asyncio.to_thread(questions.sites)}:
            raise ApiError(404, "no-site", "there is no such site; GET /v1/sites lists them")
        query = LedgerQuery(code, first.isoformat() if first else None, last.isoformat() if last else None, item,
                            operator)
        return await asyncio.to_thread(questions.site_ledger, query, after, limit)

    @app.get("/v1/edges", dependencies=[needs(Scope.EDGES)])
    async def edges() -> list[EdgeAnswer]:
        """Machines: what is wrong with each as a whole, how far behind their journals are, what they say of their resources."""
        return await asyncio.to_thread(questions.edges, clock.unix_ms(), presence())

    @app.get("/v1/edges/{edge}/devices", dependencies=[needs(Scope.EDGES)])
    async def devices(edge: UUID) -> list[DeviceEvent]:
        """What a machine told last of each of its devices: state, and who can mend what is wrong."""
        if not await asyncio.to_thread(questions.is_enrolled, edge):
            raise ApiError(404, "no-machine", "no such machine is enrolled; GET /v1/edges lists them")
        return await asyncio.to_thread(questions.devices, edge)

    @app.get("/v1/device-events", dependencies=[needs(Scope.EDGES)])
    async def device_events(edge: UUID | None = None, after: After = 0, limit: Limit = 100) -> DeviceEventPage:
        """Devices attached, detached, replaced, failed and recovered, in the ledger's order."""
        return await asyncio.to_thread(questions.device_events, edge, after, limit)

    @app.get("/v1/attention", dependencies=[needs(Scope.ALARMS)])
    async def attention() -> AttentionAnswer:
        """Open alarms, and requests that wait for a decision."""
        return await asyncio.to_thread(questions.attention)

    @app.get("/metrics", dependencies=[needs(Scope.METRICS)], response_class=Response)
    async def prometheus() -> Response:
        await asyncio.to_thread(_refresh, engine, database, metrics, alarms)
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    return app


def guard(engine: sa.Engine, clock: Clock, scope: Scope) -> Callable[..., Awaitable[str]]:
    """A dependency of routes: the id of the token, which has that scope."""
    async def check(credentials: HTTPAuthorizationCredentials | None = Depends(_BEARER)) -> str:  # noqa: B008
        token = credentials.credentials if credentials else ""
        scopes = await asyncio.to_thread(scopes_of, engine, token, clock.unix_ms())
        if scopes is None:
            raise ApiError(401, "no-token", "a valid bearer token is needed; make one with: suozhan-hub token create")
        if scope not in scopes:
            raise ApiError(403, "scope-missing", f"this token lacks the scope {scope.value}; make one that has it")
        return token_id(token)

    return check


def _refresh(engine: sa.Engine, database: Path, metrics: HubMetrics, alarms: Alarms) -> None:
    with engine.connect() as connection:
        projected = connection.execute(sa.select(cursors.c.cursor).where(cursors.c.name == PROJECTION)).scalar_one_or_none() or 0
    metrics.refresh_certificates(newest_certificates(engine))
    with LedgerReader(database) as ledger:
        metrics.refresh(ledger.size(), projected, ledger.journals(), [one.kind for one in alarms.open_alarms()])
