"""The API under /api/v1, health and metrics."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from incident_engine import __version__
from incident_engine.clock import Clock
from incident_engine.configuration.settings import Settings
from incident_engine.engine import Engine, Receipt
from incident_engine.errors import InvalidDocumentError, MalformedBodyError, OverloadedError
from incident_engine.facts.events import Event
from incident_engine.facts.fields import Instant, Region
from incident_engine.facts.hypothesis import Hypothesis
from incident_engine.grading.recurring import recurrence_document
from incident_engine.intake import alertmanager, native
from incident_engine.links import Links
from incident_engine.store import records
from incident_engine.store.database import Database
from incident_engine.store.writer import Unit, Writer
from incident_engine.telemetry import EventOutcome, Metrics
from incident_engine.web import docs, problems, reports
from incident_engine.web.bodies import read_body
from incident_engine.web.deeds import Deeds
from incident_engine.web.guard import Guard
from incident_engine.web.parameters import refuse_unknown
from incident_engine.web.views import incident_view, list_view, quarantine_view, timeline_view, what_if_view


@dataclass(frozen=True, slots=True)
class Parts:
    """What the API works with."""

    settings: Settings
    database: Database
    writer: Writer
    engine: Engine
    metrics: Metrics
    clock: Clock
    keys: Sequence[str]
    links: Links
    unready: Callable[[], list[str]]
    """What keeps the daemon from being ready; empty when it is."""


class State(StrEnum):
    """Which incidents to list."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
At = Annotated[Instant | None, Query(description="ISO 8601 with its offset.")]
AddRegions = Annotated[Sequence[Region], Query(description="By ISO 3166-2, adcode or name; may be repeated.")]
IncidentId = Annotated[str, Path(description="The incident's id.")]


def create_app(parts: Parts) -> FastAPI:
    """Return the application."""
    app = FastAPI(title="incident-engine", version=__version__, docs_url=None, redoc_url=None)
    problems.install(app, parts.metrics)
    docs.install(app, needs_key=bool(parts.keys))
    intake = Intake(parts)
    app.add_route("/api/v1/events", intake.events, methods=["POST"])
    app.add_route("/api/v1/alertmanager", intake.notification, methods=["POST"])
    _add_looks(app, parts)
    reports.install(app, parts.database, parts.engine, parts.settings, parts.clock)
    _add_health(app, parts)
    Deeds(parts.settings, parts.database, parts.writer, parts.engine, parts.clock, parts.links).install(app)
    app.add_middleware(Guard, keys=parts.keys)
    return app


def _add_looks(app: FastAPI, parts: Parts) -> None:
    zone = parts.settings.bank.zone

    @app.get(
        "/api/v1/incidents",
        tags=["incidents"],
        summary="列出事件，未关闭且最严重的在前 · List incidents, the worst open ones first",
    )
    def incidents(state: State = State.ALL, limit: Limit = 100, offset: Offset = 0) -> JSONResponse:
        closed = {State.OPEN: False, State.CLOSED: True, State.ALL: None}[state]
        with parts.database.read() as connection:
            return JSONResponse(list_view(connection, zone, closed, limit, offset))

    @app.get("/api/v1/incidents/{incident_id}", tags=["incidents"], summary="一个事件的全部情况 · One incident, whole")
    def incident(incident_id: IncidentId) -> JSONResponse:
        with parts.database.read() as connection:
            found = incident_view(connection, parts.engine, incident_id, parts.clock.now(), zone)
        return _found(found, incident_id)

    @app.get(
        "/api/v1/incidents/{incident_id}/timeline",
        tags=["incidents"],
        summary="按时间顺序的经过 · What happened, in order",
    )
    def timeline(incident_id: IncidentId) -> JSONResponse:
        with parts.database.read() as connection:
            found = timeline_view(connection, parts.engine, incident_id, parts.clock.now(), zone)
        return _found(found, incident_id)

    @app.get(
        "/api/v1/incidents/{incident_id}/what-if",
        tags=["incidents"],
        summary="假设恢复时间或波及更多地区，级别将如何变化 · The course of the level under a hypothesis",
    )
    def what_if(
        request: Request, incident_id: IncidentId, restored_at: At = None, add_region: AddRegions = (), since: At = None
    ) -> JSONResponse:
        refuse_unknown(request, ("restored_at", "add_region", "since"), repeated=("add_region",))
        hypothesis = Hypothesis(restored_at, tuple(add_region), since)
        with parts.database.read() as connection:
            found = what_if_view(connection, parts.engine, incident_id, hypothesis, parts.clock.now(), zone)
        return _found(found, incident_id)

    @app.get(
        "/api/v1/recurring",
        tags=["incidents"],
        summary="同一根因、合并后达到级别的事件 · Incidents with one root cause that only together reach a level",
    )
    def recurring() -> JSONResponse:
        with parts.database.read() as connection:
            found = parts.engine.recurring(connection, parts.clock.now())
        return JSONResponse({"recurring": [recurrence_document(each, zone) for each in found]})

    @app.get("/api/v1/quarantine", tags=["intake"], summary="无法识别的告警 · Alerts that could not be mapped")
    def quarantine(limit: Limit = 100, offset: Offset = 0) -> JSONResponse:
        with parts.database.read() as connection:
            return JSONResponse(quarantine_view(connection, zone, limit, offset))


