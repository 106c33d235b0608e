"""Downtime of regions by an interpretation of the regulation: the intervals that count, and their totals.

A segment is (start, end) in UTC, half-open. Times "down" are lengths of time that count, not of wall-clock time.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import combinations, product

from incident_engine.domain.calendar.service_hours import (
    ALWAYS,
    HORIZON,
    Interrupted,
    Segment,
    ServiceHours,
    closed_from,
    elapsed,
    intersection,
    reach_within,
    union,
)
from incident_engine.domain.calendar.service_hours import reach as reach_length
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import RecoveryEstimated, RepairFailed
from incident_engine.domain.grading.conditions import RegionsDown
from incident_engine.domain.grading.forecast_point import ForecastPoint
from incident_engine.domain.grading.interpretation import (
    Counting,
    Degraded,
    Flapping,
    HoursClock,
    Interpretation,
    InterpretationPoint,
    OutsideHours,
    Services,
)
from incident_engine.domain.incidents.incident import Impairment, Incident, Outage, segments_of
from incident_engine.domain.values import NEVER


@dataclass(frozen=True, slots=True)
class _Line:
    """The impairments of one service in a region (wall-clock time), with the hours in which they count."""

    hours: ServiceHours
    segments: tuple[Segment, ...]


class Downtime:
    """The downtime of an incident in regions whose codes begin with `region_prefix`, by one interpretation.

    `hours` maps services to their service hours; a service without an entry is always open.
    """

    def __init__(
        self,
        incident: Incident,
        hours: Mapping[str, ServiceHours],
        region_prefix: str = "",
        interpretation: Interpretation = Interpretation(),  # noqa: B008 - frozen
    ) -> None:
        self.incident = incident
        self.interpretation = interpretation
        self._hours = hours
        self._prefix = region_prefix
        self._met: dict[tuple[str, timedelta, HoursClock | None], datetime] = {}  # many rules share a limit
        self._by_region: dict[str, list[Outage]] = {}
        for outage in incident.outages:
            if interpretation.degraded is Degraded.DOWN_ONLY:
                down = tuple(i for i in outage.intervals if i.impairment is Impairment.DOWN)
                outage = replace(outage, intervals=down)  # noqa: PLW2901 - the outage as far as it counts
            if outage.intervals and outage.region.startswith(region_prefix):
                self._by_region.setdefault(outage.region, []).append(outage)

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """Return the regions hit, sorted."""
        return tuple(sorted(self._by_region))

    def interpreted_as(self, interpretation: Interpretation) -> "Downtime":
        """Return the downtime of the same incident by another interpretation."""
        return Downtime(self.incident, self._hours, self._prefix, interpretation)

    def since(self, instant: datetime) -> "Downtime":
        """Return the downtime without intervals, harms and figures up to an instant, which a correction overruled."""
        outages = (
            replace(o, intervals=tuple(i for i in o.intervals if i.start > instant)) for o in self.incident.outages
        )
        later = replace(
            self.incident,
            outages=tuple(outage for outage in outages if outage.intervals),
            reported=self.incident.reported.replaced(
                HarmAssessed, (harm for harm in self.incident.events(HarmAssessed) if harm.occurred_at > instant)
            ),
            measurements=tuple(measurement for measurement in self.incident.measurements if measurement.at > instant),
        )
        return Downtime(later, self._hours, self._prefix, self.interpretation)

    def is_independent_of(self, point: InterpretationPoint) -> bool:
        """Return True only if no other value of `point` can change the result."""
        outages = [outage for outages in self._by_region.values() for outage in outages]
        match point:
            case InterpretationPoint.COUNTING:
                shapes = (
                    tuple((id(self._hours.get(o.service, ALWAYS)), o.maintenance, segments_of([o])) for o in outages)
                    for outages in self._by_region.values()
                )
                return len(set(shapes)) < 2  # regions that are down alike have all their downtime in common
            case InterpretationPoint.FLAPPING:
                groups = (group for outages in self._by_region.values() for group in self._groups(outages))
                return len(segments_of(outages)) <= 1 and all(len(segments_of(group)) == 1 for group in groups)
            case InterpretationPoint.DEGRADED:
                kinds = {i.impairment for o in self.incident.outages for i in o.intervals}
                return Impairment.DEGRADED not in kinds
            case InterpretationPoint.SERVICES:
                return len({outage.service for outage in outages}) <= 1
            case InterpretationPoint.CLOCK:
                return all(self._hours.get(o.service, ALWAYS) is ALWAYS and not o.maintenance for o in outages)
            case InterpretationPoint.OUTSIDE_HOURS:
                return not self.incident.events(RepairFailed)

    # Regions and totals

    def outages_in(self, region: str) -> Sequence[Outage]:
        """Return the outages that count in one region, one for each service."""
        return self._by_region[region]

    def segments(self, region: str, clock: HoursClock | None = None) -> Iterator[Segment]:
        """Yield the segments that count in one region, in order and without overlap.

        For an open outage of a service with hours there is one for each service day until the year 9998.
        """
        return _segments(self._lines(self._by_region[region], clock))

    def elapsed(self, region: str, clock: HoursClock | None, until: datetime) -> timedelta:
        """Return the total downtime of one region before `until`."""
        totals: list[timedelta] = []
        for group in self._groups(self._by_region[region]):
            lines = self._lines(group, clock)
            hours = _shared_hours(lines)
            before = [(start, min(end, until)) for start, end in segments_of(group) if start < until]
            if hours is None:
                lengths = [elapsed(_segments(lines, segment), until) for segment in before]
            else:
                lengths = [hours.elapsed(*segment) for segment in before]
            is_longest = self.interpretation.flapping is Flapping.LONGEST_RUN
            totals.append(max(lengths, default=timedelta(0)) if is_longest else sum(lengths, timedelta(0)))
        return max(totals)

    def reach_in(self, region: str, least: timedelta, clock: HoursClock | None) -> datetime:
        """Return the instant at which one region has been down for `least`, or NEVER."""
        key = region, least, clock
        if key not in self._met:
            self._met[key] = self._reach(self._by_region[region], least, clock)
        return self._met[key]

    def regions_meeting(self, limits: Sequence[RegionsDown], until: datetime) -> tuple[tuple[str, datetime], ...]:
        """Return the regions that met the earliest of several limits up to an instant, as (region, instant)."""
        if not limits:
            return ()
        first = min(limits, key=lambda limit: self.reach(limit.least, limit.for_.least, limit.clock))
        met = ((self.reach_in(region, first.for_.least, first.clock), region) for region in self.regions)
        return tuple((region, instant) for instant, region in sorted(met) if instant <= until)

    def first_in(self, region: str) -> datetime:
        """Return the start of the first segment that counts in one region, or NEVER."""
        return self.reach_in(region, timedelta(0), None)

    def reach_anywhere(self, least: timedelta, clock: HoursClock | None) -> datetime:
        """Return the instant at which the union of all regions has been down for `least`, or NEVER."""
        everywhere = [outage for outages in self._by_region.values() for outage in outages]
        return self._reach(everywhere, least, clock) if everywhere else NEVER

    def reach_countries(self, count: int, among: Collection[str] = ()) -> datetime:
        """Return the instant at which downtime has hit `count` countries, of those `among` if any are given, or NEVER.

        Countries are the ISO 3166-1 codes with which the regions' codes begin.
        """
        first: dict[str, datetime] = {}
        for region in self.regions:
            country = region.partition("-")[0]
            if not among or country in among:
                first[country] = min(first.get(country, NEVER), self.first_in(region))
        hit = sorted(first.values())  # `first` may hold NEVER: outages in closed hours hit no country
        return hit[count - 1] if len(hit) >= count else NEVER

    def reach(self, count: int, least: timedelta, clock: HoursClock | None) -> datetime:
        """Return the instant at which `count` regions have been down for `least`, or NEVER.

        By `Counting.CONCURRENT` it is the earliest at which any `count` regions have `least` of downtime in common.
        """
        if count > len(self._by_region):
            return NEVER
        own = sorted((self.reach_in(region, least, clock), region) for region in self._by_region)
        if count == 1 or self.interpretation.counting is Counting.OWN:
            return own[count - 1][0]
        earliest = NEVER
        for latest in range(count - 1, len(own)):  # regions have nothing in common before each has enough of its own
            if own[latest][0] >= earliest:  # no group with this region or a later one can come earlier
                break
            for others in combinations(own[:latest], count - 1):
                groups = [self._groups(self._by_region[region]) for _, region in (*others, own[latest])]
                # By `per_service_max` each service is a group: regions are down together by any one service each.
                for choice in product(*groups):
                    earliest = min(earliest, self._reach_together(choice, least, clock))
        return earliest

    def guessed_years(self, until: datetime) -> tuple[int, ...]:
        """Return the years of outages before `until` for which no official days off are published."""
        years = [
            self._hours_of(outage, HoursClock.SERVICE_HOURS).guessed_years(
                interval.start, max(interval.start, min(interval.end, until))
            )
            for outages in self._by_region.values()
            for outage in outages
            for interval in outage.intervals
        ]
        return tuple(sorted(frozenset().union(*years)))

    # Forecasts (Art. 9, clause 3 of each level)

    def forecast_points(self) -> tuple[ForecastPoint, ...]:
        """Return the forecast points of all repair failures, in order of time.

        A repair failure has one when it is reported, and one for each later estimate. If the service is open then, the
        point is the next closing instead.
        """
        if self.interpretation.outside_hours is OutsideHours.OFF:
            return ()
        points: set[ForecastPoint] = set()
        estimated = [estimate.occurred_at for estimate in self.incident.events(RecoveryEstimated)]
        for failed in self.incident.events(RepairFailed):
            failed_at = failed.occurred_at
            instants = [failed_at, *(at for at in estimated if at > failed_at)]
            outages = [outage for outages in self._by_region.values() for outage in outages]
            for outage in (outage for outage in outages if failed.concerns(outage.service, outage.region)):
                hours = self._hours_of(outage, HoursClock.SERVICE_HOURS)
                for start, end in segments_of([outage]):
                    closed = [closed_from(hours, at) for at in instants if start <= failed_at and start <= at < end]
                    points |= {
                        ForecastPoint(at, self.incident.latest_expected_recovery(at)) for at in closed if at < end
                    }
        return tuple(sorted(points, key=lambda point: point.at))

    def expected_at(self, point: ForecastPoint) -> "Downtime":
        """Return the downtime expected at a forecast point: unrepaired outages last until their expected recovery.

        Without an estimate they never end: the worst credible case. All other outages end at the point.
        """
        at, lasting = point.at, self.incident.unrepaired(point.at)
        outages: list[Outage] = []
        for outage in self.incident.outages:
            end = (self.incident.expected_recovery(outage, at) or NEVER) if outage in lasting else at
            started = [interval for interval in outage.intervals if interval.start <= at]
            intervals = tuple(i if i.end <= at else replace(i, end=end, ended_by=None) for i in started)
            if intervals:
                outages.append(replace(outage, intervals=intervals))
        expected = replace(self.incident, outages=tuple(outages))
        return Downtime(expected, self._hours, self._prefix, self.interpretation)

    # Addition by the interpretation

    def _groups(self, outages: Sequence[Outage]) -> list[Sequence[Outage]]:
        if self.interpretation.services is Services.UNION:  # overlaps are merged where segments are added
            return [outages]
        return [[o for o in outages if o.service == service] for service in sorted({o.service for o in outages})]

    def _reach(self, outages: Sequence[Outage], least: timedelta, clock: HoursClock | None) -> datetime:
        if not least:  # any downtime: `hours.reach` would return the start even of a segment without open hours
            return next((start for start, end in _segments(self._lines(outages, clock)) if start < end), NEVER)
        accumulate = self.interpretation.flapping is Flapping.ACCUMULATE
        reached: list[datetime] = []
        for group in self._groups(outages):
            lines = self._lines(group, clock)
            hours = _shared_hours(lines)
            if hours is not None:
                reached.append(reach_within(hours, segments_of(group), least, accumulate=accumulate))
            elif accumulate:
                reached.append(reach_length(_segments(lines), least))
            else:
                reached += [reach_length(_segments(lines, segment), least) for segment in segments_of(group)]
        return min(reached, default=NEVER)

    def _reach_together(
        self, groups: Sequence[Sequence[Outage]], least: timedelta, clock: HoursClock | None
    ) -> datetime:
        """Return the instant at which all groups of outages have been down at once for `least`, or NEVER."""
        horizon, accumulate = self._horizon, self.interpretation.flapping is Flapping.ACCUMULATE
        cut = [[(start, min(end, horizon)) for start, end in segments_of(group) if start < horizon] for group in groups]
        segments = list(intersection([iter(group) for group in cut]))
        lines = [self._lines(group, clock) for group in groups]
        hours = _shared_hours([line for group in lines for line in group])
        if hours is not None:
            return reach_within(hours, segments, least, accumulate=accumulate)
        common = (intersection([_segments(group, segment) for group in lines]) for segment in segments)
        if accumulate:
            return reach_length((part for parts in common for part in parts), least)
        return min((reach_length(parts, least) for parts in common), default=NEVER)

    @cached_property
    def _horizon(self) -> datetime:
        # Open outages with different hours may never coincide, and their segments would go on until the year 9998.
        edges = [t for o in self.incident.outages for i in o.intervals for t in (i.start, i.end) if t < NEVER]
        return max(edges) + HORIZON

    def _lines(self, outages: Sequence[Outage], clock: HoursClock | None) -> list[_Line]:
        return [
            _Line(
                self._hours_of(outage, clock or self.interpretation.clock),
                tuple((i.start, i.end) for i in outage.intervals),
            )
            for outage in outages
        ]

    def _hours_of(self, outage: Outage, clock: HoursClock) -> ServiceHours:
        if clock is HoursClock.WALL_CLOCK:
            return ALWAYS
        hours = self._hours.get(outage.service, ALWAYS) if clock is HoursClock.SERVICE_HOURS else ALWAYS
        return Interrupted(hours, outage.maintenance) if outage.maintenance else hours


def _shared_hours(lines: Sequence[_Line]) -> ServiceHours | None:
    """Return the hours of all lines if they are the same object, else None."""
    hours = lines[0].hours  # by identity: equal but separate hours only miss the shortcut
    return hours if all(line.hours is hours for line in lines) else None


def _segments(lines: Sequence[_Line], within: Segment | None = None) -> Iterator[Segment]:
    """Yield the union of the segments that count in each line, within a segment."""
    start, end = within or (None, NEVER)
    return union(
        line.hours.segments(segment[0] if start is None else max(segment[0], start), min(segment[1], end))
        for line in lines
        for segment in line.segments
    )
