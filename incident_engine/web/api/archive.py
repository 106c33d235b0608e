"""Archived incidents, and the answer to requests for incidents that are not in the database."""

from datetime import tzinfo
from typing import Annotated, Any

from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from incident_engine.domain.grading.assessment_document import to_local_iso
from incident_engine.store import archive
from incident_engine.store.archive import Archived
from incident_engine.web.context import AppContext
from incident_engine.web.problems import NoIncidentError, problem_response

Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]


def install(app: FastAPI, context: AppContext) -> None:
    """Add the list of archived incidents, and the handler of NoIncidentError: 410 with the archive file, or 404."""
    database, zone = context.database, context.settings.bank.zone

    @app.get("/api/v1/archive", tags=["incidents"], summary="已归档的事件 · Incidents that were archived")
    def archived_incidents(limit: Limit = 100, offset: Offset = 0) -> JSONResponse:
        with database.read() as connection:
            incidents = archive.latest_archived(connection, limit, offset)
            total = archive.archive_size(connection)
        documents = [archived_document(incident, zone) for incident in incidents]
        return JSONResponse({"archive": documents, "total": total})

    def no_incident(_: Request, error: Exception) -> Response:
        assert isinstance(error, NoIncidentError)  # noqa: S101 - registered for it
        with database.read() as connection:
            incident = archive.archived(connection, error.incident_id)
        if incident is None:
            detail = f"there is no incident '{error.incident_id}'; GET /api/v1/incidents lists them"
            return problem_response(404, "Not Found", detail)
        command = f"incident-engine report --incident {incident.id}"
        detail = f"incident '{incident.id}' was archived in {incident.file}; '{command}' reads it"
        return problem_response(410, "Archived", detail, archived=archived_document(incident, zone))

    app.add_exception_handler(NoIncidentError, no_incident)


def archived_document(incident: Archived, zone: tzinfo) -> dict[str, Any]:
    """Return the row of an archived incident as JSON values.

    Shape: `{"id", "group", "levels": {pack: level}, "occurred_at", "closed_at", "archived_at", "file", "sha256"}`.
    """
    return {
        "id": incident.id,
        "group": incident.service_group,
        "levels": dict(incident.levels),
        "occurred_at": to_local_iso(incident.occurred_at, zone),
        "closed_at": to_local_iso(incident.closed_at, zone),
        "archived_at": to_local_iso(incident.archived_at, zone),
        "file": incident.file,
        "sha256": incident.sha256,
    }
