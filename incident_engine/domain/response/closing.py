"""When an incident closes by itself, and which steps survive the closing of an incident.

The closing ends the handling (银监办发〔2008〕53号 Art. 42), but not the obligations that run from the end or from the
level: reports, reviews and follow-up tasks are due after it.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from incident_engine.domain.events.model import ImpactMeasured
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.incidents.incident import Closing, Incident
from incident_engine.domain.response.occurrences import Occurrence
from incident_engine.domain.response.playbook import StepTemplate
from incident_engine.domain.response.step import Awaits, Step

_OWED = (ObligationState.PENDING, ObligationState.OVERDUE)


def closes_itself_at(incident: Incident, assessments: Iterable[Assessment], window: timedelta) -> datetime | None:
    """Return when a blip closes by itself: a quiet `window` after an incident that has no level and no obligation."""
    quiet_since = incident.restored_at or incident.first_event_at
    if incident.closing is not None or incident.is_down or quiet_since is None:
        return None
    for assessment in assessments:
        if assessment.trajectory or assessment.forecast or any(s.state in _OWED for s in assessment.obligations):
            return None
    # A figure opens it again (`incidents.closing.reopens`): closed at that very instant, it would be open at once.
    measured = [event.occurred_at for event in incident.events(ImpactMeasured)]
    return max([quiet_since, *measured]) + window


def survives_closing(template: StepTemplate, occurrence: Occurrence, step: Step, closing: Closing | None) -> bool:
    """Return whether a step is planned although its incident is closed: for its end, by law, or for a level since."""
    if closing is None:
        return True
    trigger, is_after = template.on, occurrence.at > closing.at
    if step.due_at <= closing.at:  # it was due in time; only nobody is called to an incident that is over
        return template.awaits is not Awaits.ACKNOWLEDGEMENT or is_after
    if step.obligation is not None:
        return True
    if trigger.level_corrected or trigger.closed or trigger.restored or trigger.task_added:
        return True
    # A review or another task outlives the closing. The request to close is fulfilled by it.
    is_task = template.awaits is Awaits.COMPLETION and not trigger.observed
    return is_task or (occurrence.level is not None and is_after)


def not_before_closing(planned: Iterable[Step], existing: Collection[str], closing: Closing) -> Sequence[Step]:
    """Return the planned steps without new ones that would have been due before the closing.

    A playbook that the bank chooses later must not be played to incidents that are long over.
    """
    return [step for step in planned if step.id in existing or step.due_at > closing.at or step.obligation is not None]
