"""Run the cases that stand beside the law in a pack, and sweep the days from which it is and is not in force."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from incident_engine.common.errors import Problem
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assessment import assess
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case import SERVICE, PackCase
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Incident

_A_DAY = timedelta(days=1)
_LONG_AFTER = timedelta(days=3_650)

Step = tuple[timedelta, str | None, str | None]
"""When, which level, by which rule."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What a case came to."""

    incident: Incident
    course: tuple[LevelChange, ...]
    provisional: bool
    due: dict[str, datetime]


def failing_cases(pack: Pack) -> Iterator[Problem]:
    """Yield a problem for each case that comes to something else than expected."""
    for place, case in enumerate(pack.cases):
        day = day_of(case, pack)
        found = run_case(case, pack, day)
        yield from _wrong_course(place, case, found, day)
        if case.provisional is not None and found.provisional is not case.provisional:
            said = f"case '{case.name}' is {'' if found.provisional else 'not '}provisional"
            yield Problem(("cases", place, "provisional"), said, str(case.provisional).lower())
        for key, offset in case.due.items():
            due_at = found.due.get(key)
            if due_at != day + offset:
                said = f"case '{case.name}': '{key}' is {'due ' + _clock(due_at - day) if due_at else 'not due'}"
                yield Problem(("cases", place, "due", key), said, _clock(offset))


def _wrong_course(place: int, case: PackCase, found: CaseResult, day: datetime) -> Iterator[Problem]:
    wanted: list[Step] = [(e.at, e.level, e.rule) for e in case.expect]
    named = [e.rule is not None for e in case.expect] + [True] * len(found.course)
    got: list[Step] = [
        (step.at - day, step.level, (step.rule or None) if is_named else None)
        for step, is_named in zip(found.course, named, strict=False)
    ]
    if got != wanted:
        yield Problem(("cases", place, "expect"), f"case '{case.name}' gives {_spelled(got)}", _spelled(wanted))


def day_of(case: PackCase, pack: Pack) -> datetime:
    """Return the midnight from which a case's times count."""
    return _midnight(case.day or pack.in_force.from_, pack)


def run_case(case: PackCase, pack: Pack, day: datetime) -> CaseResult:
    """Return what a case comes to if its times count from `day`, looked at long after."""
    events = case.history(day)
    incident = fold("case", [Recorded(event, event.occurred_at) for event in events])
    read = pack.model_copy(update={"interpretation": case.read(pack.interpretation)}) if case.interpretation else pack
    hours = {SERVICE: case.service_hours(ZoneInfo(pack.timezone))}
    last = max((event.occurred_at for event in events), default=day)
    then = assess(incident, read, hours, last)
    after = assess(incident, read, hours, day + _LONG_AFTER)
    due = {status.key: status.due_at for status in then.obligations if status.due_at is not None}
    for status in then.obligations:  # the first instance also by the obligation's name alone
        if status.due_at is not None:
            due.setdefault(status.id, status.due_at)
    return CaseResult(incident, after.trajectory, then.provisional, due)


def out_of_force(pack: Pack) -> Iterator[Problem]:
    """Yield a problem for each day, around those on which the pack begins and ceases, with the wrong verdict."""
    case = next((case for case in pack.cases if case.expect and case.expect[0].level is not None), None)
    if case is None:
        return
    edges = [pack.in_force.from_, *([pack.in_force.until] if pack.in_force.until else [])]
    for edge in edges:
        for day in (edge - _A_DAY, edge, edge + _A_DAY):
            is_graded = bool(run_case(case, pack, _midnight(day, pack)).course)
            is_wanted = pack.in_force.from_ <= day and (pack.in_force.until is None or day < pack.in_force.until)
            if is_graded != is_wanted:
                said = f"case '{case.name}' on {day} gives {'a' if is_graded else 'no'} level"
                yield Problem(("in_force",), said, f"{'a' if is_wanted else 'no'} level")


def _midnight(day: date, pack: Pack) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(pack.timezone))


def _spelled(steps: list[Step]) -> str:
    parts = [f"{level} at {_clock(at)}" + (f" by {rule}" if rule else "") for at, level, rule in steps]
    return ", ".join(parts) or "no level"


def _clock(at: timedelta) -> str:
    minutes, seconds = divmod(at.total_seconds(), 60)
    hours, minutes = divmod(int(minutes), 60)
    fraction = f":{seconds:09.6f}".rstrip("0").rstrip(".") if seconds else ""
    return f"{hours:02}:{minutes:02}{fraction}"
