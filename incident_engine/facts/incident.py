"""An incident: the fold of its events.

The fold depends on what was reported and when it happened, not on the order in which reports arrived.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from incident_engine.facts.events import (
    ITSELF,
    Event,
    EventType,
    Figure,
    HarmAssessed,
    HarmData,
    ImpactMeasured,
    IncidentClosed,
    LevelCorrected,
    MaintenanceAnnounced,
    NoteAdded,
    OutageEvent,
    PlanFailed,
    Recorded,
    RecoveryEstimated,
    RepairFailed,
    StepCompleted,
)
from incident_engine.facts.hours import union
from incident_engine.facts.values import NEVER


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


# At one instant an end is taken before a beginning: what is said to start then is still down afterwards.
_RANK = {
    EventType.OUTAGE_RESTORED: 0,
    EventType.INCIDENT_CLOSED: 1,
    EventType.OUTAGE_DEGRADED: 2,
    EventType.OUTAGE_STARTED: 3,
}


def occurrence(event: Event) -> tuple[datetime, int, tuple[str, str]]:
    """Return what orders events: when they occurred; at one instant an end before a beginning."""
    return event.occurred_at, _RANK.get(event.type, 4), (event.source, event.id)


def _once(events: Iterable[Recorded]) -> Collection[Recorded]:
    unique: dict[tuple[str, str], Recorded] = {}
    for recorded in events:
        known = unique.get(recorded.key)
        if known is None or recorded.received_at < known.received_at:
            unique[recorded.key] = recorded
    return unique.values()


def in_order(events: Iterable[Recorded]) -> list[Recorded]:
    """Return the events in order of occurrence, each idempotency key once (the first one received)."""
    ordered = sorted(_once(events), key=lambda recorded: occurrence(recorded.event))
    impaired: dict[tuple[str, str], set[str]] = defaultdict(set)  # the signals by service and region
    for place, recorded in enumerate(ordered):
        event = recorded.event
        if not isinstance(event, OutageEvent):
            continue
        signal = event.data.signal or ""
        lines = [impaired[event.service, region] for region in event.regions]
        if event.type == EventType.OUTAGE_RESTORED and not any(signal in line for line in lines):
            start = _same_instant(ordered, place, event)
            if start is not None:  # shorter than its monitor can tell: it began and ended, in this order
                ordered[place], ordered[start] = ordered[start], recorded
                event = ordered[place].event
                assert isinstance(event, OutageEvent)  # noqa: S101 - _same_instant saw to it
        for line in lines:
            if event.type != EventType.OUTAGE_RESTORED:
                line.add(signal)
            elif signal:
                line.discard(signal)
            else:
                line.clear()
    return ordered


def _signals(event: Event) -> list[tuple[str, str, str]]:
    if not isinstance(event, OutageEvent):
        return []
    return [(event.service, region, event.data.signal or "") for region in event.regions]


def _same_instant(ordered: list[Recorded], place: int, restored: OutageEvent) -> int | None:
    """Return the place of a beginning, at the same instant, of exactly what `restored` ends."""
    for later in range(place + 1, len(ordered)):
        event = ordered[later].event
        if event.occurred_at != restored.occurred_at:
            return None
        is_start = isinstance(event, OutageEvent) and event.type != EventType.OUTAGE_RESTORED
        if is_start and _signals(event) == _signals(restored):
            return later
    return None


def fold(incident_id: str, events: Iterable[Recorded]) -> Incident:
    """Return what the events, in any order, say of the incident."""
    state = _Fold()
    given = list(events)
    announced = [r.event for r in given if isinstance(r.event, MaintenanceAnnounced)]
    ordered = in_order(r for r in given if not isinstance(r.event, MaintenanceAnnounced))
    for recorded in ordered:
        state.take(recorded)
    impaired = any(line.signals for line in state.lines.values())
    return Incident(
        id=incident_id,
        outages=tuple(
            Outage(service, region, tuple(line.intervals), _maintained(service, region, line.intervals, announced))
            for (service, region), line in sorted(state.lines.items())
            if line.intervals
        ),
        first_event_at=ordered[0].event.occurred_at if ordered else None,
        detected_at=min((r.received_at for r in ordered), default=None),
        estimates=tuple(state.estimates),
        harms=tuple(state.harms),
        measurements=tuple(state.measurements),
        root_causes=tuple(state.root_causes),
        repair_failures=tuple(state.repair_failures),
        plan_failures=tuple(state.plan_failures),
        corrections=tuple(state.corrections),
        completions=tuple(state.completions),
        notes=tuple(state.notes),
        closing=None if impaired else state.closing,  # it ends when the system serves normally again (Art. 42)
    )


def _maintained(
    service: str, region: str, intervals: Iterable[Interval], announced: Iterable[MaintenanceAnnounced]
) -> tuple[tuple[datetime, datetime], ...]:
    """Return the maintenance that bears on impairments. What is announced once something is impaired is none."""
    windows = [event for event in announced if event.covers(service, region)]
    if not windows:
        return ()
    parts = [  # also what lies after the restoration: before it, it was to be expected to matter
        (max(start, event.data.start), event.data.end)
        for start, _ in union([iter([(i.start, i.end) for i in intervals])])
        for event in windows
        if event.occurred_at <= start and event.data.end > start
    ]
    return tuple(union(iter([part]) for part in parts))


@dataclass(slots=True)
class _Line:
    """The impairments of one service in one region, kept while events are taken in order."""

    signals: dict[str, Impairment] = field(default_factory=dict)
    intervals: list[Interval] = field(default_factory=list)

    def take(self, event: OutageEvent) -> None:
        before = self.impairment()
        signal = event.data.signal or ""
        if event.type == EventType.OUTAGE_STARTED:
            self.signals[signal] = Impairment.DOWN
        elif event.type == EventType.OUTAGE_DEGRADED:
            self.signals[signal] = Impairment.DEGRADED
        elif signal:
            self.signals.pop(signal, None)
        else:
            self.signals.clear()
        after = self.impairment()
        if after is not before:
            self._turn(event.occurred_at, after, (event.source, event.id))

    def impairment(self) -> Impairment | None:
        if Impairment.DOWN in self.signals.values():
            return Impairment.DOWN
        return Impairment.DEGRADED if self.signals else None

    def _turn(self, at: datetime, impairment: Impairment | None, by: tuple[str, str]) -> None:
        if self.intervals and self.intervals[-1].end == NEVER:
            last = self.intervals.pop()
            if last.start < at:
                self.intervals.append(replace(last, end=at, ended_by=by))
        if impairment is not None:
            last_one = self.intervals[-1] if self.intervals else None
            if last_one and last_one.end == at and last_one.impairment is impairment:
                self.intervals[-1] = replace(last_one, end=NEVER, ended_by=None)
            else:
                self.intervals.append(Interval(at, NEVER, impairment, by))


@dataclass(slots=True)
class _Fold:
    lines: dict[tuple[str, str], _Line] = field(default_factory=lambda: defaultdict(_Line))
    estimates: list[Estimate] = field(default_factory=list)
    harms: list[Harm] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    root_causes: list[tuple[datetime, str]] = field(default_factory=list)
    repair_failures: list[RepairFailure] = field(default_factory=list)
    plan_failures: list[PlanFailure] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    notes: list[tuple[datetime, str]] = field(default_factory=list)
    closing: Closing | None = None

    def take(self, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case OutageEvent():
                self._outage(event)
            case RecoveryEstimated():
                said_at = event.occurred_at
                self.estimates.append(Estimate(event.data.recovery_at, said_at, event.service, event.regions))
            case HarmAssessed() | ImpactMeasured():
                self._impact(event)
            case RepairFailed(data=said):
                failed = RepairFailure(event.occurred_at, event.service, event.regions, said.by, said.reason)
                self.repair_failures.append(failed)
            case PlanFailed(data=said):
                self.plan_failures.append(PlanFailure(event.occurred_at, said.by, said.reason))
            case LevelCorrected(data=said):
                self.corrections.append(Correction(event.occurred_at, said.pack, said.level, said.by, said.reason))
            case _:
                self._handling(event)

    def _impact(self, event: HarmAssessed | ImpactMeasured) -> None:
        if isinstance(event, HarmAssessed):
            self.harms.append(Harm(event.occurred_at, event.data, event.service, event.regions))
            self.closing = None  # a harm that becomes known after the closing must be handled: it is open again
            return
        if self.closing is not None and self.closing.by == ITSELF:
            self.closing = None  # closed as too small before this was known
        measured = event.data.measures.items()
        self.measurements += [Measurement(event.occurred_at, name, value, event.data.by) for name, value in measured]
        if event.data.root_cause is not None:
            self.root_causes.append((event.occurred_at, event.data.root_cause))

    def _handling(self, event: Event) -> None:
        match event:
            case NoteAdded():
                self.notes.append((event.occurred_at, event.data.text))
            case StepCompleted():
                done = event.data
                self.completions.append(Completion(event.occurred_at, done.by, done.step, done.fulfils))
            case IncidentClosed():
                self.closing = Closing(event.occurred_at, event.data.by)

    def _outage(self, event: OutageEvent) -> None:
        for region in event.regions:
            self.lines[event.service, region].take(event)
        if event.type != EventType.OUTAGE_RESTORED:
            self.closing = None  # what breaks again after the closing is open again
