"""The pages behind the signed links in messages: look first, then act with one button."""

import asyncio
import hashlib
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.common.signed_links import InvalidLinkError, Link, LinkAction
from incident_engine.common.telemetry import EventOutcome
from incident_engine.domain.response.step import Step, StepState
from incident_engine.store import held_texts, steps
from incident_engine.web.action_events import ActionEvents
from incident_engine.web.context import AppContext
from incident_engine.web.pages import local_minute, page, safe_html
from incident_engine.web.request import read_body

PREFIX = "/do/"
"""Where the links in messages lead. They carry a signature of their own, and need no key."""


def install(app: FastAPI, context: AppContext) -> None:
    """Add the routes of the links."""
    pages = LinkPages(context)
    app.add_api_route(PREFIX + "{token}", pages.show, methods=["GET"], include_in_schema=False)
    app.add_api_route(PREFIX + "{token}", pages.act, methods=["POST"], include_in_schema=False)


class LinkPages:
    """Shows the action that a link stands for, and takes it."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._events = ActionEvents(context)

    async def show(self, token: str) -> Response:
        """Show what a link is about, with one button: a mail program that opens links must not press it."""
        try:
            link = self._context.links.read(token)
        except InvalidLinkError as error:
            return _wrong(error)
        shown = await asyncio.to_thread(self._look, link)
        return page("action.html", 200, **shown, result=None)

    async def act(self, request: Request, token: str) -> Response:
        """Do what a link is for. The same link a second time changes nothing and says so."""
        try:
            link = self._context.links.read(token)
        except InvalidLinkError as error:
            return _wrong(error)
        form = parse_qs(
            (await read_body(request, self._context.settings.server.max_body_bytes)).decode("utf-8", "replace")
        )
        by = " ".join(form.get("by", [""])[0].split())[:200]
        shown = await asyncio.to_thread(self._look, link)
        if not by:
            return page("action.html", 422, **shown, result="nameless")
        if shown["is_done"]:
            return page("action.html", 200, **shown, result="already")
        name = hashlib.sha256(token.encode()).hexdigest()[:32]
        data = {"by": by, "step": link.step}
        try:
            receipt = await self._events.report(self._events.event("link", name, link.action, shown["incident"], data))
        except InvalidDocumentError as error:
            said = "; ".join(problem.sentence() for problem in error.problems)
            return page("action.html", 409, **shown, result="refused", said=said)
        result = "already" if receipt.outcome is EventOutcome.DUPLICATE else "done"
        shown = await asyncio.to_thread(self._look, link)
        return page("action.html", 200, **shown, result=result)

    def _look(self, link: Link) -> dict[str, Any]:
        with self._context.database.read() as connection:
            found = steps.stored_step(connection, link.step)
            drafts = held_texts.held_texts_of(connection, link.step)
            shown = self._shown(connection, link, found.step) if found else {}
        if found is None:
            raise HTTPException(404, f"there is no step '{link.step}'")
        contact = self._context.settings.contact_by_id.get(link.contact)
        is_approval = link.action is LinkAction.APPROVE
        waits = found.state is (StepState.AWAITING if is_approval else StepState.STARTED)
        return shown | {
            "action": link.action.value,
            "step": found.step,
            "is_done": not waits,
            "drafts": [(draft.locale, draft.subject, safe_html(draft.body)) for draft in drafts if is_approval],
            "name": contact.name if contact else None,
            "bank": self._context.settings.bank.name,
        }

    def _shown(self, connection: Connection, link: Link, step: Step) -> dict[str, Any]:
        incident_id = steps.case_of_step(connection, link.step)
        done = steps.answer_to(connection, link.step)
        said = held_texts.latest_text(connection, link.step, link.contact)
        zone = self._context.settings.bank.zone
        return {
            "incident": incident_id,
            "done_by": done[1] if done else None,
            "done_at": local_minute(done[0], zone) if done else None,
            "deadline": local_minute(step.deadline, zone) if step.deadline else None,
            "said": (said[0], safe_html(said[1])) if said else None,
        }


def _wrong(error: InvalidLinkError) -> Response:
    return page("wrong_link.html", 410 if error.expired else 404, expired=error.expired)
