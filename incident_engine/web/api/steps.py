"""What people do with steps over HTTP: by the API with a key, or by the signed link in their message."""

import asyncio
import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

from fastapi import FastAPI, Header, Path
from jinja2 import Environment, FileSystemLoader, select_autoescape
from markupsafe import Markup
from pydantic import ValidationError
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from incident_engine.common.clock import Clock
from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.markdown import as_html
from incident_engine.common.signed_links import Link, LinkAction, Links, WrongLinkError
from incident_engine.common.telemetry import EventOutcome
from incident_engine.common.validation import nearest, problems_of
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import EVENT, Event
from incident_engine.domain.events.types import EventType
from incident_engine.domain.response.step import Step, StepState
from incident_engine.engine.service import Engine, Receipt
from incident_engine.intake.native import parse_json
from incident_engine.store import steps
from incident_engine.store.archive import archived
from incident_engine.store.database import Database
from incident_engine.store.writer import Unit, Writer
from incident_engine.web.api.archive import NoIncidentError
from incident_engine.web.request import read_body

Deed = Literal["acknowledge", "approve", "complete", "skip", "assign"]
_TYPES: Mapping[str, EventType] = {
    "acknowledge": EventType.STEP_ACKNOWLEDGED,
    "approve": EventType.STEP_APPROVED,
    "complete": EventType.STEP_COMPLETED,
    "skip": EventType.STEP_SKIPPED,
    "assign": EventType.STEP_ASSIGNED,
    "add": EventType.STEP_ADDED,
}
_PAGES = Environment(
    loader=FileSystemLoader(FilePath(__file__).parents[1] / "templates"),
    autoescape=select_autoescape(default=True),
    trim_blocks=True,
    lstrip_blocks=True,
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
}
PREFIX = "/do/"
"""Where the links in messages lead. They carry a signature of their own, and need no key."""

StepId = Annotated[str, Path(description="The step's id, as messages and GET /api/v1/incidents/{id} name it.")]
IncidentId = Annotated[str, Path(description="The incident's id.")]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", max_length=200, description="The same key again changes nothing."),
]


