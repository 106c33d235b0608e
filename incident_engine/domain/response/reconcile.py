"""What to change so that the stored steps are the planned ones, and why a step is withdrawn."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.response.step import Step, StepState, Withdrawal
from incident_engine.domain.step_id import number_in_series


@dataclass(frozen=True, slots=True)
class Changes:
    """What must be written so that the stored steps are the wanted ones."""

    insert: tuple[Step, ...] = ()
    reschedule: tuple[Step, ...] = ()
    """Not begun: to be put back to pending, with this due instant."""
    withdraw: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.insert or self.reschedule or self.withdraw)


def reconcile(existing: Mapping[str, tuple[StepState, datetime]], wanted: Iterable[Step]) -> Changes:
    """Return the changes from the existing steps (state and due instant by id) to the wanted ones.

    What is new is inserted, what is no longer wanted and has not gone out is withdrawn, what has begun is left alone.
    Applied once, a second call has nothing to change.
    """
    by_id = {step.id: step for step in wanted}
    return Changes(
        insert=tuple(step for step in by_id.values() if step.id not in existing),
        reschedule=tuple(step for step in by_id.values() if step.id in existing and _differs(*existing[step.id], step)),
        withdraw=tuple(
            name
            for name, (state, _) in existing.items()
            if state in (StepState.PENDING, StepState.AWAITING) and name not in by_id
        ),
    )


def _differs(state: StepState, due_at: datetime, step: Step) -> bool:
    if state is StepState.WITHDRAWN:
        return True
    return state is StepState.PENDING and due_at != step.due_at


def why_withdrawn(step: Step, incident: Incident, wanted: Iterable[Step]) -> Withdrawal:
    """Return why a step is no longer wanted, as far as the facts say."""
    if incident.handling.skip_of(step.base) is not None:
        return Withdrawal.SKIPPED
    others = [each for each in wanted if (each.playbook, each.step) == (step.playbook, step.step)]
    if step.parent_id is not None and any(each.id == step.parent_id for each in others):
        return (
            Withdrawal.DONE if not any(each.parent_id == step.parent_id for each in others) else Withdrawal.SUPERSEDED
        )
    if step.fulfils is not None and incident.handling.completions_of(step.fulfils):
        return Withdrawal.DONE
    series = step.instance.partition(".")[0]
    later = (other for other in others if other.due_at > step.due_at)
    if any(number_in_series(other.instance, series) is not None for other in later):
        return Withdrawal.SUPERSEDED
    if incident.closing is not None:
        return Withdrawal.CLOSED
    return Withdrawal.FACTS_CHANGED if incident.is_down or not incident.outages else Withdrawal.RESTORED
