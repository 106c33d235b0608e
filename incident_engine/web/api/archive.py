"""What is not in the database: incidents that were archived, and those that never were."""

from datetime import tzinfo
from typing import Annotated, Any

from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from incident_engine.domain.grading.assessment_document import to_local_iso
from incident_engine.store import archive as archives
from incident_engine.store.archive import Archived
from incident_engine.store.database import Database
from incident_engine.web.parameters import refuse_unknown
from incident_engine.web.problems import problem_response

Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]


class NoIncidentError(Exception):
    """There is no such incident in the database; it may have been archived."""

    def __init__(self, incident_id: str) -> None:
        super().__init__(incident_id)
        self.incident_id = incident_id


def install(app: FastAPI, database: Database, zone: tzinfo) -> None:
    """Add the list of archived incidents, and the answer to whoever asks for one: 410 and where it is, else 404."""

    @app.get("/api/v1/archive", tags=["incidents"], summary="已归档的事件 · Incidents that were archived")
    def archive(request: Request, limit: Limit = 100, offset: Offset = 0) -> JSONResponse:
        refuse_unknown(request, ("limit", "offset"))
        with database.read() as connection:
            found = archives.latest_archived(connection, limit, offset)
            total = archives.archive_size(connection)
        return JSONResponse({"archive": [archived_document(each, zone) for each in found], "total": total})

    def missing(_: Request, error: Exception) -> Response:
        assert isinstance(error, NoIncidentError)  # noqa: S101 - registered for it
        with database.read() as connection:
            gone = archives.archived(connection, error.incident_id)
        if gone is None:
            said = f"there is no incident '{error.incident_id}'; GET /api/v1/incidents lists them"
            return problem_response(404, "Not Found", said)
        said = (
            f"incident '{gone.id}' was archived in {gone.file}; 'incident-engine report --incident {gone.id}' reads it"
        )
        return problem_response(410, "Archived", said, archived=archived_document(gone, zone))

    app.add_exception_handler(NoIncidentError, missing)


def archived_document(found: Archived, zone: tzinfo) -> dict[str, Any]:
    """Return what stays of an incident as JSON values."""
    return {
        "id": found.id,
        "group": found.service_group,
        "levels": dict(found.levels),
        "occurred_at": to_local_iso(found.occurred_at, zone),
        "closed_at": to_local_iso(found.closed_at, zone),
        "archived_at": to_local_iso(found.archived_at, zone),
        "file": found.file,
        "sha256": found.sha256,
    }
