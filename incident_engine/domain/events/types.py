"""The types of events, and the fields that all events have."""

from enum import StrEnum
from typing import Literal

from incident_engine.common.validation import Strict
from incident_engine.domain.events.fields import IncidentKey, Instant, Name, Regions, Service

ITSELF = "incident-engine"
"""The source of the events that the engine reports itself."""
API = "api"
"""The source of actions by the API."""
LINK = "link"
"""The source of actions by signed links."""


class EventType(StrEnum):
    """The types of events."""

    OUTAGE_STARTED = "outage.started"
    OUTAGE_DEGRADED = "outage.degraded"
    OUTAGE_RESTORED = "outage.restored"
    REPAIR_FAILED = "repair.failed"
    RECOVERY_ESTIMATED = "recovery.estimated"
    MAINTENANCE_ANNOUNCED = "maintenance.announced"
    HARM_ASSESSED = "harm.assessed"
    IMPACT_MEASURED = "impact.measured"
    PLAN_FAILED = "plan.failed"
    LEVEL_CORRECTED = "level.corrected"
    NOTE_ADDED = "note.added"
    STEP_ACKNOWLEDGED = "step.acknowledged"
    STEP_APPROVED = "step.approved"
    STEP_COMPLETED = "step.completed"
    STEP_SKIPPED = "step.skipped"
    STEP_ASSIGNED = "step.assigned"
    STEP_ADDED = "step.added"
    REPORT_WRITTEN = "report.written"
    LESSON_RECORDED = "lesson.recorded"
    INCIDENT_CLOSED = "incident.closed"


Reportable = Literal[
    EventType.REPAIR_FAILED,
    EventType.RECOVERY_ESTIMATED,
    EventType.HARM_ASSESSED,
    EventType.IMPACT_MEASURED,
    EventType.PLAN_FAILED,
    EventType.NOTE_ADDED,
    EventType.LESSON_RECORDED,
]
"""The events that can start a step, by their types."""


class BaseEvent(Strict):
    """The fields of every event. `(source, id)` is its idempotency key."""

    source: Name
    id: Name
    occurred_at: Instant
    incident: IncidentKey | None = None


class PersonEvent(BaseEvent):
    """An event about an incident as a whole: named by its key, or the open one of a service."""

    service: Service | None = None
    regions: Regions = ()

    def concerns(self, service: str, region: str) -> bool:
        """Return whether the event is about a service in a region. One that names none is about all."""
        return self.service in (None, service) and (not self.regions or region in self.regions)
