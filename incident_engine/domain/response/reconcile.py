"""Reconciliation: the changes that make the stored steps equal to the plan, and the reasons of withdrawals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.response.step import Step, StepState, Withdrawal
from incident_engine.domain.step_id import number_in_series


@dataclass(frozen=True, slots=True)
class Changes:
    """The writes that make the stored steps equal to the planned ones."""

    insert: tuple[Step, ...] = ()
    reschedule: tuple[Step, ...] = ()
    """Steps to be put back to pending, with the due instant of the plan."""
    withdraw: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.insert or self.reschedule or self.withdraw)


def reconcile(existing: Mapping[str, tuple[StepState, datetime]], planned: Iterable[Step]) -> Changes:
    """Return the changes from the existing steps (state and due instant by id) to the planned ones.

    New steps are inserted. Steps that are no longer planned and have not gone out are withdrawn. Started steps stay.
    After the changes a second call returns no changes.
    """
    by_id = {step.id: step for step in planned}
    reschedule: list[Step] = []
    for step in by_id.values():
        state, due_at = existing.get(step.id, (None, None))
        # A withdrawn step may be planned again, for example after a correction was taken back.
        if state is StepState.WITHDRAWN or (state is StepState.PENDING and due_at != step.due_at):
            reschedule.append(step)
    return Changes(
        insert=tuple(step for step in by_id.values() if step.id not in existing),
        reschedule=tuple(reschedule),
        withdraw=tuple(
            step_id
            for step_id, (state, _) in existing.items()
            if state in (StepState.PENDING, StepState.AWAITING) and step_id not in by_id
        ),
    )


def why_withdrawn(step: Step, incident: Incident, planned: Iterable[Step]) -> Withdrawal:
    """Return the reason for which a step is no longer planned, as far as the facts show."""
    if incident.handling.skip_of(step.base) is not None:
        return Withdrawal.SKIPPED
    others = [other for other in planned if (other.playbook, other.step) == (step.playbook, step.step)]
    if step.parent_id is not None and any(other.id == step.parent_id for other in others):
        # While the parent still escalates, a later round replaces this one; if it does not, it was answered.
        is_escalating = any(other.parent_id == step.parent_id for other in others)
        return Withdrawal.SUPERSEDED if is_escalating else Withdrawal.DONE
    if step.fulfils is not None and incident.handling.completions_of(step.fulfils):
        return Withdrawal.DONE
    # Instances of a series are named I, I.2, I.3 ...
    series = step.instance.partition(".")[0]
    later = (other for other in others if other.due_at > step.due_at)
    if any(number_in_series(other.instance, series) is not None for other in later):
        return Withdrawal.SUPERSEDED
    # Closed before restored: a closed incident is restored as well, but the closing is the nearer reason.
    if incident.closing is not None:
        return Withdrawal.CLOSED
    return Withdrawal.FACTS_CHANGED if incident.is_down or not incident.outages else Withdrawal.RESTORED
