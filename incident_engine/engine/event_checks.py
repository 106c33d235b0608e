"""Whether what a person's event names exists; and what it leaves unsaid, filled in before it is stored."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from incident_engine.common.errors import Path, Problem
from incident_engine.common.validation import nearest, unknown_problems
from incident_engine.domain.events.actions import (
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
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.response.step import Awaits, StepState
from incident_engine.store.events import events_of
from incident_engine.store.steps import steps_of

_NOT_YET = (StepState.PENDING, StepState.WITHDRAWN)
STEP_ACTIONS = (StepAcknowledged, StepApproved, StepSkipped, StepAssigned)
"""What people do with a step that they name."""
NAMING = (StepCompleted, LevelCorrected, ImpactMeasured, StepAdded, ReportWritten, *STEP_ACTIONS)
"""The events that name something of their incident's packs or steps."""


@dataclass(frozen=True, slots=True)
class Names:
    """What this bank has that people can name: whom to hand a step to, steps that can be added, report fields."""

    people: Sequence[str] = ()
    steps: Sequence[str] = ()
    wrong_writing: Callable[[ReportWritten], Iterable[Problem]] = lambda _: ()


def checked(
    connection: Connection, event: Event, case_id: str, packs: Sequence[Pack], known: Names
) -> Event | list[Problem]:
    """Return the event as it is to be stored, or what is wrong with what it names. The primary pack is the first."""
    match event:
        case StepAcknowledged() | StepApproved() | StepSkipped() | StepAssigned():
            return list(_action_problems(connection, event, case_id, known)) or event
        case StepAdded(data=said):
            problems = list(unknown_problems(("data", "step"), "step", said.step, known.steps)) if said.step else []
            if said.assignee is not None:
                problems += unknown_problems(("data", "assignee"), "contact or audience", said.assignee, known.people)
            return problems or event
        case ReportWritten():
            return list(known.wrong_writing(event)) or event
        case StepCompleted():
            return _completed(connection, event, case_id, packs)
        case LevelCorrected():
            return _corrected(connection, event, case_id, packs)
        case ImpactMeasured():
            return list(measure_problems(event, packs)) or event
        case _:
            return event


def measure_problems(event: ImpactMeasured, packs: Sequence[Pack]) -> Iterator[Problem]:
    """Yield a problem for each figure that no pack knows, and for each of the wrong kind."""
    kinds: dict[str, set[str]] = {}
    for pack in packs:
        for name, measure in pack.measures.items():
            kinds.setdefault(name, set()).add(measure.kind)
    for name, value in event.data.measures.items():
        where: Path = ("data", "measures", name)
        if name not in kinds:
            listed = f"one of: {', '.join(kinds)}" if kinds else "another pack: none of this incident's knows measures"
            yield Problem(where, f"unknown measure '{name}'", listed, nearest(name, kinds))
        elif ("yes_no" if isinstance(value, bool) else "number") not in kinds[name]:
            expected = "true or false" if "yes_no" in kinds[name] else "a number"
            yield Problem(where, f"{json.dumps(value)} is no answer to '{name}'", expected)


def _completed(
    connection: Connection, event: StepCompleted, case_id: str, packs: Sequence[Pack]
) -> StepCompleted | list[Problem]:
    """Return the event with the obligation that its step fulfils, or what is wrong with what it names."""
    given = event.data
    stored = steps_of(connection, case_id)
    obligations = sorted({demand.id for pack in packs for demand in pack.obligations})
    problems = _too_early(connection, event.occurred_at, case_id)
    if given.step is None and given.fulfils is None:
        problems.append(Problem(("data",), "does not say what was completed", "step or fulfils"))
    if given.step is not None and given.step not in stored:
        said = f"incident '{case_id}' has no step '{given.step}'"
        problems.append(Problem(("data", "step"), said, f"one of: {', '.join(stored)}", nearest(given.step, stored)))
    if given.fulfils is not None:
        problems += unknown_problems(("data", "fulfils"), "obligation", given.fulfils, obligations)
    if given.step in stored and stored[given.step].step.base in stored:
        base = stored[stored[given.step].step.base].step
        if base.approval is not None:
            said = f"step '{given.step}' awaits an approval, not a completion"
            problems.append(Problem(("data", "step"), said, "step.approved, or step.skipped with a reason"))
    if problems:
        return problems
    fulfils = given.fulfils or (stored[given.step].step.fulfils if given.step else None)
    return event.model_copy(update={"data": given.model_copy(update={"fulfils": fulfils})})


def _action_problems(
    connection: Connection,
    event: StepAcknowledged | StepApproved | StepSkipped | StepAssigned,
    case_id: str,
    known: Names,
) -> Iterator[Problem]:
    """Yield what is wrong with what a person did to a step."""
    named, stored = event.data.step, steps_of(connection, case_id)
    if named not in stored:
        said = f"incident '{case_id}' has no step '{named}'"
        yield Problem(("data", "step"), said, f"one of: {', '.join(stored)}", nearest(named, stored))
        return
    found = stored.get(stored[named].step.base, stored[named])
    base = found.step
    if isinstance(event, StepApproved) and base.approval is None and base.report is None:
        yield Problem(("data", "step"), f"step '{named}' needs no approval", "a step that awaits one")
    elif isinstance(event, StepAcknowledged) and base.awaits is not Awaits.ACKNOWLEDGEMENT:
        said = f"step '{named}' awaits {base.awaits or 'nobody'}, not an acknowledgement"
        yield Problem(("data", "step"), said, "a step that awaits an acknowledgement")
    elif isinstance(event, StepApproved | StepAcknowledged) and found.state in _NOT_YET:
        if found.started_at is not None or found.state is StepState.WITHDRAWN:
            yield Problem(("data", "step"), f"step '{named}' waits for nobody any more", "a step that is open")
            return
        said = f"step '{named}' has not begun: what it will say is not written yet"
        yield Problem(("data", "step"), said, f"a step that has begun; this one is due at {base.due_at.isoformat()}")
    if isinstance(event, StepAssigned):
        yield from unknown_problems(("data", "to"), "contact or audience", event.data.to, known.people)
    yield from _too_early(connection, event.occurred_at, case_id)


def _corrected(
    connection: Connection, event: LevelCorrected, case_id: str, packs: Sequence[Pack]
) -> LevelCorrected | list[Problem]:
    """Return the event with the pack that it is about, or what is wrong with what it names."""
    given = event.data
    by_id = {pack.pack: pack for pack in packs}
    about = given.pack or packs[0].pack
    problems = _too_early(connection, event.occurred_at, case_id)
    problems += correction_problems(about, given.level, by_id)
    return problems or event.model_copy(update={"data": given.model_copy(update={"pack": about})})


def correction_problems(pack: str, level: str | None, packs: Mapping[str, Pack]) -> Iterator[Problem]:
    """Yield a problem if a correction is about a pack that is not there, or a level that the pack does not have."""
    yield from unknown_problems(("data", "pack"), "pack", pack, packs)
    if pack in packs and level is not None:
        yield from unknown_problems(("data", "level"), f"level of {pack}", level, packs[pack].severity)


def _too_early(connection: Connection, at: datetime, case_id: str) -> list[Problem]:
    began = fold(case_id, events_of(connection, case_id)).first_event_at
    if began is None or at >= began:
        return []
    said = f"{at.isoformat()} is before the incident began ({began.isoformat()})"
    return [Problem(("occurred_at",), said, "when it was done")]
