"""The steps that survive the closing of an incident.

The closing ends the handling (银监办发〔2008〕53号 Art. 42), but not the obligations that run from the end or from the
level: reports, reviews and follow-up tasks are due after it.
"""

from collections.abc import Collection, Iterable, Sequence

from incident_engine.domain.incidents.incident import Closing
from incident_engine.domain.response.occurrences import Occurrence
from incident_engine.domain.response.playbook import StepTemplate
from incident_engine.domain.response.step import Awaits, Step


def survives_closing(template: StepTemplate, occurrence: Occurrence, step: Step, closing: Closing | None) -> bool:
    """Return whether a step is planned although its incident is closed.

    It is if it reports the end, if the law demands it, or if its level was reached after the closing.
    """
    if closing is None:
        return True
    trigger, is_after = template.on, occurrence.at > closing.at
    # A step that was due in time stays, but a call to an incident that is over would wake people for nothing.
    if step.due_at <= closing.at:
        return template.awaits is not Awaits.ACKNOWLEDGEMENT or is_after
    if step.obligation is not None:
        return True
    if trigger.level_corrected or trigger.closed or trigger.restored or trigger.task_added:
        return True
    # A review or another task outlives the closing. The step that asks for the closing ends with it.
    is_task = template.awaits is Awaits.COMPLETION and not trigger.observed
    return is_task or (occurrence.level is not None and is_after)


def not_before_closing(planned: Iterable[Step], existing: Collection[str], closing: Closing) -> Sequence[Step]:
    """Return the planned steps without new ones that would have been due before the closing.

    A playbook that the bank chooses later must not start steps in incidents that are long over.
    """
    return [step for step in planned if step.id in existing or step.due_at > closing.at or step.obligation is not None]
