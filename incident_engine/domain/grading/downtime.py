"""The time in which regions cannot do business, as a regulation is read: what counts, and how it adds up."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import combinations, product

from incident_engine.domain.calendar.service_hours import ALWAYS, Interrupted, Segment, ServiceHours, elapsed, union
from incident_engine.domain.calendar.service_hours import reach as reach_length
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import RecoveryEstimated, RepairFailed
from incident_engine.domain.grading.interpretation import (
    Counting,
    Degraded,
    Flapping,
    HoursClock,
    Interpretation,
    OutsideHours,
    Services,
)
from incident_engine.domain.incidents.incident import Impairment, Incident, Outage
from incident_engine.domain.values import NEVER

_HORIZON = timedelta(days=400)
"""How far beyond the last known change regions with different hours are searched for time in common."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One service's impairments in a region, with the hours in which they count."""

    hours: ServiceHours
    spans: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class ForecastPoint:
    """An instant at which an unrepaired failure met closed doors, and when recovery was expected then (None: open)."""

    at: datetime
    recovery_at: datetime | None


class Downtime:
    """The downtime of an incident in the regions of a country, by one reading."""

    def __init__(
        self,
        incident: Incident,
        hours: Mapping[str, ServiceHours],
        region_prefix: str = "",
        reading: Interpretation = Interpretation(),  # noqa: B008 - frozen
    ) -> None:
        self.incident = incident
        self.interpretation = reading
        self._hours = hours
        self._prefix = region_prefix
        self._met: dict[tuple[str, timedelta, HoursClock | None], datetime] = {}
        self._by_region: dict[str, list[Outage]] = {}
        for outage in incident.outages:
            counted = outage if reading.degraded is Degraded.COUNTS else _down_only(outage)
            if counted.intervals and outage.region.startswith(region_prefix):
                self._by_region.setdefault(outage.region, []).append(counted)

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """Return the regions hit, sorted."""
        return tuple(sorted(self._by_region))

    def interpreted_as(self, reading: Interpretation) -> "Downtime":
        """Return the same downtime by another reading."""
        return Downtime(self.incident, self._hours, self._prefix, reading)

    def since(self, instant: datetime) -> "Downtime":
        """Return what began, was judged or became known after an instant."""
        outages = (
            replace(o, intervals=tuple(i for i in o.intervals if i.start > instant)) for o in self.incident.outages
        )
        later = replace(
            self.incident,
            outages=tuple(outage for outage in outages if outage.intervals),
            reported=self.incident.reported.replaced(
                HarmAssessed, (harm for harm in self.incident.events(HarmAssessed) if harm.occurred_at > instant)
            ),
            measurements=tuple(found for found in self.incident.measurements if found.at > instant),
        )
        return Downtime(later, self._hours, self._prefix, self.interpretation)

    def is_same_by(self, name: str) -> bool:
        """Return whether it is plain that another value of a point of the reading can make no difference here."""
        outages = [outage for outages in self._by_region.values() for outage in outages]
        match name:
            case "counting":
                return len({self._shape(outages) for outages in self._by_region.values()}) < 2
            case "flapping":
                groups = (group for outages in self._by_region.values() for group in self._groups(outages))
                return len(_spans(outages)) <= 1 and all(len(_spans(group)) == 1 for group in groups)
            case "degraded":
                kinds = {i.impairment for o in self.incident.outages for i in o.intervals}
                return Impairment.DEGRADED not in kinds
            case "services":
                return len({outage.service for outage in outages}) <= 1
            case "clock":
                return all(self._hours.get(o.service, ALWAYS) is ALWAYS and not o.maintenance for o in outages)
            case _:
                return not self.incident.events(RepairFailed)

    # Where and how long

    def outages_in(self, region: str) -> Sequence[Outage]:
        """Return the outages that count in one region, by service."""
        return self._by_region[region]

    def segments(self, region: str, clock: HoursClock | None = None) -> Iterator[Segment]:
        """Yield the stretches that count in one region, in order and without overlap; lazily, they may be endless."""
        return _segments(self._lines(self._by_region[region], clock))

    def elapsed(self, region: str, clock: HoursClock | None, until: datetime) -> timedelta:
        """Return how long one region could not do business before `until`."""
        return self._elapsed(self._by_region[region], clock, until)

    def reach_in(self, region: str, least: timedelta, clock: HoursClock | None) -> datetime:
        """Return when one region has been down for so long."""
        key = region, least, clock
        if key not in self._met:
            self._met[key] = self._reach(self._by_region[region], least, clock)
        return self._met[key]

    def first_in(self, region: str) -> datetime:
        """Return when what counts in one region began; NEVER if nothing counts."""
        return self.reach_in(region, timedelta(0), None)

    def reach_anywhere(self, least: timedelta, clock: HoursClock | None) -> datetime:
        """Return when something has been down somewhere for so long, all regions taken together."""
        everywhere = [outage for outages in self._by_region.values() for outage in outages]
        return self._reach(everywhere, least, clock) if everywhere else NEVER

    def reach(self, count: int, least: timedelta, clock: HoursClock | None) -> datetime:
        """Return when so many regions have been down for so long."""
        if count > len(self._by_region):
            return NEVER
        own = sorted((self.reach_in(region, least, clock), region) for region in self._by_region)
        if count == 1 or self.interpretation.counting is Counting.OWN:
            return own[count - 1][0]
        found = NEVER
        for latest in range(count - 1, len(own)):  # regions have nothing in common before each has enough of its own
            if own[latest][0] >= found:
                break
            for others in combinations(own[:latest], count - 1):
                names = [region for _, region in (*others, own[latest])]
                found = min(found, self._reach_in_common(names, least, clock))
        return found

    def guessed_years(self, until: datetime) -> tuple[int, ...]:
        """Return the years before `until` whose days off are not officially published but decide what counts."""
        years = [
            self._hours_of(outage, HoursClock.SERVICE_HOURS).guessed_years(
                interval.start, max(interval.start, min(interval.end, until))
            )
            for outages in self._by_region.values()
            for outage in outages
            for interval in outage.intervals
        ]
        return tuple(sorted(frozenset().union(*years)))

    # What may come (Art. 9, clause 3)

    def moments(self) -> tuple[ForecastPoint, ...]:
        """Return when an unrepaired failure met closed doors: as it was said, as an estimate came, or at closing."""
        if self.interpretation.outside_hours is OutsideHours.OFF:
            return ()
        found: set[ForecastPoint] = set()
        estimated = [estimate.occurred_at for estimate in self.incident.events(RecoveryEstimated)]
        for failed in self.incident.events(RepairFailed):
            failed_at = failed.occurred_at
            said = [failed_at, *(at for at in estimated if at > failed_at)]
            outages = [outage for outages in self._by_region.values() for outage in outages]
            for outage in (outage for outage in outages if failed.concerns(outage.service, outage.region)):
                hours = self._hours_of(outage, HoursClock.SERVICE_HOURS)
                for start, end in _spans([outage]):
                    closed = [_closed_from(hours, at) for at in said if start <= failed_at and start <= at < end]
                    found |= {ForecastPoint(at, self._recovery_at(at)) for at in closed if at < end}
        return tuple(sorted(found, key=lambda moment: moment.at))

    def _recovery_at(self, at: datetime) -> datetime | None:
        """Return when all that was not repaired was expected back; None if of anything it was not known."""
        expected = [self._expected(outage, at) for outage in self._unrepaired(at)]
        known = [instant for instant in expected if instant is not None]
        return max(known) if known and len(known) == len(expected) else None

    def _unrepaired(self, at: datetime) -> list[Outage]:
        """Return what was impaired at an instant and had been said not to be repaired."""
        failures = [failure for failure in self.incident.events(RepairFailed) if failure.occurred_at <= at]
        return [
            outage
            for outage in self.incident.outages
            for start, end in _spans([outage])
            if start <= at < end
            and any(f.concerns(outage.service, outage.region) and f.occurred_at >= start for f in failures)
        ]

    def _expected(self, outage: Outage, at: datetime) -> datetime | None:
        """Return when recovery was expected at an instant, by the latest word; an expectation gone by is none."""
        estimates = self.incident.events(RecoveryEstimated)
        said = [
            e.data.recovery_at for e in estimates if e.occurred_at <= at and e.concerns(outage.service, outage.region)
        ]
        return said[-1] if said and said[-1] > at else None

    def expected_at(self, moment: ForecastPoint) -> "Downtime":
        """Return what was to be expected at a moment: what was not repaired goes on until its recovery."""
        lasting = self._unrepaired(moment.at)
        ends = {
            (o.service, o.region): (self._expected(o, moment.at) or NEVER) if o in lasting else moment.at
            for o in self.incident.outages
        }
        outages = (_as_expected(o, moment.at, ends[o.service, o.region]) for o in self.incident.outages)
        expected = replace(self.incident, outages=tuple(outage for outage in outages if outage.intervals))
        return Downtime(expected, self._hours, self._prefix, self.interpretation)

    # How it adds up

    def _shape(self, outages: Sequence[Outage]) -> tuple[object, ...]:
        return tuple((id(self._hours.get(o.service, ALWAYS)), o.maintenance, _spans([o])) for o in outages)

    def _groups(self, outages: Sequence[Outage]) -> list[Sequence[Outage]]:
        if self.interpretation.services is Services.UNION:
            return [outages]
        return [[o for o in outages if o.service == service] for service in sorted({o.service for o in outages})]

    def _reach(self, outages: Sequence[Outage], least: timedelta, clock: HoursClock | None) -> datetime:
        if not least:  # anything that counts at all
            return next((start for start, end in _segments(self._lines(outages, clock)) if start < end), NEVER)
        groups = self._groups(outages)
        return min(self._reach_of(self._lines(group, clock), _spans(group), least) for group in groups)

    def _reach_of(self, lines: Sequence[_Line], spans: Sequence[Segment], least: timedelta) -> datetime:
        hours = _shared_hours(lines)
        if hours is not None:
            return self._reach_spans(hours, spans, least)
        if self.interpretation.flapping is Flapping.LONGEST_RUN:
            return min((reach_length(_segments(lines, span), least) for span in spans), default=NEVER)
        return reach_length(_segments(lines), least)

    def _reach_spans(self, hours: ServiceHours, spans: Iterable[Segment], least: timedelta) -> datetime:
        """Return when enough of ordered, disjoint spans has passed; sums kept by year answer."""
        found = NEVER
        for start, end in spans:
            reached = hours.reach(start, least)
            if reached <= end:
                found = min(found, reached)
                break
            if self.interpretation.flapping is Flapping.ACCUMULATE:
                least -= hours.elapsed(start, end)
        return found

    def _elapsed(self, outages: Sequence[Outage], clock: HoursClock | None, until: datetime) -> timedelta:
        groups = self._groups(outages)
        return max(self._elapsed_of(self._lines(group, clock), _spans(group), until) for group in groups)

    def _elapsed_of(self, lines: Sequence[_Line], spans: Sequence[Segment], until: datetime) -> timedelta:
        begun = [(start, min(end, until)) for start, end in spans if start < until]
        hours = _shared_hours(lines)
        if hours is None:
            lengths = [elapsed(_segments(lines, span), until) for span in begun]
        else:
            lengths = [hours.elapsed(*span) for span in begun]
        if self.interpretation.flapping is Flapping.LONGEST_RUN:
            return max(lengths, default=timedelta(0))
        return sum(lengths, timedelta(0))

    def _reach_in_common(self, names: Sequence[str], least: timedelta, clock: HoursClock | None) -> datetime:
        """Return when the time that regions were down together has grown to `least`."""
        groups = [self._groups(self._by_region[name]) for name in names]
        return min(self._reach_together(choice, least, clock) for choice in product(*groups))

    def _reach_together(
        self, groups: Sequence[Sequence[Outage]], least: timedelta, clock: HoursClock | None
    ) -> datetime:
        spans = list(_intersection([iter(_cut(_spans(group), self._horizon)) for group in groups]))
        lines = [self._lines(group, clock) for group in groups]
        hours = _shared_hours([line for each in lines for line in each])
        if hours is not None:
            return self._reach_spans(hours, spans, least)
        if self.interpretation.flapping is Flapping.LONGEST_RUN:
            return min((reach_length(_common(lines, span), least) for span in spans), default=NEVER)
        return reach_length((part for span in spans for part in _common(lines, span)), least)

    @cached_property
    def _horizon(self) -> datetime:
        """Return how far regions are compared: those with different hours may never meet."""
        edges = [t for o in self.incident.outages for i in o.intervals for t in (i.start, i.end) if t < NEVER]
        return max(edges) + _HORIZON

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


