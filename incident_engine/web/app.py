"""The API under /api/v1, health and metrics."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from incident_engine import __version__
from incident_engine.common.clock import Clock
from incident_engine.common.signed_links import Links
from incident_engine.common.telemetry import Metrics
from incident_engine.config.settings import Settings
from incident_engine.domain.events.fields import Instant, Region
from incident_engine.domain.grading.recurring import recurrence_document
from incident_engine.domain.incidents.what_if import Hypothesis
from incident_engine.engine.service import Engine
from incident_engine.intake.alertmanager import AlertMapper
from incident_engine.store.database import Database
from incident_engine.store.writer import Writer
from incident_engine.web import openapi as docs
from incident_engine.web import problems
from incident_engine.web.api import archive, reports
from incident_engine.web.api.archive import NoIncidentError
from incident_engine.web.api.events import HotPath, Intake
from incident_engine.web.api.incident_views import (
    incident_view,
    list_view,
    quarantine_view,
    timeline_view,
    what_if_view,
)
from incident_engine.web.api.steps import Deeds
from incident_engine.web.auth import Guard
from incident_engine.web.parameters import refuse_unknown


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
    warnings: Callable[[], list[str]] = list
    """What is wrong and does not keep it from being ready."""


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


def create_app(parts: Parts) -> ASGIApp:
    """Return the application: what monitors report is answered before FastAPI's own layers, all behind the guard."""
    app = FastAPI(title="incident-engine", version=__version__, docs_url=None, redoc_url=None)
    problems.install(app, parts.metrics)
    archive.install(app, parts.database, parts.settings.bank.zone)
    docs.install(app, needs_key=bool(parts.keys))
    mapper = AlertMapper(parts.settings.alertmanager, parts.settings.service_names)
    intake = Intake(parts.settings, parts.writer, parts.engine, parts.metrics, parts.clock, mapper)
    for path, answer in intake.routes.items():  # what is not a POST is refused here
        app.add_route(path, answer, methods=["POST"])
    _add_looks(app, parts)
    reports.install(app, parts.database, parts.engine, parts.settings, parts.clock)
    _add_health(app, parts)
    Deeds(parts.settings, parts.database, parts.writer, parts.engine, parts.clock, parts.links).install(app)
    return Guard(HotPath(app, intake), parts.keys)


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
        raise NoIncidentError(incident_id)
    return JSONResponse(document)


def _add_health(app: FastAPI, parts: Parts) -> None:
    @app.get("/healthz", tags=["health"], summary="进程是否应答 · Whether the process answers")
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok", "version": __version__})

    @app.get("/readyz", tags=["health"], summary="各部分是否正常 · Whether every part works")
    async def readyz() -> JSONResponse:
        reasons = await asyncio.to_thread(parts.unready)
        status = "unready" if reasons else "ready"
        answer = {"status": status, "reasons": reasons, "warnings": parts.warnings()}
        return JSONResponse(answer, 503 if reasons else 200)

    @app.get("/metrics", tags=["health"], summary="供 Prometheus 抓取的指标 · Metrics for Prometheus")
    def metrics() -> Response:
        return Response(generate_latest(parts.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    for path, endpoint in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", metrics)):
        app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("docs")
