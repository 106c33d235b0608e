"""Run the cases that stand beside the law in a pack."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from incident_engine.errors import Problem
from incident_engine.facts.events import EventType, OutageEvent, Recorded
from incident_engine.facts.incident import fold
from incident_engine.facts.values import NEVER, write_duration
from incident_engine.grading.assess import Reached, assess
from incident_engine.grading.conditions import leaves
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


def uncovered_limits(pack: Pack) -> Iterator[Problem]:
    """Yield a problem for each limit of time that lacks a case just below, exactly on or above it."""
    for place, rule in enumerate(pack.rules):
        for limit in leaves(rule.when):
            wanted = limit.for_.at_least or limit.for_.more_than or timedelta(0)
            lengths = [length for case in pack.cases if (length := _shortest_of(case, limit.least)) is not None]
            missing = [
                name
                for name, is_there in (
                    (
                        "just below (by less than a minute)",
                        any(_A_MINUTE > wanted - has > timedelta(0) for has in lengths),
                    ),
                    ("exactly on", wanted in lengths),
                    ("above", any(has > wanted for has in lengths)),
                )
                if not is_there
            ]
            if missing:
                limited = f"the limit of {write_duration(wanted)} in {limit.least} region(s)"
                said = f"no case is {' or '.join(missing)} {limited}"
                yield Problem(
                    ("rules", place, "when"), f"rule '{rule.id}' ({rule.cite}): {said}", "such cases under cases"
                )


_A_MINUTE = timedelta(minutes=1)


def _shortest_of(case: Case, number: int) -> timedelta | None:
    """Return how long the last of exactly so many regions is down; None if more or fewer are."""
    totals = sorted((_total(spans) for spans in case.down.values()), reverse=True)
    return totals[-1] if len(totals) == number else None


def _total(spans: list[Span]) -> timedelta:
    return sum((span[1] - span[0] if len(span) > 1 else _FOR_EVER for span in spans), timedelta(0))


_FOR_EVER = timedelta(days=36_500)
