"""An incident: what is known of it. `folding` makes it of events."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from incident_engine.domain.calendar.service_hours import union
from incident_engine.domain.events.fields import Figure
from incident_engine.domain.events.harm import HarmData
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
    begun_by: tuple[str, str] = field(default=("", ""), compare=False)
    """(source, id) of the event that said so."""
    ended_by: tuple[str, str] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Outage:
    """One service's impairments in one region, in order and without overlap."""

    service: str
    region: str
    intervals: tuple[Interval, ...]
    maintenance: tuple[tuple[datetime, datetime], ...] = ()
    """What was announced as maintenance before the impairments began, from their beginning on; without overlap."""

    @property
    def occurred_at(self) -> datetime | None:
        """Return when it began; what began as announced maintenance begins with its overrun, or never."""
        for interval in self.intervals:
            began = interval.start
            for start, end in self.maintenance:
                if start <= began < end:
                    began = end
            if began < interval.end:
                return began
        return None


def _concerns(service: str | None, regions: Collection[str], outage: Outage) -> bool:
    return service in (None, outage.service) and (not regions or outage.region in regions)


@dataclass(frozen=True, slots=True)
class Completion:
    """A person did what was asked for."""

    at: datetime
    by: str
    step: str | None
    fulfils: str | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class StepAction:
    """A person acknowledged, approved, skipped (why) or handed over (to whom, why) a step."""

    at: datetime
    by: str
    step: str
    note: str | None = None
    to: str | None = None
    wording: Mapping[str, tuple[str, str]] = field(default_factory=dict, compare=False)
    """The approved subject and body by language, where a person changed them."""


@dataclass(frozen=True, slots=True)
class StepAddition:
    """A person added a step of a playbook, or a task in free words; `key` tells it apart from others."""

    at: datetime
    by: str
    reason: str
    key: str
    step: str | None = None
    title: str | None = None
    assignee: str | None = None
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """What a person wrote into a field of a report."""

    at: datetime
    by: str
    report: str
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learned, and what customers may read of it."""

    at: datetime
    by: str
    text: str
    for_customers: str | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """When a service (None: all) is expected back in some regions (none: all), and when that was said."""

    recovery_at: datetime
    said_at: datetime
    service: str | None = None
    regions: tuple[str, ...] = ()

    def concerns(self, outage: Outage) -> bool:
        """Return whether it is said of an outage."""
        return _concerns(self.service, self.regions, outage)


@dataclass(frozen=True, slots=True)
class Harm:
    """A person's judgement of a harm, and the service and regions that it names."""

    at: datetime
    judged: HarmData
    service: str | None = None
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure of the impact."""

    at: datetime
    name: str
    value: Figure
    by: str


@dataclass(frozen=True, slots=True)
class RepairFailure:
    """A failure was not repaired: of one service or of all, in some regions or in all."""

    at: datetime
    service: str | None
    regions: tuple[str, ...]
    by: str
    reason: str

    def concerns(self, outage: Outage) -> bool:
        """Return whether an outage is what was not repaired."""
        return _concerns(self.service, self.regions, outage)


@dataclass(frozen=True, slots=True)
class PlanFailure:
    """A plan or a decision did not work."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Correction:
    """A person's word on the level of a pack (None: of the primary one); a level of None is below the lowest."""

    at: datetime
    pack: str | None
    level: str | None
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Closing:
    """Who closed the incident, and when."""

    at: datetime
    by: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """What is known of an incident."""

    id: str
    outages: tuple[Outage, ...] = ()
    first_event_at: datetime | None = None
    detected_at: datetime | None = None
    """When the first event reached us."""
    estimates: tuple[Estimate, ...] = ()
    """In the order in which they were said."""
    harms: tuple[Harm, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    root_causes: tuple[tuple[datetime, str], ...] = ()
    repair_failures: tuple[RepairFailure, ...] = ()
    plan_failures: tuple[PlanFailure, ...] = ()
    corrections: tuple[Correction, ...] = ()
    completions: tuple[Completion, ...] = ()
    acknowledgements: tuple[StepAction, ...] = ()
    approvals: tuple[StepAction, ...] = ()
    skips: tuple[StepAction, ...] = ()
    assignments: tuple[StepAction, ...] = ()
    additions: tuple[StepAddition, ...] = ()
    report_entries: tuple[ReportEntry, ...] = ()
    lessons: tuple[Lesson, ...] = ()
    notes: tuple[tuple[datetime, str], ...] = ()
    closing: Closing | None = None

    @property
    def estimate(self) -> Estimate | None:
        """Return the latest estimate of the recovery."""
        return self.estimates[-1] if self.estimates else None

    @property
    def occurred_at(self) -> datetime | None:
        """Return when the first outage began, or the first harm (发生): from it the statutory clocks run."""
        begun = [outage.occurred_at for outage in self.outages if outage.occurred_at is not None]
        begun += [harm.at for harm in self.harms]
        begun = begun or [outage.intervals[0].start for outage in self.outages]
        return min(begun or [found.at for found in self.measurements if found.value], default=None)

    @property
    def is_down(self) -> bool:
        """Return whether anything is still impaired."""
        return any(o.intervals[-1].end == NEVER for o in self.outages)

    @property
    def restored_at(self) -> datetime | None:
        """Return when the last outage ended, or None while anything is impaired or nothing was."""
        if self.is_down:
            return None
        return max((o.intervals[-1].end for o in self.outages), default=None)

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
        for start, end in union(iter([(i.start, i.end) for i in o.intervals]) for o in self.outages):
            if parts and start - parts[-1][1] < settle:
                parts[-1] = parts[-1][0], end
            else:
                parts.append((start, end))
        return tuple(parts)
