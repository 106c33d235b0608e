"""Run the test cases of a pack, and check the first and last days on which it is in force."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from incident_engine.common.errors import Problem
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case import SERVICE, PackCase
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Incident

_A_DAY = timedelta(days=1)
_LONG_AFTER = timedelta(days=3_650)

Step = tuple[timedelta, str | None, str | None]
"""(time since the case's midnight, level, rule id)."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of a case: the level history, and the deadlines by obligation."""

    incident: Incident
    history: tuple[LevelChange, ...]
    provisional: bool
    """As of the last event."""
    due: dict[str, datetime]
    """By key (id, or id.instance); the first instance also by the obligation's id alone."""


def failing_cases(pack: Pack) -> Iterator[Problem]:
    """Yield a problem for each difference between a case's expectations and its result."""
    for index, case in enumerate(pack.cases):
        day = day_of(case, pack)
        result = run_case(case, pack, day)
        wanted: list[Step] = [(e.at, e.level, e.rule) for e in case.expect]
        # Steps beyond those expected show their rules, too.
        named = [e.rule is not None for e in case.expect] + [True] * len(result.history)
        steps = [
            (step.at - day, step.level, (step.rule or None) if is_named else None)
            for step, is_named in zip(result.history, named, strict=False)
        ]
        if steps != wanted:
            problem = f"case '{case.name}' gives {_format_steps(steps)}"
            yield Problem(("cases", index, "expect"), problem, _format_steps(wanted))
        if case.provisional is not None and result.provisional is not case.provisional:
            problem = f"case '{case.name}' is {'' if result.provisional else 'not '}provisional"
            yield Problem(("cases", index, "provisional"), problem, str(case.provisional).lower())
        for key, offset in case.due.items():
            due_at = result.due.get(key)
            if due_at != day + offset:
                problem = f"case '{case.name}': '{key}' is {'due ' + _clock(due_at - day) if due_at else 'not due'}"
                yield Problem(("cases", index, "due", key), problem, _clock(offset))


def day_of(case: PackCase, pack: Pack) -> datetime:
    """Return the midnight from which a case's times count, in the pack's time zone."""
    return pack.midnight(case.day or pack.in_force.from_)


def run_case(case: PackCase, pack: Pack, day: datetime) -> CaseResult:
    """Return the result of a case whose times count from `day`."""
    events = case.history(day)
    incident = fold("case", [Recorded(event, event.occurred_at) for event in events])
    interpreted = pack
    if case.interpretation:
        interpreted = pack.model_copy(update={"interpretation": case.interpret(pack.interpretation)})
    hours = {SERVICE: case.service_hours(ZoneInfo(pack.timezone))}
    last = max((event.occurred_at for event in events), default=day)
    # Deadlines and the provisional state are those of the last event: long after, all would be overdue.
    at_last = assess(incident, interpreted, hours, last)
    after = assess(incident, interpreted, hours, day + _LONG_AFTER)  # its trajectory has every level change
    due = {status.key: status.due_at for status in at_last.obligations if status.due_at is not None}
    for status in at_last.obligations:
        if status.due_at is not None:
            due.setdefault(status.id, status.due_at)
    return CaseResult(incident, after.trajectory, at_last.provisional, due)


def out_of_force(pack: Pack) -> Iterator[Problem]:
    """Yield a problem for each day around the first and the last in force on which a case is wrongly graded or not."""
    case = next((case for case in pack.cases if case.expect and case.expect[0].level is not None), None)
    if case is None:
        return
    # Dates of a law are easily off by one; `until` is exclusive.
    edges = [pack.in_force.from_, *([pack.in_force.until] if pack.in_force.until else [])]
    for edge in edges:
        for day in (edge - _A_DAY, edge, edge + _A_DAY):
            is_graded = bool(run_case(case, pack, pack.midnight(day)).history)
            is_wanted = pack.in_force.from_ <= day and (pack.in_force.until is None or day < pack.in_force.until)
            if is_graded != is_wanted:
                problem = f"case '{case.name}' on {day} gives {'a' if is_graded else 'no'} level"
                yield Problem(("in_force",), problem, f"{'a' if is_wanted else 'no'} level")


def _format_steps(steps: list[Step]) -> str:
    parts = [f"{level} at {_clock(at)}" + (f" by {rule}" if rule else "") for at, level, rule in steps]
    return ", ".join(parts) or "no level"


def _clock(at: timedelta) -> str:
    minutes, seconds = divmod(at.total_seconds(), 60)
    hours, minutes = divmod(int(minutes), 60)
    fraction = f":{seconds:09.6f}".rstrip("0").rstrip(".") if seconds else ""
    return f"{hours:02}:{minutes:02}{fraction}"
