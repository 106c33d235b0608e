"""Actions of people by the API: acknowledge, approve, complete, skip, assign and add steps, close incidents."""

import asyncio
import hashlib
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Path
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.domain.events.actions import StepAdded
from incident_engine.domain.events.effect import sentences
from incident_engine.domain.events.types import API
from incident_engine.engine.addition_preview import addition_texts
from incident_engine.store import cases
from incident_engine.web.action_events import ActionEvents
from incident_engine.web.api.step_address import incident_of_step
from incident_engine.web.context import AppContext
from incident_engine.web.problems import NoIncidentError, problem_entry, problem_response
from incident_engine.web.request import read_object

StepAction = Literal["acknowledge", "approve", "complete", "skip", "assign"]
StepIdPath = Annotated[str, Path(description="The step's id, as messages and GET /api/v1/incidents/{id} name it.")]
IncidentId = Annotated[str, Path(description="The incident's id.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        description="The same request with the same key again changes nothing; with another body it is refused (409).",
    ),
]


def install(app: FastAPI, context: AppContext) -> None:
    """Add the routes."""
    actions = StepActions(context)
    app.add_api_route(
        "/api/v1/steps/{step_id}/{action}",
        actions.act,
        methods=["POST"],
        tags=["steps"],
        status_code=202,
        summary="确认、批准、完成、略过或移交一个步骤 · Acknowledge, approve, complete, skip or assign a step",
    )
    app.add_api_route(
        "/api/v1/incidents/{incident_id}/steps",
        actions.add,
        methods=["POST"],
        tags=["steps"],
        status_code=202,
        summary="增加步骤或任务 · Add a step of a playbook, or a task",
    )
    app.add_api_route(
        "/api/v1/incidents/{incident_id}/close",
        actions.close,
        methods=["POST"],
        tags=["incidents"],
        status_code=202,
        summary="关闭事件，逾期义务逐项说明理由 · Close an incident, with a reason for each overdue obligation",
    )


class StepActions:
    """Takes people's actions from the API."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._events = ActionEvents(context.engine, context.writer, context.clock)

    async def act(self, request: Request, step_id: StepIdPath, action: StepAction, key: Key = None) -> Response:
        """Take a person's action on a step. The body is the `data` of the event `step.…`, such as `{"by": "王敏"}`."""
        incident_id = await asyncio.to_thread(incident_of_step, self._context.database, step_id)
        body = await read_object(request, self._context.settings.server.max_body_bytes)
        if "step" in body and body["step"] != step_id:
            raise InvalidDocumentError([Problem(("step",), "is another step than the address names", "no step here")])
        return await self._take(action, incident_id, body | {"step": step_id}, key, step_id)

    async def add(self, request: Request, incident_id: IncidentId, key: Key = None) -> Response:
        """Add a step of a playbook before its time (`step`) or a task (`title`); `by` and `reason` go on record.

        Answers 409 with the words that would go outside the bank, or a due time that is past, until `confirm` is true.
        """
        await asyncio.to_thread(self._require_incident, incident_id)
        body = await read_object(request, self._context.settings.server.max_body_bytes)
        try:
            return await self._take("add", incident_id, body, key, None)
        except InvalidDocumentError as error:
            if any(problem.path != ("confirm",) for problem in error.problems):
                raise
            texts = await asyncio.to_thread(self._texts, incident_id, body)
            detail = 'nothing was stored; read this, and send it again with "confirm": true'
            errors = [problem_entry(problem) for problem in error.problems]
            return problem_response(409, "To be confirmed", detail, errors=errors, texts=texts)

    def _texts(self, incident_id: str, data: Mapping[str, Any]) -> list[dict[str, str]]:
        """Return the words that would go out, by audience and language."""
        event = self._events.event("api", "preview", "add", incident_id, data)
        assert isinstance(event, StepAdded)  # noqa: S101 - the type of this action
        context = self._context
        with context.database.read() as connection:
            return addition_texts(connection, context.settings, context.reader, event, context.clock.now())

    async def close(self, request: Request, incident_id: IncidentId, key: Key = None) -> Response:
        """Close an incident. The body is the `data` of the event `incident.closed`, such as `{"by": "陈总"}`."""
        await asyncio.to_thread(self._require_incident, incident_id)
        body = await read_object(request, self._context.settings.server.max_body_bytes)
        return await self._take("close", incident_id, body, key, None)

    async def _take(
        self, action: str, incident_id: str, data: Mapping[str, Any], key: str | None, step_id: str | None
    ) -> Response:
        # The key holds for one address: the same one for another step or action is another key.
        name = key and hashlib.sha256(f"{key}\0{action}\0{incident_id}\0{step_id}".encode()).hexdigest()[:32]
        event = self._events.event(API, name or uuid.uuid4().hex, action, incident_id, data)
        receipt = await self._events.report(event)
        status: dict[str, Any] = {"incident": receipt.incident, "event": {"source": receipt.source, "id": receipt.id}}
        settings = self._context.settings
        detail = sentences(receipt.effect, settings.bank.zone, settings.service_names)
        status |= {"status": receipt.outcome.value, "effect": receipt.effect.effect.value, "detail": detail}
        return JSONResponse(status, 202)

    def _require_incident(self, incident_id: str) -> None:
        """Raise NoIncidentError if the address names no incident, as the routes that read it do."""
        with self._context.database.read() as connection:
            if cases.case_row(connection, incident_id) is None:
                raise NoIncidentError(incident_id)
