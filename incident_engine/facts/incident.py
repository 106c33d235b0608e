"""An incident: the fold of its events.

The fold depends on what was reported and when it happened, not on the order in which reports arrived.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from incident_engine.facts.events import (
    Event,
    EventType,
    IncidentClosed,
    NoteAdded,
    OutageEvent,
    Recorded,
    RecoveryEstimated,
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


@dataclass(frozen=True, slots=True)
class Outage:
    """One service's impairments in one region, in order and without overlap."""

    service: str
    region: str
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """A person did what was asked for."""

    at: datetime
    by: str
    step: str | None
    fulfils: str | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """When the service is expected back, and when that was said."""

    recovery_at: datetime
    said_at: datetime


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
    estimate: Estimate | None = None
    completions: tuple[Completion, ...] = ()
    notes: tuple[tuple[datetime, str], ...] = ()
    closing: Closing | None = None

    @property
    def occurred_at(self) -> datetime | None:
        """Return when the first outage began (发生), from which the statutory clocks run."""
        return min((o.intervals[0].start for o in self.outages), default=None)

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


def in_order(events: Iterable[Recorded]) -> list[Recorded]:
    """Return the events in order of occurrence, each idempotency key once (the first one received)."""
    unique: dict[tuple[str, str], Recorded] = {}
    for recorded in events:
        known = unique.get(recorded.key)
        if known is None or recorded.received_at < known.received_at:
            unique[recorded.key] = recorded
    ordered = sorted(unique.values(), key=lambda recorded: occurrence(recorded.event))
    impaired: set[tuple[str, str, str]] = set()
    for place, recorded in enumerate(ordered):
        event = recorded.event
        if not isinstance(event, OutageEvent):
            continue
        if event.type == EventType.OUTAGE_RESTORED and not impaired & set(_signals(event)):
            start = _same_instant(ordered, place, event)
            if start is not None:  # shorter than its monitor can tell: it began and ended, in this order
                ordered[place], ordered[start] = ordered[start], recorded
                event = ordered[place].event
                assert isinstance(event, OutageEvent)  # noqa: S101 - _same_instant saw to it
        if event.type == EventType.OUTAGE_RESTORED:
            impaired -= {key for key in impaired if _ends(event, key)}
        else:
            impaired |= set(_signals(event))
    return ordered


def _signals(event: Event) -> list[tuple[str, str, str]]:
    if not isinstance(event, OutageEvent):
        return []
    return [(event.service, region, event.data.signal or "") for region in event.regions]


def _ends(event: OutageEvent, key: tuple[str, str, str]) -> bool:
    return key[0] == event.service and key[1] in event.regions and event.data.signal in (None, "", key[2])


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
    ordered = in_order(events)
    for recorded in ordered:
        state.take(recorded)
    impaired = any(line.signals for line in state.lines.values())
    return Incident(
        id=incident_id,
        outages=tuple(
            Outage(service, region, tuple(line.intervals))
            for (service, region), line in sorted(state.lines.items())
            if line.intervals
        ),
        first_event_at=ordered[0].event.occurred_at if ordered else None,
        detected_at=min((r.received_at for r in ordered), default=None),
        estimate=state.estimate,
        completions=tuple(state.completions),
        notes=tuple(state.notes),
        closing=None if impaired else state.closing,  # it ends when the system serves normally again (Art. 42)
    )


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
            self._turn(event.occurred_at, after)

    def impairment(self) -> Impairment | None:
        if Impairment.DOWN in self.signals.values():
            return Impairment.DOWN
        return Impairment.DEGRADED if self.signals else None

    def _turn(self, at: datetime, impairment: Impairment | None) -> None:
        if self.intervals and self.intervals[-1].end == NEVER:
            last = self.intervals.pop()
            if last.start < at:
                self.intervals.append(Interval(last.start, at, last.impairment))
        if impairment is not None:
            last_one = self.intervals[-1] if self.intervals else None
            if last_one and last_one.end == at and last_one.impairment is impairment:
                self.intervals[-1] = Interval(last_one.start, NEVER, impairment)
            else:
                self.intervals.append(Interval(at, NEVER, impairment))


@dataclass(slots=True)
class _Fold:
    lines: dict[tuple[str, str], _Line] = field(default_factory=lambda: defaultdict(_Line))
    estimate: Estimate | None = None
    completions: list[Completion] = field(default_factory=list)
    notes: list[tuple[datetime, str]] = field(default_factory=list)
    closing: Closing | None = None

    def take(self, recorded: Recorded) -> None:
        event = recorded.event
        match event:
            case OutageEvent():
                self._outage(event)
            case RecoveryEstimated():
                self.estimate = Estimate(event.data.recovery_at, event.occurred_at)
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
