"""Checks of people's events against their case, and the fields that are filled in before an event is stored."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from incident_engine.common.errors import Path, Problem
from incident_engine.common.validation import nearest, unknown_problems
from incident_engine.config.settings import Settings
from incident_engine.domain.events.actions import (
    IncidentClosed,
    ReportWritten,
    StepAcknowledged,
    StepAdded,
    StepApproved,
    StepAssigned,
    StepCompleted,
    StepSkipped,
)
from incident_engine.domain.events.model import Event, ImpactMeasured, LevelCorrected
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.closing_check import closing_problem
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.reports.definition import report_entry_problems
from incident_engine.domain.response.step import Awaits, StepState
from incident_engine.domain.rulebook import Rulebook
from incident_engine.store.events import events_of
from incident_engine.store.steps import steps_of

STEP_ACTIONS = (StepAcknowledged, StepApproved, StepSkipped, StepAssigned)
"""Actions on a step, which they name."""
NAMING = (StepCompleted, LevelCorrected, ImpactMeasured, StepAdded, ReportWritten, *STEP_ACTIONS)
"""Events that name something of their incident's packs or steps."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of this bank that people's events may use."""

    people: Sequence[str] = ()
    """Contacts and audiences to whom a step can be assigned."""
    steps: Sequence[str] = ()
    """Steps of the playbooks that can be added."""
    report_entry_problems: Callable[[ReportWritten], Iterable[Problem]] = lambda _: ()


def names_of(settings: Settings, rulebook: Rulebook) -> Names:
    """Return the names that the settings and the rules define."""
    templates = [step for playbook in rulebook.playbooks for step in playbook.steps]
    return Names(
        people=settings.people.names,
        # A person can add any step but those that the law or another person's task brings.
        steps=[step.id for step in templates if step.on.obligation is None and not step.on.task_added],
        report_entry_problems=lambda event: report_entry_problems(event, rulebook.reports.definitions),
    )


def checked(
    connection: Connection, event: Event, incident: Incident, packs: Sequence[Pack], names: Names
) -> Event | list[Problem]:
    """Return the event as it is to be stored, or the problems of its names. The primary pack is the first."""
    match event:
        case StepAcknowledged() | StepApproved() | StepSkipped() | StepAssigned():
            return list(_action_problems(connection, event, incident, names)) or event
        case StepAdded(data=task):
            problems = list(unknown_problems(("data", "step"), "step", task.step, names.steps)) if task.step else []
            if task.assignee is not None:
                problems += unknown_problems(("data", "assignee"), "contact or audience", task.assignee, names.people)
            return problems or event
        case ReportWritten():
            return list(names.report_entry_problems(event)) or event
        case StepCompleted():
            return _completed(connection, event, incident, packs)
        case LevelCorrected():
            event = with_default_pack(event, packs[0].pack)
            return [*_too_early(event, incident), *name_problems(event, packs)] or event
        case _:
            return list(name_problems(event, packs)) or event


def closing_problems(
    connection: Connection, event: IncidentClosed, case_id: str, observation: timedelta
) -> list[Problem]:
    """Return the problem of closing an incident as it was known at that time; none if it may be closed."""
    # Later events may have re-opened it; a closing that arrives late is judged as of its own time.
    until = event.occurred_at
    recorded = [earlier for earlier in events_of(connection, case_id) if earlier.event.occurred_at <= until]
    problem = closing_problem(fold(case_id, recorded), until, observation)
    return [] if problem is None else [problem]


def name_problems(event: Event, packs: Sequence[Pack]) -> Iterator[Problem]:
    """Yield a problem for each figure, obligation, pack and level in an event that no pack has."""
    match event:
        case ImpactMeasured():
            yield from _measure_problems(event, packs)
        case StepCompleted(data=completion) if completion.fulfils is not None:
            obligations = sorted({obligation.id for pack in packs for obligation in pack.obligations})
            yield from unknown_problems(("data", "fulfils"), "obligation", completion.fulfils, obligations)
        case LevelCorrected(data=correction) if correction.pack is not None:
            by_id = {pack.pack: pack for pack in packs}
            yield from unknown_problems(("data", "pack"), "pack", correction.pack, by_id)
            if correction.pack in by_id and correction.level is not None:
                levels = by_id[correction.pack].severity
                yield from unknown_problems(("data", "level"), f"level of {correction.pack}", correction.level, levels)
        case _:
            return


def with_default_pack(event: Event, primary: str) -> Event:
    """Return a correction of a level with its pack filled in: the primary one if it names none."""
    if not isinstance(event, LevelCorrected) or event.data.pack is not None:
        return event
    return event.model_copy(update={"data": event.data.model_copy(update={"pack": primary})})


def _measure_problems(event: ImpactMeasured, packs: Sequence[Pack]) -> Iterator[Problem]:
    kinds: dict[str, set[str]] = {}
    for pack in packs:
        for name, measure in pack.measures.items():
            kinds.setdefault(name, set()).add(measure.kind)
    for name, value in event.data.measures.items():
        path: Path = ("data", "measures", name)
        if name not in kinds:
            listed = f"one of: {', '.join(kinds)}" if kinds else "another pack: none of this incident's knows measures"
            yield Problem(path, f"unknown measure '{name}'", listed, nearest(name, kinds))
        elif ("yes_no" if isinstance(value, bool) else "number") not in kinds[name]:
            expected = "true or false" if "yes_no" in kinds[name] else "a number"
            yield Problem(path, f"{json.dumps(value)} is no answer to '{name}'", expected)


def _completed(
    connection: Connection, event: StepCompleted, incident: Incident, packs: Sequence[Pack]
) -> StepCompleted | list[Problem]:
    """Return the event with the obligation that its step fulfils, or its problems."""
    completion = event.data
    stored = steps_of(connection, incident.id)
    problems = _too_early(event, incident)
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
    if problems:
        return problems
    # Stored with the event: the playbook, and with it the step, may be another one when the event is read again.
    fulfils = completion.fulfils or (stored[completion.step].step.fulfils if completion.step else None)
    return event.model_copy(update={"data": completion.model_copy(update={"fulfils": fulfils})})


def _action_problems(
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
    yield from _too_early(event, incident)


def _too_early(event: Event, incident: Incident) -> list[Problem]:
    started_at = incident.first_event_at
    if started_at is None or event.occurred_at >= started_at:
        return []
    message = f"{event.occurred_at.isoformat()} is before the incident began ({started_at.isoformat()})"
    return [Problem(("occurred_at",), message, "when it was done")]
