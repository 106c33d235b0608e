"""Checks of people's actions on the steps of an incident: their names, states, words and gaps."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from incident_engine.common.errors import Problem
from incident_engine.common.validation import nearest, unknown_problems
from incident_engine.domain.events.actions import (
    StepAcknowledged,
    StepAdded,
    StepApproved,
    StepAssigned,
    StepCompleted,
    StepSkipped,
)
from incident_engine.domain.events.model import Event
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.response.playbook import Claim
from incident_engine.domain.response.step import Awaits, StepState
from incident_engine.engine.name_checks import Names, name_problems
from incident_engine.engine.report_versions import empty_fields
from incident_engine.store.steps import steps_of


def addition_problems(event: StepAdded, incident: Incident, names: Names) -> Iterator[Problem]:
    """Yield unknown names of an addition; else the untrue words, and each slip that the person must confirm before."""
    task = event.data
    problems = list(unknown_problems(("data", "step"), "step", task.step, names.steps)) if task.step else []
    if task.assignee is not None:
        problems += unknown_problems(("data", "assignee"), "contact or audience", task.assignee, names.people)
    if problems:
        yield from problems
        return
    for template in (template for template in names.templates if template.id == task.step):
        if template.is_contradicted(incident):
            is_over = template.claim is Claim.DOWN
            claim = "something is down, and everything works" if is_over else "everything works, and something is down"
            yield Problem(("data", "step"), f"step '{template.id}' says that {claim}", "a step whose words are true")
        elif template.goes_outside and not task.confirm:
            message = f"step '{template.id}' sends words outside the bank, to '{template.audience}'"
            yield Problem(("data", "confirm"), message, "true, once you have read them")
    if task.due_at is not None and task.due_at < event.occurred_at and not task.confirm:
        message = f"the task would be due at {task.due_at.isoformat()}, which is past"
        yield Problem(("data", "confirm"), message, "a later due_at, or true if it is meant")


def completed(
    connection: Connection, event: StepCompleted, incident: Incident, packs: Sequence[Pack], names: Names
) -> StepCompleted | list[Problem]:
    """Return the event with the obligation that its step fulfils, or its problems."""
    completion = event.data
    stored = steps_of(connection, incident.id)
    problems = too_early(event, incident)
    if completion.step is None and completion.fulfils is None:
        problems.append(Problem(("data",), "does not say what was completed", "step or fulfils"))
    if completion.step is not None and completion.step not in stored:
        message = f"incident '{incident.id}' has no step '{completion.step}'"
        expected = f"one of: {', '.join(stored)}"
        problems.append(Problem(("data", "step"), message, expected, nearest(completion.step, stored)))
    problems += name_problems(event, packs)
    if completion.step in stored and stored[completion.step].step.base in stored:
        base = stored[stored[completion.step].step.base].step
        if base.approval is not None:
            message = f"step '{completion.step}' awaits an approval, not a completion"
            problems.append(Problem(("data", "step"), message, "step.approved, or step.skipped with a reason"))
        if (base.playbook, base.step) in names.closing_requests and incident.closing is None:
            message = f"step '{completion.step}' asks for the closing, and a completion closes nothing"
            expected = f"incident.closed, or: incident-engine step close {incident.id} --by NAME"
            problems.append(Problem(("data", "step"), message, expected))
    if problems:
        return problems
    # Stored with the event: the playbook, and with it the step, may be another one when the event is read again.
    fulfils = completion.fulfils or (stored[completion.step].step.fulfils if completion.step else None)
    problems += gap_problems(connection, incident.id, event, fulfils)
    return problems or event.model_copy(update={"data": completion.model_copy(update={"fulfils": fulfils})})


def action_problems(
    connection: Connection,
    event: StepAcknowledged | StepApproved | StepSkipped | StepAssigned,
    incident: Incident,
    names: Names,
) -> Iterator[Problem]:
    """Yield the problems of an action on a step."""
    step_id, stored = event.data.step, steps_of(connection, incident.id)
    if step_id not in stored:
        message = f"incident '{incident.id}' has no step '{step_id}'"
        yield Problem(("data", "step"), message, f"one of: {', '.join(stored)}", nearest(step_id, stored))
        return
    # An answer to a reminder or to an escalation is an answer to the step behind it.
    row = stored.get(stored[step_id].step.base, stored[step_id])
    step = row.step
    if isinstance(event, StepApproved) and step.approval is None and step.report is None:
        yield Problem(("data", "step"), f"step '{step_id}' needs no approval", "a step that awaits one")
    elif isinstance(event, StepAcknowledged) and step.awaits is not Awaits.ACKNOWLEDGEMENT:
        message = f"step '{step_id}' awaits {step.awaits or 'no action'}, not an acknowledgement"
        yield Problem(("data", "step"), message, "a step that awaits an acknowledgement")
    elif isinstance(event, StepApproved | StepAcknowledged) and row.state in (StepState.PENDING, StepState.WITHDRAWN):
        if row.started_at is not None or row.state is StepState.WITHDRAWN:
            yield Problem(("data", "step"), f"step '{step_id}' no longer awaits an action", "a step that is open")
            return
        message = f"step '{step_id}' has not started: its message is not written yet"
        yield Problem(
            ("data", "step"), message, f"a step that has started; this one is due at {step.due_at.isoformat()}"
        )
    if isinstance(event, StepAssigned):
        yield from unknown_problems(("data", "to"), "contact or audience", event.data.to, names.people)
    yield from too_early(event, incident)


def gap_problems(connection: Connection, case_id: str, event: Event, fulfils: str | None) -> Iterator[Problem]:
    """Yield a problem for each report with empty required fields that an event would approve or hand in."""
    if not isinstance(event, StepApproved | StepCompleted) or event.data.with_gaps:
        return
    stored = steps_of(connection, case_id)
    base = stored[event.data.step].step.base if event.data.step is not None else None
    is_submission = isinstance(event, StepCompleted)
    for row in stored.values():
        step = row.step
        if row.state in (StepState.SKIPPED, StepState.WITHDRAWN) or (row.approved and not is_submission):
            continue  # a report that is given up goes nowhere, and only the first approval counts
        # A completion hands in the report of each step that waits for its obligation, also those it does not name.
        if step.report is None or (step.id != base and (fulfils is None or step.fulfils != fulfils)):
            continue
        empty = empty_fields(connection, case_id, step.report, step.instance, is_submission=is_submission)
        if empty:
            message = f"required fields of '{step.report}' are empty: {', '.join(empty['en'])}"
            expected = "true if it must go without them; fill them in with the event report.written"
            yield Problem(("data", "with_gaps"), message, expected)


def too_early(event: Event, incident: Incident) -> list[Problem]:
    """Return a problem if an event occurred before its incident began."""
    started_at = incident.first_event_at
    if started_at is None or event.occurred_at >= started_at:
        return []
    message = f"{event.occurred_at.isoformat()} is before the incident began ({started_at.isoformat()})"
    return [Problem(("occurred_at",), message, "when it was done")]
