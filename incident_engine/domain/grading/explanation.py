"""Explanation of an assessment for lawyers: each rule with its conditions, and the facts and totals behind them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from incident_engine.domain.calendar.service_hours import Segment, ServiceHours
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.grading.conditions import Condition
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.forecast_point import ForecastPoint
from incident_engine.domain.grading.pack import Pack, Rule
from incident_engine.domain.grading.reach import reach
from incident_engine.domain.incidents.incident import Incident, Interval, Measurement

_LONG_AFTER = timedelta(days=400)
"""The length for which the worst credible case (no estimate of the recovery) is shown."""


@dataclass(frozen=True, slots=True)
class ExplainedRegion:
    """One region's part in a limit: reported outages, segments that count, total, and the instant of the limit."""

    region: str
    reported: tuple[tuple[str, Interval], ...]
    """(service, interval)."""
    maintenance: tuple[tuple[str, datetime, datetime], ...]
    """(service, start, end) of announced windows."""
    counted: tuple[Segment, ...]
    """The segments that count up to the instant of the explanation, without overlap."""
    total: timedelta
    """The sum, the longest run or the total of the worst service, by the pack's interpretation."""
    at: datetime
    """The instant at which the region meets the limit, or NEVER."""


@dataclass(frozen=True, slots=True)
class ExplainedCondition:
    """A condition with the instant at which it holds, and either its parts or the facts that meet it."""

    kind: str
    """The key of the condition in the pack, such as `any` or `regions_down`."""
    at: datetime
    """NEVER if it will not hold as things are."""
    limit: Mapping[str, Any]
    """The condition as the pack states it, without its parts."""
    parts: "tuple[ExplainedCondition, ...]" = ()
    regions: tuple[ExplainedRegion, ...] = ()
    harms: tuple[HarmAssessed, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    forecast_point: ForecastPoint | None = None
    """Of a forecast: its instant, and the recovery expected then."""


@dataclass(frozen=True, slots=True)
class ExplainedRule:
    """A rule with its explained condition; `at` is NEVER if the rule will not be reached as things are."""

    rule: Rule
    at: datetime
    when: ExplainedCondition


def explain(
    incident: Incident, pack: Pack, hours: Mapping[str, ServiceHours], now: datetime
) -> tuple[ExplainedRule, ...]:
    """Explain every rule of the pack as of `now`, in the pack's order; return none if the pack was not in force."""
    if incident.occurred_at is None or not pack.is_in_force(incident.occurred_at):
        return ()
    downtime = Downtime(incident, hours, pack.region_prefix, pack.interpretation)
    explained = ((rule, _condition(rule.when, downtime, pack, now)) for rule in pack.rules)
    return tuple(ExplainedRule(rule, when.at, when) for rule, when in explained)


def _condition(condition: Condition, downtime: Downtime, pack: Pack, now: datetime) -> ExplainedCondition:
    at = reach(condition, downtime, pack.conditions)
    kind = next(iter(condition.model_fields_set))
    limit = condition.model_dump(mode="json", by_alias=True, exclude_none=True)[kind]
    if condition.parts:
        parts = tuple(_condition(part, downtime, pack, now) for part in condition.parts)
        own = {"at_least": limit["at_least"]} if condition.n_of is not None else {}
        return ExplainedCondition(kind, at, own, parts)
    if condition.regions_down is not None:
        regions = _regions(condition, downtime, min(now, at))
        return ExplainedCondition(kind, at, limit, regions=regions)
    if condition.forecast is not None:
        point = next((point for point in downtime.forecast_points() if point.at == at), None)
        if point is None:
            return ExplainedCondition(kind, at, limit)
        # The expected downtime is explained up to the recovery that was expected, not up to now.
        until = point.recovery_at or point.at + _LONG_AFTER
        expected = _condition(pack.conditions[condition.forecast.rule], downtime.expected_at(point), pack, until)
        return ExplainedCondition(kind, at, limit, (expected,), forecast_point=point)
    harms = tuple(
        harm
        for harm in downtime.incident.events(HarmAssessed)
        if condition.harm is not None and condition.harm.is_met_by(harm.data)
    )
    measurements = tuple(
        figure
        for figure in downtime.incident.measurements
        if condition.measured is not None and condition.measured.is_met_by(figure.name, figure.value)
    )
    return ExplainedCondition(kind, at, limit, harms=harms, measurements=measurements)


def _regions(condition: Condition, downtime: Downtime, until: datetime) -> tuple[ExplainedRegion, ...]:
    limit = condition.regions_down
    assert limit is not None  # noqa: S101 - the caller has checked it
    clock = limit.clock
    # `takewhile`, since the segments of an open outage go on for thousands of years.
    return tuple(
        ExplainedRegion(
            region=region,
            reported=tuple((o.service, i) for o in downtime.outages_in(region) for i in o.intervals if i.start < until),
            maintenance=tuple(
                (o.service, *part) for o in downtime.outages_in(region) for part in o.maintenance if part[0] < until
            ),
            counted=tuple(
                (start, min(end, until))
                for start, end in takewhile(lambda segment: segment[0] < until, downtime.segments(region, clock))
            ),
            total=downtime.elapsed(region, clock, until),
            at=downtime.reach_in(region, limit.for_.least, clock),
        )
        for region in downtime.regions
    )
