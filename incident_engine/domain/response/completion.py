"""When a started step is done, and by whom: by its own id, by its obligation, or by the closing of the incident."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from incident_engine.domain.events.actions import StepAcknowledged, StepCompleted
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.obligation_status import ObligationState, ObligationStatus
from incident_engine.domain.handling import Handling
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.response.playbook import StepTemplate
from incident_engine.domain.response.step import Awaits, Step
from incident_engine.domain.step_id import number_in_series
from incident_engine.domain.values import NEVER

Completion = tuple[datetime | None, str | None]
"""The instant and the person; (None, None) while a step is not done."""


def met_obligations(assessments: Iterable[Assessment]) -> dict[str, ObligationStatus]:
    """Return the statuses of met obligations by their key."""
    statuses = (status for assessment in assessments for status in assessment.obligations)
    return {status.key: status for status in statuses if status.state is ObligationState.MET}


def overdue_obligations(assessments: Iterable[Assessment]) -> list[ObligationStatus]:
    """Return the statuses of overdue obligations, the earliest due first."""
    statuses = [status for assessment in assessments for status in assessment.obligations]
    overdue = [status for status in statuses if status.state is ObligationState.OVERDUE]
    return sorted(overdue, key=lambda status: (status.due_at or NEVER, status.key))


def completion_of(
    step: Step, template: StepTemplate | None, incident: Incident, met: Mapping[str, ObligationStatus]
) -> Completion:
    """Return when a step was done and by whom. The template is None if its playbook is no longer used."""
    done_at, done_by = _answered(step, incident.handling, met)
    # The step that asks for the closing is done by the closing.
    if done_at is None and incident.closing is not None and template is not None and template.on.observed:
        return incident.closing.at, incident.closing.by
    return done_at, done_by


def _answered(step: Step, handling: Handling, met: Mapping[str, ObligationStatus]) -> Completion:
    fulfils = step.fulfils
    if fulfils is not None and fulfils == step.obligation:
        status = met.get(step.instance)
        number = number_in_series(step.instance, fulfils)
        if status is None and number is not None:
            # Meeting an instance of a recurring obligation settles the ones missed before.
            later = [
                other
                for other in met.values()
                if other.id == fulfils and other.instance.isdigit() and int(other.instance) > number
            ]
            status = min(later, key=lambda other: int(other.instance), default=None)
        return (status.met_at, status.met_by) if status else (None, None)
    answer: StepAcknowledged | StepCompleted | None
    if step.awaits is None and fulfils is None:
        # An informational step can be completed only by its own id, not by that of a step derived from it.
        answer = next((completion for completion in handling.completions if completion.data.step == step.id), None)
    else:
        answer = handling.answer_to(step.id, by_acknowledgement=step.awaits is Awaits.ACKNOWLEDGEMENT)
        if answer is None and fulfils is not None:
            answer = next(iter(handling.completions_of(fulfils)), None)
    return (answer.occurred_at, answer.data.by) if answer is not None else (None, None)
