"""Run the cases that stand beside the law in a pack."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from incident_engine.errors import Problem
from incident_engine.facts.events import EventType, OutageEvent, Recorded
from incident_engine.facts.incident import fold
from incident_engine.facts.values import NEVER
from incident_engine.grading.assess import Reached, assess
from incident_engine.grading.pack import Case, Pack, Span

_SERVICE = "case"


def failing_cases(pack: Pack) -> Iterator[Problem]:
    """Yield a problem for each case whose trajectory is not the expected one."""
    day = datetime.combine(pack.in_force.from_, datetime.min.time(), UTC)
    for place, case in enumerate(pack.cases):
        wanted = [(e.at, e.level, e.rule) for e in case.expect]
        rules = [e.rule for e in case.expect]
        steps = trajectory_of(case, pack, day)
        got = [
            (step.at - day, step.level, step.rule if place >= len(rules) or rules[place] else None)
            for place, step in enumerate(steps)
        ]
        if got != wanted:
            message = f"case '{case.name}' gives {_spelled(got)}"
            yield Problem(("cases", place, "expect"), message, _spelled(wanted))


def trajectory_of(case: Case, pack: Pack, day: datetime) -> tuple[Reached, ...]:
    """Return the whole trajectory of a case whose times count from `day`."""
    events: list[OutageEvent] = []
    for region, spans in case.down.items():
        for place, span in enumerate(spans):
            events += _events(f"{region}/{place}", region, span, day)
    incident = fold("case", [Recorded(event, event.occurred_at) for event in events])
    return assess(incident, pack, {}, NEVER).trajectory


def _events(key: str, region: str, span: Span, day: datetime) -> Iterator[OutageEvent]:
    kinds = (EventType.OUTAGE_STARTED, EventType.OUTAGE_RESTORED)
    for kind, offset in zip(kinds, span, strict=False):
        yield OutageEvent.model_validate(
            {
                "source": "case",
                "id": f"{key}/{kind}",
                "type": kind,
                "service": _SERVICE,
                "regions": [region],
                "occurred_at": day + offset,
            }
        )


def _spelled(steps: list[tuple[timedelta, str, str | None]]) -> str:
    parts = [f"{level} at {_clock(at)}" + (f" by {rule}" if rule else "") for at, level, rule in steps]
    return ", ".join(parts) or "no level"


def _clock(at: timedelta) -> str:
    minutes, seconds = divmod(at.total_seconds(), 60)
    hours, minutes = divmod(int(minutes), 60)
    fraction = f":{seconds:09.6f}".rstrip("0").rstrip(".") if seconds else ""
    return f"{hours:02}:{minutes:02}{fraction}"
