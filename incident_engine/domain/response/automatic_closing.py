"""When an incident closes by itself: a blip that needs no handling."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from incident_engine.domain.events.model import ImpactMeasured
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.incidents.incident import Incident

_UNMET = (ObligationState.PENDING, ObligationState.OVERDUE)


def closes_itself_at(incident: Incident, assessments: Iterable[Assessment], window: timedelta) -> datetime | None:
    """Return when a blip closes by itself: a quiet `window` after an incident that has no level and no obligation."""
    quiet_since = incident.restored_at or incident.first_event_at
    if incident.closing is not None or incident.is_down or quiet_since is None:
        return None
    for assessment in assessments:
        if assessment.trajectory or assessment.forecast or any(s.state in _UNMET for s in assessment.obligations):
            return None
    # A figure opens it again (`closing_check.reopens`): closed at that very instant, it would be open at once.
    measured = [event.occurred_at for event in incident.events(ImpactMeasured)]
    return max([quiet_since, *measured]) + window
