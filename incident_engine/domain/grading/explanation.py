"""A verdict taken apart for a reader of law: each rule, its conditions, the facts and the sums that they rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
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
from incident_engine.domain.grading.conditions import Condition, reach
from incident_engine.domain.grading.downtime import Downtime, ForecastPoint
from incident_engine.domain.grading.pack import Pack, Rule
from incident_engine.domain.incidents.incident import Incident, Interval, Measurement
from incident_engine.domain.regions import region_name

_LONG_AFTER = timedelta(days=400)
"""How far the worst credible case is followed."""


@dataclass(frozen=True, slots=True)
class ExplainedRegion:
    """One region's part in a limit: what was reported, what of it counts, the sum, and when the limit was met."""

    region: str
    reported: tuple[tuple[str, Interval], ...]
    """By service."""
    maintenance: tuple[tuple[str, datetime, datetime], ...]
    counted: tuple[Segment, ...]
    """What counts, up to the instant that is explained; no minute twice."""
    total: timedelta
    """By the pack's reading: the sum, or the longest run, or that of the worst service."""
    at: datetime


@dataclass(frozen=True, slots=True)
class ExplainedCondition:
    """A condition: of what kind, when it holds, and either the parts of which it is made or the facts that meet it."""

    kind: str
    at: datetime
    limit: Mapping[str, Any]
    """The condition as the pack states it, without its parts."""
    parts: "tuple[ExplainedCondition, ...]" = ()
    regions: tuple[ExplainedRegion, ...] = ()
    harms: tuple[HarmAssessed, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    moment: ForecastPoint | None = None
    """For a forecast: when it was made, and the recovery expected then."""


@dataclass(frozen=True, slots=True)
class ExplainedRule:
    """A rule with its clause, and the condition taken apart; `at` is NEVER if it is not reached as things are."""

    rule: Rule
    at: datetime
    when: ExplainedCondition


def explain(
    incident: Incident, pack: Pack, hours: Mapping[str, ServiceHours], now: datetime
) -> tuple[ExplainedRule, ...]:
    """Return every rule of the pack taken apart as of `now`, in the pack's order; none if it was not in force."""
    if incident.occurred_at is None or not pack.is_in_force(incident.occurred_at):
        return ()
    downtime = Downtime(incident, hours, pack.region_prefix, pack.interpretation)
    explained = ((rule, _condition(rule.when, downtime, pack, now)) for rule in pack.rules)
    return tuple(ExplainedRule(rule, when.at, when) for rule, when in explained)


def _condition(condition: Condition, downtime: Downtime, pack: Pack, now: datetime) -> ExplainedCondition:
    at = reach(condition, downtime, pack.conditions)
    kind = next(iter(condition.model_fields_set))
    given = condition.model_dump(mode="json", by_alias=True, exclude_none=True)[kind]
    if condition.parts:
        parts = tuple(_condition(part, downtime, pack, now) for part in condition.parts)
        limit = {"at_least": given["at_least"]} if condition.n_of is not None else {}
        return ExplainedCondition(kind, at, limit, parts)
    if condition.regions_down is not None:
        regions = _regions(condition, downtime, min(now, at))
        return ExplainedCondition(kind, at, given, regions=regions)
    if condition.forecast is not None:
        return _forecast(condition.forecast.rule, at, given, downtime, pack)
    harms = tuple(
        harm
        for harm in downtime.incident.events(HarmAssessed)
        if condition.harm is not None and condition.harm.is_met_by(harm)
    )
    found = tuple(
        m for m in downtime.incident.measurements if condition.measured is not None and condition.measured.is_met_by(m)
    )
    return ExplainedCondition(kind, at, given, harms=harms, measurements=found)


def _regions(condition: Condition, downtime: Downtime, until: datetime) -> tuple[ExplainedRegion, ...]:
    limit = condition.regions_down
    assert limit is not None  # noqa: S101 - its caller saw to it
    return tuple(
        ExplainedRegion(
            region=region,
            reported=tuple((o.service, i) for o in downtime.outages_in(region) for i in o.intervals if i.start < until),
            maintenance=tuple(
                (o.service, *part) for o in downtime.outages_in(region) for part in o.maintenance if part[0] < until
            ),
            counted=_until(downtime, region, condition, until),
            total=downtime.elapsed(region, limit.clock, until),
            at=downtime.reach_in(region, limit.for_.least, limit.clock),
        )
        for region in downtime.regions
    )


def _until(downtime: Downtime, region: str, condition: Condition, until: datetime) -> tuple[Segment, ...]:
    counted: list[Segment] = []
    for start, end in downtime.segments(region, condition.regions_down.clock if condition.regions_down else None):
        if start >= until:
            break
        counted.append((start, min(end, until)))
    return tuple(counted)


def _forecast(rule: str, at: datetime, given: Mapping[str, Any], downtime: Downtime, pack: Pack) -> ExplainedCondition:
    moments = downtime.moments()
    moment = next((each for each in moments if each.at == at), None)
    if moment is None:
        return ExplainedCondition("forecast", at, given)
    expected = downtime.expected_at(moment)
    part = _condition(pack.conditions[rule], expected, pack, moment.recovery_at or moment.at + _LONG_AFTER)
    return ExplainedCondition("forecast", at, given, (part,), moment=moment)


def explanation_document(rules: Sequence[ExplainedRule], zone: tzinfo) -> list[dict[str, Any]]:
    """Return an explanation as JSON values. Instants in local time."""
    return [
        {
            "rule": each.rule.id,
            "level": each.rule.level,
            "cite": each.rule.cite,
            "says": each.rule.says.as_mapping(),
            "at": to_local_iso(each.at, zone),
            "when": _condition_document(each.when, zone),
        }
        for each in rules
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
        document["measurements"] = [measurement_document(found, zone) for found in condition.measurements]
    if condition.moment is not None:
        document["recovery_expected_at"] = to_local_iso(condition.moment.recovery_at, zone)
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