class Deeds:
    """Turns what people do into events."""

    def __init__(
        self, settings: Settings, database: Database, writer: Writer, engine: Engine, clock: Clock, links: Links
    ) -> None:
        self._settings = settings
        self._database = database
        self._writer = writer
        self._engine = engine
        self._clock = clock
        self._links = links

    def install(self, app: FastAPI) -> None:
        """Add the routes."""
        app.add_api_route(
            "/api/v1/steps/{step_id}/{deed}",
            self.do,
            methods=["POST"],
            tags=["steps"],
            status_code=202,
            summary="确认、批准、完成、略过或移交一个步骤 · Acknowledge, approve, complete, skip or hand over a step",
        )
        app.add_api_route(
            "/api/v1/incidents/{incident_id}/steps",
            self.add,
            methods=["POST"],
            tags=["steps"],
            status_code=202,
            summary="增加步骤或任务 · Add a step of a playbook, or a task",
        )
        app.add_api_route(PREFIX + "{token}", self.ask, methods=["GET"], include_in_schema=False)
        app.add_api_route(PREFIX + "{token}", self.answer, methods=["POST"], include_in_schema=False)

    async def do(self, request: Request, step_id: StepId, deed: Deed, key: Key = None) -> Response:
        """Take what a person did with a step: `by`, and what else the event's data has."""
        incident_id = await asyncio.to_thread(self._incident_of, step_id)
        given = await self._body(request)
        if "step" in given and given["step"] != step_id:
            raise InvalidDocumentError([Problem(("step",), "is another step than the address names", "no step here")])
        return await self._take(deed, incident_id, given | {"step": step_id}, key)

    async def add(self, request: Request, incident_id: IncidentId, key: Key = None) -> Response:
        """Add a step of a playbook before its time (`step`), or a task (`title`), `by` whom and for what `reason`."""
        return await self._take("add", incident_id, await self._body(request), key)

    async def _take(self, deed: str, incident_id: str, data: Mapping[str, Any], key: str | None) -> Response:
        name = key and hashlib.sha256(f"{key}\0{deed}\0{incident_id}\0{data.get('step')}".encode()).hexdigest()[:32]
        event = self._event("api", name or uuid.uuid4().hex, deed, incident_id, data)
        receipt = await self._report(event)
        status = {"incident": receipt.incident, "event": {"source": receipt.source, "id": receipt.id}}
        return JSONResponse(status | {"status": receipt.outcome.value}, 202)

    async def ask(self, token: str) -> Response:
        """Show what a link is about, with one button: a mail program that opens links must not press it."""
        try:
            link = self._links.read(token)
        except WrongLinkError as error:
            return self._wrong(error)
        shown = await asyncio.to_thread(self._look, link)
        return self._page("deed.html", 200, **shown, result=None)

    async def answer(self, request: Request, token: str) -> Response:
        """Do what a link is for. The same link a second time changes nothing and says so."""
        try:
            link = self._links.read(token)
        except WrongLinkError as error:
            return self._wrong(error)
        form = parse_qs((await read_body(request, self._settings.server.max_body_bytes)).decode("utf-8", "replace"))
        by = " ".join(form.get("by", [""])[0].split())[:200]
        shown = await asyncio.to_thread(self._look, link)
        if not by:
            return self._page("deed.html", 422, **shown, result="nameless")
        if shown["is_done"]:
            return self._page("deed.html", 200, **shown, result="already")
        name = hashlib.sha256(token.encode()).hexdigest()[:32]
        data = {"by": by, "step": link.step}
        try:
            receipt = await self._report(self._event("link", name, link.action, shown["incident"], data))
        except InvalidDocumentError as error:
            said = "; ".join(problem.sentence() for problem in error.problems)
            return self._page("deed.html", 409, **shown, result="refused", said=said)
        result = "already" if receipt.outcome is EventOutcome.DUPLICATE else "done"
        shown = await asyncio.to_thread(self._look, link)
        return self._page("deed.html", 200, **shown, result=result)

    async def _body(self, request: Request) -> dict[str, Any]:
        document = parse_json(await read_body(request, self._settings.server.max_body_bytes))
        if not isinstance(document, dict):
            raise InvalidDocumentError([Problem((), "is not an object", 'an object such as {"by": "王敏"}')])
        return document

    def _look(self, link: Link) -> dict[str, Any]:
        with self._database.read() as connection:
            found = steps.stored_step(connection, link.step)
            drafts = steps.drafts_of(connection, link.step)
            shown = self._shown(connection, link, found.step) if found else {}
        if found is None:
            raise HTTPException(404, f"there is no step '{link.step}'")
        contact = self._settings.contact_by_id.get(link.contact)
        is_approval = link.action is LinkAction.APPROVE
        waits = found.state is (StepState.AWAITING if is_approval else StepState.BEGUN)
        return shown | {
            "action": link.action.value,
            "step": found.step,
            "is_done": not waits,
            "drafts": [(draft.locale, draft.subject, _safe(draft.body)) for draft in drafts if is_approval],
            "name": contact.name if contact else None,
            "bank": self._settings.bank.name,
        }

    def _shown(self, connection: Connection, link: Link, step: Step) -> dict[str, Any]:
        incident_id = steps.incident_of_step(connection, link.step)
        done = steps.answer_to(connection, link.step)
        said = steps.latest_words(connection, link.step, link.contact)
        zone = self._settings.bank.zone
        return {
            "incident": incident_id,
            "done_by": done[1] if done else None,
            "done_at": _local(done[0], zone) if done else None,
            "deadline": _local(step.deadline, zone) if step.deadline else None,
            "said": (said[0], _safe(said[1])) if said else None,
        }

    def _wrong(self, error: WrongLinkError) -> Response:
        return self._page("wrong_link.html", 410 if error.expired else 404, expired=error.expired)

    def _page(self, template: str, status: int, **shown: Any) -> Response:
        html = _PAGES.get_template(template).render(**shown)
        return HTMLResponse(html, status, headers=_HEADERS)

    def _incident_of(self, step_id: str) -> str:
        with self._database.read() as connection:
            found = steps.incident_of_step(connection, step_id)
            incident_id = step_id.partition(":")[0]
            near = None if found else nearest(step_id, steps.step_ids(connection, incident_id))
            gone = None if found else archived(connection, incident_id)
        if gone is not None:
            raise NoIncidentError(incident_id)
        if found is None:
            guess = f"; did you mean '{near}'?" if near else ""
            raise HTTPException(404, f"there is no step '{step_id}'{guess}; GET /api/v1/incidents/{{id}} lists them")
        return found

    def _event(self, source: str, name: str, deed: str, incident_id: str, data: Mapping[str, Any]) -> Event:
        document = {
            "source": source,
            "id": name,
            "type": _TYPES[deed],
            "incident": incident_id,
            "occurred_at": self._clock.now(),
            "data": dict(data),
        }
        try:
            return EVENT.validate_python(document)
        except ValidationError as error:
            found = problems_of(error, Event, document)
            raise InvalidDocumentError([_of_body(problem) for problem in found]) from None

    async def _report(self, event: Event) -> Receipt:
        def work(unit: Unit) -> list[Receipt]:
            return self._engine.report(unit, [event], self._clock.now())

        try:
            receipts = await asyncio.wrap_future(self._writer.submit(work))
        except InvalidDocumentError as error:
            raise InvalidDocumentError([_of_body(problem) for problem in error.problems]) from None
        return receipts[0]


def _safe(text: str) -> Markup:
    return Markup(as_html(text))  # noqa: S704 - as_html lets no tag of the text through


def _local(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def _of_body(problem: Problem) -> Problem:
    """Return a problem of an event's data as one of the body that was sent."""
    path = [part for part in problem.path if part not in (0, "data")]
    return Problem(tuple(path), problem.message, problem.expected, problem.nearest)