def _down_only(outage: Outage) -> Outage:
    return replace(outage, intervals=tuple(i for i in outage.intervals if i.impairment is Impairment.DOWN))


def _spans(outages: Sequence[Outage]) -> tuple[Segment, ...]:
    """Return the wall-clock stretches in which anything is impaired, in order and without overlap."""
    return tuple(union(iter([(i.start, i.end) for i in outage.intervals]) for outage in outages))


def _shared_hours(lines: Sequence[_Line]) -> ServiceHours | None:
    """Return the hours of all lines, if they are the same."""
    hours = lines[0].hours
    return hours if all(line.hours is hours for line in lines) else None


def _segments(lines: Sequence[_Line], within: Segment | None = None) -> Iterator[Segment]:
    """Yield what counts of any line, within a stretch."""
    start, end = within or (None, NEVER)
    return union(
        line.hours.segments(span[0] if start is None else max(span[0], start), min(span[1], end))
        for line in lines
        for span in line.spans
    )


def _common(lines: Sequence[Sequence[_Line]], within: Segment) -> Iterator[Segment]:
    return _intersection([_segments(each, within) for each in lines])


def _cut(spans: Iterable[Segment], end: datetime) -> list[Segment]:
    return [(start, min(stop, end)) for start, stop in spans if start < end]


def _intersection(streams: Sequence[Iterator[Segment]]) -> Iterator[Segment]:
    """Yield the stretches that ordered streams of disjoint segments have in common."""
    heads = [next(stream, None) for stream in streams]
    while True:
        known = [head for head in heads if head is not None]
        if len(known) < len(heads):
            return
        start, end = max(head[0] for head in known), min(head[1] for head in known)
        if start < end:
            yield start, end
        heads = [next(stream, None) if head[1] == end else head for stream, head in zip(streams, known, strict=True)]


def _closed_from(hours: ServiceHours, instant: datetime) -> datetime:
    """Return the first instant, not before the given one, at which the service is closed; NEVER if it never is."""
    at = instant
    for start, end in hours.segments(instant, NEVER):
        if start > at:
            return at
        at = end
        if at == NEVER or at - instant > _HORIZON:
            break
    return NEVER


def _as_expected(outage: Outage, at: datetime, recovery_at: datetime) -> Outage:
    begun = [interval for interval in outage.intervals if interval.start <= at]
    return replace(
        outage, intervals=tuple(i if i.end <= at else replace(i, end=recovery_at, ended_by=None) for i in begun)
    )
