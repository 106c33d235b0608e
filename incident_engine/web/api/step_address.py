"""The step that an address names: its incident, or the error for a step that does not exist."""

from starlette.exceptions import HTTPException

from incident_engine.common.validation import nearest
from incident_engine.domain.step_id import StepId
from incident_engine.store import steps
from incident_engine.store.archive import archived
from incident_engine.store.database import Database
from incident_engine.web.problems import NoIncidentError


def incident_of_step(database: Database, step_id: str) -> str:
    """Return the incident of a step.

    Raises NoIncidentError if the incident is archived, HTTPException(404) with the nearest id if there is no such step.
    """
    with database.read() as connection:
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
