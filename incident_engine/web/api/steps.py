"""Actions on steps by the API: acknowledge, approve, complete, skip, assign, add."""

import asyncio
import hashlib
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Path
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.validation import nearest
from incident_engine.domain.step_id import StepId
from incident_engine.store import steps
from incident_engine.store.archive import archived
from incident_engine.web.action_events import ActionEvents
from incident_engine.web.context import AppContext
from incident_engine.web.problems import NoIncidentError
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


class StepActions:
    """Takes people's actions from the API."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._events = ActionEvents(context.engine, context.writer, context.clock)

    async def act(self, request: Request, step_id: StepIdPath, action: StepAction, key: Key = None) -> Response:
        """Take a person's action on a step. The body is the `data` of the event `step.…`, such as `{"by": "王敏"}`."""
        incident_id = await asyncio.to_thread(self._incident_of, step_id)
        body = await read_object(request, self._context.settings.server.max_body_bytes)
        if "step" in body and body["step"] != step_id:
            raise InvalidDocumentError([Problem(("step",), "is another step than the address names", "no step here")])
        return await self._take(action, incident_id, body | {"step": step_id}, key, step_id)

    async def add(self, request: Request, incident_id: IncidentId, key: Key = None) -> Response:
        """Add a step of a playbook before its time (`step`) or a task (`title`); `by` and `reason` go on record."""
        body = await read_object(request, self._context.settings.server.max_body_bytes)
        return await self._take("add", incident_id, body, key, None)

    async def _take(
        self, action: str, incident_id: str, data: Mapping[str, Any], key: str | None, step_id: str | None
    ) -> Response:
        # The key holds for one address: the same one for another step or action is another key.
        name = key and hashlib.sha256(f"{key}\0{action}\0{incident_id}\0{step_id}".encode()).hexdigest()[:32]
        event = self._events.event("api", name or uuid.uuid4().hex, action, incident_id, data)
        receipt = await self._events.report(event)
        status = {"incident": receipt.incident, "event": {"source": receipt.source, "id": receipt.id}}
        return JSONResponse(status | {"status": receipt.outcome.value}, 202)

    def _incident_of(self, step_id: str) -> str:
        with self._context.database.read() as connection:
            case_id = steps.case_of_step(connection, step_id)
            if case_id is not None:
                return case_id
            parsed = StepId.parse(step_id)
            incident_id = parsed.case_id if parsed is not None else step_id.partition(":")[0]
            near = nearest(step_id, steps.step_ids(connection, incident_id))
            is_archived = archived(connection, incident_id) is not None
        if is_archived:
            raise NoIncidentError(incident_id)
        hint = f"; did you mean '{near}'?" if near else ""
        raise HTTPException(404, f"there is no step '{step_id}'{hint}; GET /api/v1/incidents/{{id}} lists them")
