"""Builds the web application: every route, behind the guard."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from incident_engine import __version__
from incident_engine.intake.registry import open_formats
from incident_engine.web import openapi, problems
from incident_engine.web.api import archive, health, incidents, reports, steps
from incident_engine.web.api.events import EventIntake, HotPath
from incident_engine.web.auth import KeyAuthentication
from incident_engine.web.context import AppContext
from incident_engine.web.links import pages as link_pages


def create_app(context: AppContext) -> ASGIApp:
    """Return the application. The intake answers before FastAPI's own layers; the guard stands before all."""
    app = FastAPI(title="incident-engine", version=__version__, docs_url=None, redoc_url=None)
    problems.install(app, context.metrics)
    archive.install(app, context.database, context.settings.bank.zone)
    formats = open_formats(context.settings)
    openapi.install(app, formats, needs_key=bool(context.keys))
    intake = EventIntake(context.settings, context.writer, context.engine, context.metrics, context.clock, formats)
    for path, answer in intake.routes().items():  # what is not a POST is refused here
        app.add_route(path, answer, methods=["POST"])
    incidents.install(app, context)
    reports.install(app, context.database, context.reader, context.settings, context.clock)
    health.install(app, context)
    steps.install(app, context)
    link_pages.install(app, context)
    return KeyAuthentication(HotPath(app, intake), context.keys)
