"""The pages behind the signed links in messages: GET shows the step, POST takes the action."""

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from incident_engine.common.errors import ConflictError, InvalidDocumentError, Problem
from incident_engine.common.i18n import Translator
from incident_engine.common.link_path import LINK_PATH
from incident_engine.common.signed_links import InvalidLinkError, Link
from incident_engine.common.telemetry import DeniedReason, EventOutcome
from incident_engine.domain.events.effect import Effect, sentences
from incident_engine.domain.events.fields import plain_name
from incident_engine.domain.events.types import LINK
from incident_engine.web.action_events import ActionEvents
from incident_engine.web.context import AppContext
from incident_engine.web.denials import Denials
from incident_engine.web.links.errors import STATUS, LinkError, LinkRefusedError, accepted_locale, error_page
from incident_engine.web.links.step_view import StepReader
from incident_engine.web.rendering import page
from incident_engine.web.request import read_body


def install(app: FastAPI, context: AppContext, denials: Denials) -> None:
    """Add the routes of the links."""
    pages = LinkPages(context, denials)
    app.add_api_route(LINK_PATH + "{token}", pages.show, methods=["GET"], include_in_schema=False)
    app.add_api_route(LINK_PATH + "{token}", pages.act, methods=["POST"], include_in_schema=False)


def reader_locale(context: AppContext, scope: Scope) -> str:
    """Return the language of the contact that a link was made for; of the browser, or the bank, if it is not known."""
    try:
        contact = context.settings.contact_by_id.get(context.links.read(scope["path"].removeprefix(LINK_PATH)).contact)
    except InvalidLinkError:
        contact = None
    if contact is not None:
        return contact.locale
    return accepted_locale(Headers(scope=scope), context.settings.bank.locale)


class LinkPages:
    """Shows the step of a link, and takes the action that the link stands for."""

    def __init__(self, context: AppContext, denials: Denials) -> None:
        self._context = context
        self._denials = denials
        self._steps = StepReader(context)
        self._events = ActionEvents(context.engine, context.writer, context.clock)

    async def show(self, request: Request, token: str) -> Response:
        """Show the step of a link with one button. Mail programs open links by themselves, so this changes nothing."""
        try:
            link = self._read(request, token)
            variables = await asyncio.to_thread(self._steps.variables, link)
        except LinkRefusedError as refusal:
            return self._error(request, refusal)
        return page("action.html", 200, **variables, result=None)

    async def act(self, request: Request, token: str) -> Response:
        """Take the action of a link. The same link a second time changes nothing and says so."""
        try:
            link = self._read(request, token)
            variables = await asyncio.to_thread(self._steps.variables, link)
        except LinkRefusedError as refusal:
            return self._error(request, refusal)
        body = await read_body(request, self._context.settings.server.max_body_bytes)
        form = parse_qs(body.decode("utf-8", "replace"))
        # Browsers keep the line breaks of a pasted name.
        by = plain_name(" ".join(form.get("by", [""])[0].split()))[:200].rstrip()
        if not by:
            return page("action.html", 422, **variables, result="nameless")
        if variables["is_done"]:
            return page("action.html", 200, **variables, result="already")
        # The event's id follows from the token, so that two clicks are one event.
        name = hashlib.sha256(token.encode()).hexdigest()[:32]
        data: dict[str, Any] = {"by": by, "step": link.step, "link_of": link.contact} | _tick(form, variables["gaps"])
        if variables["gaps"] and "with_gaps" not in data:
            return page("action.html", 422, **variables, result="gaps")
        if variables["action"] == "close":
            reasons = {
                due["key"]: " ".join(form.get(f"overdue.{due['key']}", [""])[0].split()) for due in variables["overdue"]
            }
            if not all(reasons.values()):
                return page("action.html", 422, **variables, result="unreasoned")
            overdue = [{"obligation": key, "reason": text} for key, text in reasons.items()]
            data = {"by": by, "link_of": link.contact, "overdue": overdue}
        try:
            event = self._events.event(LINK, name, variables["action"], variables["incident"], data)
            receipt = await self._events.report(event)
        except ConflictError:
            # Somebody else pressed the same button at the same time; the page says who it was.
            return page("action.html", 200, **await asyncio.to_thread(self._steps.variables, link), result="already")
        except InvalidDocumentError as error:
            return page("action.html", 409, **variables, result="refused", reasons=_reasons(error.problems))
        result = "already" if receipt.outcome is EventOutcome.DUPLICATE else "done"
        variables = await asyncio.to_thread(self._steps.variables, link)
        settings = self._context.settings
        detail = sentences(receipt.effect, settings.bank.zone, settings.service_names)
        # Somebody else may have been a moment faster: then the page says who, not that this click did it.
        result = "none" if result == "done" and receipt.effect.effect is Effect.NONE else result
        return page("action.html", 200, **variables, result=result, detail=detail)

    def _read(self, request: Request, token: str) -> Link:
        """Return the content of a link. Raises LinkRefusedError if it is not valid or was made for a former contact."""
        try:
            link = self._context.links.read(token)
        except InvalidLinkError as error:
            if not error.expired:
                self._denials.record(DeniedReason.LINK, request.client.host if request.client else "unknown")
            raise LinkRefusedError(LinkError.EXPIRED if error.expired else LinkError.INVALID) from None
        if link.contact not in self._context.settings.contact_by_id:
            raise LinkRefusedError(LinkError.CONTACT_GONE)
        return link

    def _error(self, request: Request, refusal: LinkRefusedError) -> Response:
        return error_page(refusal.error, STATUS[refusal.error], reader_locale(self._context, request.scope))


def _reasons(problems: list[Problem] | tuple[Problem, ...]) -> tuple[str, str]:
    """Return in Chinese and in English why an action was refused."""
    if any("by" in problem.path for problem in problems):
        return Translator("zh-CN")("link name refused"), Translator("en")("link name refused")
    # The engine's own texts are English.
    return Translator("zh-CN")("link action refused"), "; ".join(problem.sentence() for problem in problems)


def _tick(form: Mapping[str, list[str]], gaps: Mapping[str, list[str]]) -> dict[str, bool]:
    """Return the `with_gaps` of an event's data; empty without gaps, or if the box is not ticked."""
    return {"with_gaps": True} if gaps and "with_gaps" in form else {}