def _found(document: dict[str, Any] | None, incident_id: str) -> JSONResponse:
    if document is None:
        raise HTTPException(404, f"there is no incident '{incident_id}'; GET /api/v1/incidents lists them")
    return JSONResponse(document)


def _add_health(app: FastAPI, parts: Parts) -> None:
    @app.get("/healthz", tags=["health"], summary="进程是否应答 · Whether the process answers")
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok", "version": __version__})

    @app.get("/readyz", tags=["health"], summary="各部分是否正常 · Whether every part works")
    async def readyz() -> JSONResponse:
        reasons = await asyncio.to_thread(parts.unready)
        return JSONResponse({"status": "unready" if reasons else "ready", "reasons": reasons}, 503 if reasons else 200)

    @app.get("/metrics", tags=["health"], summary="供 Prometheus 抓取的指标 · Metrics for Prometheus")
    def metrics() -> Response:
        return Response(generate_latest(parts.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    for path, endpoint in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", metrics)):
        app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("docs")


class Intake:
    """The routes on the hot path: they read raw bodies."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._services = parts.settings.service_names

    async def events(self, request: Request) -> Response:
        """Take one event or an array in the native format: all are stored, or none."""
        settings, now = self._parts.settings, self._parts.clock.now()
        try:
            document = native.parse_json(await read_body(request, settings.server.max_body_bytes))
            parsed = native.parse_document(document, self._services, now + settings.intake.max_clock_skew)
            receipts = await self._report(parsed, document)
        except (InvalidDocumentError, MalformedBodyError):
            self._parts.metrics.count_event("unknown", EventOutcome.INVALID)
            raise
        return JSONResponse({"events": [_receipt(receipt) for receipt in receipts]}, 202)

    async def notification(self, request: Request) -> Response:
        """Take a notification of Alertmanager; what cannot be mapped waits in quarantine and blocks nothing."""
        settings = self._parts.settings
        now = self._parts.clock.now()
        try:
            found = alertmanager.parse_notification(
                native.parse_json(await read_body(request, settings.server.max_body_bytes))
            )
        except (InvalidDocumentError, MalformedBodyError):
            self._parts.metrics.count_event(alertmanager.SOURCE, EventOutcome.INVALID)
            raise
        events, odd = alertmanager.map_alerts(
            found, settings.alertmanager, self._services, now, settings.intake.max_clock_skew
        )
        receipts = await self._submit(lambda unit: self._take(unit, events, odd), alertmanager.SOURCE)
        answer = {
            "events": [_receipt(receipt) for receipt in receipts],
            "quarantined": [{"key": alert.key, "reason": alert.reason, "detail": alert.detail} for alert in odd],
        }
        return JSONResponse(answer, 202)

    def _take(self, unit: Unit, events: Sequence[Event], odd: Sequence[alertmanager.Quarantined]) -> list[Receipt]:
        now = self._parts.clock.now()
        for alert in odd:
            records.put_in_quarantine(
                unit.connection, alertmanager.SOURCE, alert.key, alert.reason, alert.detail, dict(alert.document), now
            )
        released = [event.id.removesuffix(alertmanager.RESOLVED) for event in events]
        records.release_from_quarantine(unit.connection, alertmanager.SOURCE, released)
        receipts = self._parts.engine.report(unit, events, now)
        unit.after_commit.append(lambda: self._count_quarantined(len(odd)))
        return receipts

    def _count_quarantined(self, count: int) -> None:
        for _ in range(count):
            self._parts.metrics.count_event(alertmanager.SOURCE, EventOutcome.QUARANTINED)

    async def _report(self, parsed: native.Parsed, document: object) -> list[Receipt]:
        """Report what could be parsed even if something could not: the answer names everything that is wrong."""
        engine, clock = self._parts.engine, self._parts.clock
        try:
            return await self._submit(
                lambda unit: engine.report(unit, parsed.events, clock.now(), parsed.problems), "unknown"
            )
        except InvalidDocumentError as error:
            raise InvalidDocumentError(native.located(error.problems, document)) from None

    async def _submit(self, work: Callable[[Unit], list[Receipt]], source: str) -> list[Receipt]:
        try:
            return await asyncio.wrap_future(self._parts.writer.submit(work))
        except OverloadedError:
            self._parts.metrics.count_event(source, EventOutcome.OVERLOADED)
            raise


def _receipt(receipt: Receipt) -> dict[str, str | None]:
    return {
        "source": receipt.source,
        "id": receipt.id,
        "status": receipt.outcome.value,
        "incident": receipt.incident,
    }
