"""An incident: the facts of it, as `fold` makes them of events."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from incident_engine.domain.calendar.service_hours import Segment, union
from incident_engine.domain.events.case_events import E, EventsByType
from incident_engine.domain.events.fields import Figure
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import ImpactMeasured, RecoveryEstimated, RepairFailed
from incident_engine.domain.handling import Handling
from incident_engine.domain.values import NEVER


class Impairment(StrEnum):
    """How badly a service works."""

    DOWN = "down"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True)
class Interval:
    """[start, end) of one impairment; `end` is NEVER while it lasts."""

    start: datetime
    end: datetime
    impairment: Impairment
    started_by: tuple[str, str] = field(default=("", ""), compare=False)
    """(source, id) of the event that began it."""
    ended_by: tuple[str, str] | None = field(default=None, compare=False)
    known_at: datetime | None = field(default=None, compare=False)
    """When we received the event that began it."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One service's impairments in one region, in order and without overlap."""

    service: str
    region: str
    intervals: tuple[Interval, ...]
    maintenance: tuple[tuple[datetime, datetime], ...] = ()
    """Announced maintenance that bears on the impairments, as (start, end), without overlap."""

    @property
    def occurred_at(self) -> datetime | None:
        """Return the start. An outage within announced maintenance starts with its overrun, or never (None)."""
        return next((start for start, _ in self.unannounced), None)

    @property
    def unannounced(self) -> Iterator[tuple[datetime, datetime]]:
        """Yield the impairments as (start, end), each from the end of the maintenance in which it began."""
        for interval in self.intervals:
            began = interval.start
            for start, end in self.maintenance:
                if start <= began < end:
                    began = end
            if began < interval.end:
                yield began, interval.end


def segments_of(outages: Iterable[Outage]) -> tuple[Segment, ...]:
    """Return the wall-clock segments in which any of the outages lasts, in order and without overlap."""
    # A set first: in a storm hundreds of outages begin and end at the same few instants.
    return tuple(union([iter(sorted({(i.start, i.end) for outage in outages for i in outage.intervals}))]))


@dataclass(frozen=True, slots=True)
class LateStart:
    """The beginning of an impairment that was reported late, and the event that reported it."""

    known_at: datetime
    """When we received the event."""
    began_at: datetime
    event: tuple[str, str]
    """(source, id)."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure of the impact. An event can report several."""

    at: datetime
    name: str
    value: Figure
    by: str


@dataclass(frozen=True, slots=True)
class Closing:
    """A closing: the person, or the engine, and the instant."""

    at: datetime
    by: str
    reason: str | None = None
    overdue: tuple[tuple[str, str], ...] = ()
    """The obligations that were overdue then, each with the person's reason."""


@dataclass(frozen=True)  # no slots: properties that look at every outage are kept
class Incident:
    """The facts of an incident."""

    id: str
    outages: tuple[Outage, ...] = ()
    first_event_at: datetime | None = None
    detected_at: datetime | None = None
    """When the first event reached us."""
    reported: EventsByType = EventsByType()  # noqa: RUF009 - frozen
    """The events of people, without closings."""
    measurements: tuple[Measurement, ...] = ()
    """The figures of the impact, in order of time. Kept apart because conditions read each by its name."""
    closing: Closing | None = None

    def events(self, kind: type[E]) -> tuple[E, ...]:
        """Return the events of one class that people reported, in order of occurrence."""
        return self.reported.get(kind)

    @property
    def handling(self) -> Handling:
        """Return the actions of people on the steps."""
        return Handling(self.reported)

    @property
    def recovery_at(self) -> datetime | None:
        """Return the latest estimate of the recovery."""
        estimates = self.events(RecoveryEstimated)
        return estimates[-1].data.recovery_at if estimates else None

    def unrepaired(self, at: datetime) -> list[Outage]:
        """Return the outages that last at an instant and whose repair has been reported as failed."""
        failures = [failure for failure in self.events(RepairFailed) if failure.occurred_at <= at]
        return [
            outage
            for outage in self.outages
            for start, end in segments_of([outage])
            if start <= at < end  # a failure counts for the outage in which it was reported, not for a later one
            and any(f.concerns(outage.service, outage.region) and f.occurred_at >= start for f in failures)
        ]

    def expected_recovery(self, outage: Outage, at: datetime) -> datetime | None:
        """Return the recovery that the latest estimate before an instant expected; None if that has passed already."""
        expected = [
            estimate.data.recovery_at
            for estimate in self.events(RecoveryEstimated)
            if estimate.occurred_at <= at and estimate.concerns(outage.service, outage.region)
        ]
        return expected[-1] if expected and expected[-1] > at else None

    def latest_expected_recovery(self, at: datetime) -> datetime | None:
        """Return the latest recovery expected at an instant for all unrepaired outages; None if one has no estimate."""
        expected = [self.expected_recovery(outage, at) for outage in self.unrepaired(at)]
        dated = [instant for instant in expected if instant is not None]
        return max(dated) if dated and len(dated) == len(expected) else None

    @property
    def root_causes(self) -> tuple[tuple[datetime, str], ...]:
        """Return the apparent root causes, each with the instant at which it was reported."""
        measured = self.events(ImpactMeasured)
        return tuple((e.occurred_at, e.data.root_cause) for e in measured if e.data.root_cause is not None)

    @cached_property
    def occurred_at(self) -> datetime | None:
        """Return when the first outage began, or the first harm (发生). The statutory clocks run from it."""
        instants = [outage.occurred_at for outage in self.outages if outage.occurred_at is not None]
        instants += [harm.occurred_at for harm in self.events(HarmAssessed)]
        # An incident wholly within announced maintenance has no occurrence, but it needs an instant to be filed under.
        instants = instants or [outage.intervals[0].start for outage in self.outages]
        return min(instants or [figure.at for figure in self.measurements if figure.value], default=None)

    @cached_property
    def is_down(self) -> bool:
        """Return whether anything is still impaired."""
        return any(o.intervals[-1].end == NEVER for o in self.outages)

    @cached_property
    def restored_at(self) -> datetime | None:
        """Return when the last outage ended, or None while anything is impaired or nothing was."""
        if self.is_down:
            return None
        return max((o.intervals[-1].end for o in self.outages), default=None)

    def late_starts(self, after: timedelta) -> list[LateStart]:
        """Return the beginnings that were reported later than `after`, each event once, in order of receipt."""
        starts = {
            LateStart(interval.known_at, interval.start, interval.started_by)
            for outage in self.outages
            for interval in outage.intervals
            if interval.known_at is not None and interval.known_at - interval.start > after
        }
        return sorted(starts, key=lambda start: (start.known_at, start.began_at, start.event))

    def is_impaired(self, service: str, regions: Collection[str]) -> bool:
        """Return whether a service is still impaired in any of the regions."""
        return any(o.service == service and o.region in regions and o.intervals[-1].end == NEVER for o in self.outages)

    @property
    def services(self) -> tuple[str, ...]:
        """Return the services hit, sorted."""
        return tuple(sorted({o.service for o in self.outages}))

    @property
    def regions(self) -> tuple[str, ...]:
        """Return the regions hit, sorted."""
        return tuple(sorted({o.region for o in self.outages}))

    def episodes(self, settle: timedelta) -> tuple[tuple[datetime, datetime], ...]:
        """Return the stretches in which anything was impaired; gaps shorter than `settle` do not part them."""
        parts: list[tuple[datetime, datetime]] = []
        for start, end in segments_of(self.outages):
            if parts and start - parts[-1][1] < settle:
                parts[-1] = parts[-1][0], end
            else:
                parts.append((start, end))
        return tuple(parts)
