"""The quarantine: reports that could not become events, and people's answers to them."""

import asyncio
from enum import StrEnum
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from incident_engine.common.validation import nearest
from incident_engine.engine.quarantine import AlreadyAnsweredError, Answer, NotInQuarantineError, Quarantine
from incident_engine.engine.receipts import Receipt
from incident_engine.intake.base import IntakeContext, Overrides
from incident_engine.store.quarantine import QuarantineState, waiting_keys
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.web.api.events import receipt_views
from incident_engine.web.api.incident_views import quarantine_view
from incident_engine.web.api.quarantine_answer import QuarantineAnswer, validated_answer
from incident_engine.web.context import AppContext
from incident_engine.web.parameters import refuse_unknown
from incident_engine.web.request import read_object

Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]
Source = Annotated[str, Path(description="The report's source, such as alertmanager.")]
Key = Annotated[str, Path(description="The report's key, as GET /api/v1/quarantine lists it. It may contain slashes.")]
_KEYS_TO_COMPARE = 500
"""The most waiting keys among which the nearest to an unknown one is looked for."""


class State(StrEnum):
    """The state of the reports to list."""

    WAITING = "waiting"
    MAPPED = "mapped"
    DISMISSED = "dismissed"
    ALL = "all"


def install(app: FastAPI, context: AppContext, quarantine: Quarantine) -> None:
    """Add the routes."""
    zone = context.settings.bank.zone

    @app.get("/api/v1/quarantine", tags=["intake"], summary="无法识别的告警 · Alerts that could not be mapped")
    def listed(request: Request, state: State = State.WAITING, limit: Limit = 100, offset: Offset = 0) -> JSONResponse:
        refuse_unknown(request, ("state", "limit", "offset"))
        chosen = None if state is State.ALL else state.value
        with context.database.read() as connection:
            return JSONResponse(quarantine_view(connection, zone, chosen, limit, offset))

    @app.post(
        "/api/v1/quarantine/{source}/{key:path}",
        tags=["intake"],
        status_code=202,
        summary="归入或搁置隔离区中的一条告警 · Map or dismiss a quarantined report",
    )
    async def answer(request: Request, source: Source, key: Key) -> Response:
        """Map a report (`service` and `regions`: its events have its own times), or dismiss it (`reason`)."""
        body = await read_object(request, context.settings.server.max_body_bytes)
        decision = validated_answer(body, context.settings)
        try:
            return await _answered(context, quarantine, source, key, decision)
        except NotInQuarantineError as error:
            near = await asyncio.to_thread(_nearest_key, context, source, key)
            hint = f"; did you mean '{near}'?" if near else ""
            raise HTTPException(404, f"{error}{hint}; GET /api/v1/quarantine lists the reports") from None
        except AlreadyAnsweredError as error:
            raise HTTPException(409, str(error)) from None


async def _answered(
    context: AppContext, quarantine: Quarantine, source: str, key: str, decision: QuarantineAnswer
) -> Response:
    on_record = Answer(decision.by, decision.reason)
    overrides = Overrides(decision.service, decision.regions)

    def work(unit: UnitOfWork) -> list[Receipt]:
        moment = IntakeContext(context.clock.now(), context.settings.intake.max_clock_skew)
        if decision.is_mapping:
            return quarantine.map(unit, source, key, overrides, on_record, moment)
        quarantine.dismiss(unit, source, key, on_record, moment)
        return []

    receipts = await context.writer.do(work)
    document: dict[str, Any] = {"source": source, "key": key}
    if not decision.is_mapping:
        return JSONResponse(document | {"state": QuarantineState.DISMISSED.value, "events": []}, 202)
    events = receipt_views(receipts, context.settings)
    labels = dict(quarantine.labels_for(source, overrides))
    return JSONResponse(document | {"state": QuarantineState.MAPPED.value, "events": events, "labels": labels}, 202)


def _nearest_key(context: AppContext, source: str, key: str) -> str:
    with context.database.read() as connection:
        return nearest(key, waiting_keys(connection, source, _KEYS_TO_COMPARE))
