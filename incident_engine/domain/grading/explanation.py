"""Explanation of an assessment for lawyers: each rule with its conditions, and the facts and totals behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import takewhile
from typing import Any

from incident_engine.domain.calendar.service_hours import Segment, ServiceHours
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.grading.assessment_document import (
    harm_document,
    interval_document,
    measurement_document,
    to_local_iso,
    window_document,
)
from incident_engine.domain.grading.conditions import Condition
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.forecast_point import ForecastPoint
from incident_engine.domain.grading.pack import Pack, Rule
from incident_engine.domain.grading.reach import reach
from incident_engine.domain.incidents.incident import Incident, Interval, Measurement
from incident_engine.domain.regions import region_name

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
        return _forecast(condition.forecast.rule, at, limit, downtime, pack)
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


def _forecast(rule: str, at: datetime, limit: Mapping[str, Any], downtime: Downtime, pack: Pack) -> ExplainedCondition:
    point = next((p for p in downtime.forecast_points() if p.at == at), None)
    if point is None:
        return ExplainedCondition("forecast", at, limit)
    # The expected downtime is explained up to the recovery that was expected, not up to now.
    expected = downtime.expected_at(point)
    part = _condition(pack.conditions[rule], expected, pack, point.recovery_at or point.at + _LONG_AFTER)
    return ExplainedCondition("forecast", at, limit, (part,), forecast_point=point)


def explanation_document(rules: Sequence[ExplainedRule], zone: tzinfo) -> list[dict[str, Any]]:
    """Return an explanation as JSON values, with instants in ISO 8601 and local time."""
    return [
        {
            "rule": explained.rule.id,
            "level": explained.rule.level,
            "cite": explained.rule.cite,
            "says": explained.rule.says.as_mapping(),
            "at": to_local_iso(explained.at, zone),
            "when": _condition_document(explained.when, zone),
        }
        for explained in rules
    ]


def _condition_document(condition: ExplainedCondition, zone: tzinfo) -> dict[str, Any]:
    document: dict[str, Any] = {
        "kind": condition.kind,
        "at": to_local_iso(condition.at, zone),
        "limit": condition.limit,
    }
    if condition.parts:
        document["parts"] = [_condition_document(part, zone) for part in condition.parts]
    if condition.regions:
        document["regions"] = [_region_document(region, zone) for region in condition.regions]
    if condition.harms:
        document["harms"] = [harm_document(harm, zone) for harm in condition.harms]
    if condition.measurements:
        document["measurements"] = [measurement_document(measurement, zone) for measurement in condition.measurements]
    if condition.forecast_point is not None:
        document["recovery_expected_at"] = to_local_iso(condition.forecast_point.recovery_at, zone)
    return document


def _region_document(region: ExplainedRegion, zone: tzinfo) -> dict[str, Any]:
    return {
        "region": region.region,
        "name": {locale: region_name(region.region, locale) for locale in ("zh-CN", "en")},
        "reported": [interval_document(service, interval, zone) for service, interval in region.reported],
        "maintenance": [window_document(*window, zone) for window in region.maintenance],
        "counted": [
            {
                "start": to_local_iso(start, zone),
                "end": to_local_iso(end, zone),
                "seconds": (end - start).total_seconds(),
            }
            for start, end in region.counted
        ],
        "total_seconds": region.total.total_seconds(),
        "at": to_local_iso(region.at, zone),
    }
