"""The fold of events into an incident.

It depends on the facts and on when they occurred, not on the order in which they were received.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from incident_engine.domain.calendar.service_hours import union
from incident_engine.domain.events.actions import IncidentClosed
from incident_engine.domain.events.case_events import EventsByType
from incident_engine.domain.events.model import Event, ImpactMeasured, MaintenanceAnnounced, OutageEvent, Recorded
from incident_engine.domain.incidents.closing_check import reopens
from incident_engine.domain.incidents.incident import (
    Closing,
    Impairment,
    Incident,
    Interval,
    Measurement,
    Outage,
)
from incident_engine.domain.incidents.signals import ImpairmentHistory, in_order, voided_starts


def fold(incident_id: str, events: Iterable[Recorded]) -> Incident:
    """Return the incident that follows from events in any order, with the maintenance of its services among them."""
    recorded = list(events)
    announced = [r.event for r in recorded if isinstance(r.event, MaintenanceAnnounced)]
    state = FoldState()
    state.apply_all(in_order(r for r in recorded if not isinstance(r.event, MaintenanceAnnounced)))
    return incident_of(incident_id, state, announced)


@dataclass(slots=True)
class FoldState:
    """The facts of an incident so far, while events are applied in order."""

    first_event_at: datetime | None = None
    detected_at: datetime | None = None
    lines: dict[tuple[str, str], ImpairmentHistory] = field(default_factory=lambda: defaultdict(ImpairmentHistory))
    """By service and region."""
    impaired: dict[tuple[str, str], Impairment] = field(default_factory=dict)
    """The present impairments by service and region, the longest first. Kept beside `lines`, so that one event costs
    the same with one impairment and with thousands."""
    reported: dict[type[Event], list[Event]] = field(default_factory=lambda: defaultdict(list))
    measurements: list[Measurement] = field(default_factory=list)
    closing: Closing | None = None

    def apply_all(self, ordered: Sequence[Recorded]) -> None:
        """Apply all events, in order."""
        voided = voided_starts(ordered)
        for recorded in ordered:
            self.apply(recorded, voided.get(recorded.key, frozenset()))

    def apply(self, recorded: Recorded, voided: frozenset[str] = frozenset()) -> None:
        """Apply the next event in order. A start in a `voided` region begins nothing there."""
        event = recorded.event
        self.record_receipt(recorded)
        if isinstance(event, OutageEvent):
            for region in event.regions:
                if region not in voided:
                    self._apply_outage((event.service, region), event, recorded.received_at)
        elif isinstance(event, IncidentClosed):
            overdue = tuple((unmet.obligation, unmet.reason) for unmet in event.data.overdue)
            self.closing = Closing(event.occurred_at, event.data.by, event.data.reason, overdue)
        else:
            self.reported[type(event)].append(event)
        if isinstance(event, ImpactMeasured):
            figures = event.data.measures.items()
            self.measurements += [Measurement(event.occurred_at, name, value, event.data.by) for name, value in figures]
        # After the event has counted: it is part of the incident that it opens again.
        if self.closing is not None and reopens(event, self.closing.by):
            self.closing = None

    def _apply_outage(self, line: tuple[str, str], event: OutageEvent, received_at: datetime) -> None:
        history = self.lines[line]
        if not history.apply(event, received_at):
            return
        impairment = history.impairment()
        if impairment is None:
            del self.impaired[line]
        else:
            self.impaired[line] = impairment

    def record_receipt(self, recorded: Recorded) -> None:
        """Record when the first event occurred, and when the first one reached us."""
        at, received_at = recorded.event.occurred_at, recorded.received_at
        self.first_event_at = min(self.first_event_at or at, at)
        self.detected_at = min(self.detected_at or received_at, received_at)


def incident_of(incident_id: str, state: FoldState, announced: Sequence[MaintenanceAnnounced]) -> Incident:
    """Return the incident that a state stands for. `announced` is the maintenance of its services."""
    return Incident(
        id=incident_id,
        outages=tuple(
            Outage(service, region, tuple(line.intervals), _maintenance(service, region, line.intervals, announced))
            for (service, region), line in sorted(state.lines.items())
            if line.intervals
        ),
        first_event_at=state.first_event_at,
        detected_at=state.detected_at,
        reported=EventsByType({kind: tuple(events) for kind, events in state.reported.items()}),
        measurements=tuple(state.measurements),
        # A closing that a late outage contradicts does not count: it ends when all works normally again (Art. 42).
        closing=None if state.impaired else state.closing,
    )


def _maintenance(
    service: str, region: str, intervals: Iterable[Interval], announced: Iterable[MaintenanceAnnounced]
) -> tuple[tuple[datetime, datetime], ...]:
    """Return the maintenance that bears on impairments. An announcement after the impairment began does not count."""
    windows = [event for event in announced if event.covers(service, region)]
    if not windows:
        return ()
    parts = [  # windows after the restoration, too: a forecast before it counted them
        (max(start, event.data.start), event.data.end)
        for start, _ in union([iter([(i.start, i.end) for i in intervals])])
        for event in windows
        if event.occurred_at <= start and event.data.end > start
    ]
    return tuple(union(iter([part]) for part in parts))
