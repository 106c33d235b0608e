"""The fold of events to an incident.

It depends on what was reported and when it happened, not on the order in which reports arrived.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from incident_engine.domain.calendar.service_hours import union
from incident_engine.domain.events.actions import IncidentClosed
from incident_engine.domain.events.by_type import EventsByType
from incident_engine.domain.events.model import (
    Event,
    ImpactMeasured,
    MaintenanceAnnounced,
    OutageEvent,
    Recorded,
)
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.closing import reopens
from incident_engine.domain.incidents.incident import Closing, Impairment, Incident, Interval, Measurement, Outage
from incident_engine.domain.values import NEVER

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
    given = list(events)
    announced = [r.event for r in given if isinstance(r.event, MaintenanceAnnounced)]
    state = FoldState()
    for recorded in in_order(r for r in given if not isinstance(r.event, MaintenanceAnnounced)):
        state.apply(recorded)
    return incident_of(incident_id, state, announced)


def incident_of(incident_id: str, state: "FoldState", announced: Sequence[MaintenanceAnnounced]) -> Incident:
    """Return what has been taken, as an incident."""
    impaired = any(line.signals for line in state.lines.values())
    return Incident(
        id=incident_id,
        outages=tuple(
            Outage(service, region, tuple(line.intervals), _maintained(service, region, line.intervals, announced))
            for (service, region), line in sorted(state.lines.items())
            if line.intervals
        ),
        first_event_at=state.first_event_at,
        detected_at=state.detected_at,
        reported=EventsByType({kind: tuple(events) for kind, events in state.reported.items()}),
        measurements=tuple(state.measurements),
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
class ImpairmentHistory:
    """The impairments of one service in one region, kept while events are taken in order."""

    signals: dict[str, Impairment] = field(default_factory=dict)
    intervals: list[Interval] = field(default_factory=list)

    def apply(self, event: OutageEvent) -> bool:
        """Take the next event; return whether the impairment is another now."""
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
            self._set_state(event.occurred_at, after, (event.source, event.id))
        return after is not before

    def impairment(self) -> Impairment | None:
        """Return how badly it works now: the worst that any signal says."""
        if Impairment.DOWN in self.signals.values():
            return Impairment.DOWN
        return Impairment.DEGRADED if self.signals else None

    def _set_state(self, at: datetime, impairment: Impairment | None, by: tuple[str, str]) -> None:
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
class FoldState:
    """What has been taken so far, event by event in order."""

    first_event_at: datetime | None = None
    detected_at: datetime | None = None
    lines: dict[tuple[str, str], ImpairmentHistory] = field(default_factory=lambda: defaultdict(ImpairmentHistory))
    reported: dict[type[Event], list[Event]] = field(default_factory=lambda: defaultdict(list))
    measurements: list[Measurement] = field(default_factory=list)
    closing: Closing | None = None

    def apply(self, recorded: Recorded) -> None:
        """Take the next event."""
        event = recorded.event
        self.record_receipt(recorded)
        if isinstance(event, OutageEvent):
            for region in event.regions:
                self.lines[event.service, region].apply(event)
        elif isinstance(event, IncidentClosed):
            self.closing = Closing(event.occurred_at, event.data.by, event.data.reason)
        else:
            self.reported[type(event)].append(event)
        if isinstance(event, ImpactMeasured):
            figures = event.data.measures.items()
            self.measurements += [Measurement(event.occurred_at, name, value, event.data.by) for name, value in figures]
        if self.closing is not None and reopens(event, self.closing.by):
            self.closing = None

    def record_receipt(self, recorded: Recorded) -> None:
        """Note when the first event occurred, and when the first one reached us."""
        at, received_at = recorded.event.occurred_at, recorded.received_at
        self.first_event_at = min(self.first_event_at or at, at)
        self.detected_at = min(self.detected_at or received_at, received_at)
