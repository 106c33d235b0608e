"""Builds the web application: every route, behind the check of keys."""

from functools import partial

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from incident_engine.engine.heard import HeardCases
from incident_engine.engine.quarantine import Quarantine
from incident_engine.intake.registry import open_formats
from incident_engine.web import openapi, problems
from incident_engine.web.api import archive, health, incidents, quarantine, reports, steps
from incident_engine.web.api.events import EventIntake, HotPath
from incident_engine.web.auth import KeyAuthentication
from incident_engine.web.context import AppContext
from incident_engine.web.denials import Denials
from incident_engine.web.links import pages as link_pages
from incident_engine.web.links.errors import LinkErrorPages
from incident_engine.web.parameters import refuse_unknown_parameters
from incident_engine.web.rendering import FramingProtection

_MODULES = (archive, incidents, reports, health, steps)
"""The modules with routes; each has `install(app, context)`."""


def create_app(context: AppContext) -> ASGIApp:
    """Return the application."""
    parameters = Depends(refuse_unknown_parameters)
    app = FastAPI(title="incident-engine", docs_url=None, redoc_url=None, dependencies=[parameters])
    problems.install(app, context.metrics)
    formats = open_formats(context.settings)
    openapi.install(app, formats, needs_key=bool(context.keys))
    quarantined = Quarantine(context.engine, formats, context.metrics)
    heard = HeardCases(context.settings.intake.silent_after)
    intake = EventIntake(
        context.settings, context.writer, context.engine, context.metrics, context.clock, formats, quarantined, heard
    )
    for path, answer in intake.routes().items():  # registered so that other methods get 405
        app.add_route(path, answer, methods=["POST"])
    for module in _MODULES:
        module.install(app, context)
    quarantine.install(app, context, quarantined)
    denials = Denials(context.metrics)
    link_pages.install(app, context, denials)
    # The intake answers before FastAPI's layers, whose cost would dominate an event; keys are checked before both.
    checked = KeyAuthentication(HotPath(FramingProtection(app), intake), context.keys, denials)
    return LinkErrorPages(checked, partial(link_pages.reader_locale, context))
