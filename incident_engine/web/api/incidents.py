"""Incidents, what-if and recurring incidents."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from starlette.responses import JSONResponse

from incident_engine.domain.events.fields import Instant, Regions
from incident_engine.domain.grading.recurring import recurrence_document
from incident_engine.domain.incidents.what_if import WhatIf
from incident_engine.web.api.incident_views import (
    incident_view,
    list_view,
    timeline_view,
    what_if_view,
)
from incident_engine.web.context import AppContext
from incident_engine.web.problems import NoIncidentError


class State(StrEnum):
    """The state of the incidents to list."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
At = Annotated[Instant | None, Query(description="ISO 8601 with its offset.")]
AddRegions = Annotated[
    Regions, Query(description="By ISO 3166-2, adcode, or name of a province or city; may be repeated.")
]
IncidentId = Annotated[str, Path(description="The incident's id.")]


def install(app: FastAPI, context: AppContext) -> None:
    """Add the routes that read incidents."""
    zone = context.settings.bank.zone

    @app.get(
        "/api/v1/incidents",
        tags=["incidents"],
        summary="列出事件，未关闭且最严重的在前 · List incidents, the worst open ones first",
    )
    def incidents(state: State = State.ALL, limit: Limit = 100, offset: Offset = 0) -> JSONResponse:
        closed = {State.OPEN: False, State.CLOSED: True, State.ALL: None}[state]
        with context.database.read() as connection:
            return JSONResponse(list_view(connection, zone, closed, limit, offset))

    @app.get("/api/v1/incidents/{incident_id}", tags=["incidents"], summary="一个事件的全部情况 · One incident, whole")
    def incident(incident_id: IncidentId) -> JSONResponse:
        with context.database.read() as connection:
            view = incident_view(connection, context.reader, incident_id, context.clock.now(), zone)
        return _response(view, incident_id)

    @app.get(
        "/api/v1/incidents/{incident_id}/timeline",
        tags=["incidents"],
        summary="按时间顺序的经过 · What happened, in order",
    )
    def timeline(incident_id: IncidentId) -> JSONResponse:
        with context.database.read() as connection:
            names = context.settings.service_names
            view = timeline_view(connection, context.reader, incident_id, context.clock.now(), zone, names)
        return _response(view, incident_id)

    @app.get(
        "/api/v1/incidents/{incident_id}/what-if",
        tags=["incidents"],
        summary="假设恢复时间或波及更多地区，级别将如何变化 · The level if service is restored or more regions fail",
    )
    def what_if(
        incident_id: IncidentId, restored_at: At = None, add_region: AddRegions = (), since: At = None
    ) -> JSONResponse:
        question = WhatIf(restored_at, tuple(add_region), since)
        with context.database.read() as connection:
            view = what_if_view(connection, context.reader, incident_id, question, context.clock.now(), zone)
        return _response(view, incident_id)

    @app.get(
        "/api/v1/recurring",
        tags=["incidents"],
        summary="同一根因、合并后达到级别的事件 · Incidents with one root cause that only together reach a level",
    )
    def recurring() -> JSONResponse:
        with context.database.read() as connection:
            recurrences = context.reader.recurring(connection, context.clock.now())
        return JSONResponse({"recurring": [recurrence_document(recurrence, zone) for recurrence in recurrences]})


def _response(view: dict[str, Any] | None, incident_id: str) -> JSONResponse:
    if view is None:
        raise NoIncidentError(incident_id)
    return JSONResponse(view)
