"""The incremental fold: keep an incident folded while its events come in, so each new event needs no refold.

In a storm thousands of alerts report an outage that is known: each adds one more signal behind an impairment that goes
on. Such an event is applied without reading the others, in any order of arrival.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from incident_engine.domain.events.actions import IncidentClosed
from incident_engine.domain.events.model import MaintenanceAnnounced, OutageEvent, Recorded
from incident_engine.domain.incidents.fold import FoldState, incident_of
from incident_engine.domain.incidents.incident import Impairment, Incident
from incident_engine.domain.incidents.signals import (
    SignalTimes,
    continues_outage,
    in_order,
    is_ended_by,
    signal_of,
    sort_key,
)


class FoldEffect(StrEnum):
    """The effect of an event on an incident."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    REFOLD = "refold"
    """The event precedes known ones and may change their meaning. Nothing was applied: refold from scratch."""


class IncrementalFold:
    """Keeps one incident folded, event by event. `incident` always equals `fold` of the same events."""

    def __init__(self, incident_id: str, events: Iterable[Recorded]) -> None:
        """Fold the events known so far, in any order, with the maintenance of the incident's services."""
        recorded = list(events)
        self._id = incident_id
        self._announced: Sequence[MaintenanceAnnounced] = [
            r.event for r in recorded if isinstance(r.event, MaintenanceAnnounced)
        ]
        self._state = FoldState()
        self.impaired: Mapping[tuple[str, str], Impairment] = self._state.impaired
        """The present impairments by service and region, the longest first. It changes with each event."""
        self._times: dict[tuple[str, str], SignalTimes] = {}
        self._services: set[str | None] = set()
        self._last_at: datetime | None = None
        self._last_received_at: datetime | None = None
        self._last_report: tuple[datetime, int, tuple[str, str]] | None = None
        """The sort key of the latest event of a person."""
        self._incident: Incident | None = None
        self.open_since: datetime | None = None
        """The beginning that the stored window of the incident has, while it has no end; None if it is not known."""
        self.weight = 0
        """The number of applied events."""
        ordered = in_order(r for r in recorded if not isinstance(r.event, MaintenanceAnnounced))
        self._state.apply_all(ordered)
        for counted in ordered:
            self._track(counted)

    @property
    def incident(self) -> Incident:
        """Return the incident as it is known."""
        if self._incident is None:
            self._incident = incident_of(self._id, self._state, self._announced)
        return self._incident

    @property
    def is_closed(self) -> bool:
        """Return whether the incident is closed."""
        return self._state.closing is not None and not self._state.impaired

    def apply(self, recorded: Recorded) -> FoldEffect:
        """Apply one more event. If the effect is REFOLD nothing was applied: make a new fold of all events."""
        event = recorded.event
        if isinstance(event, MaintenanceAnnounced) or event.service not in self._services:
            return FoldEffect.REFOLD  # maintenance for a service not seen yet was not loaded
        state = self._state
        before = state.closing, state.first_event_at, state.detected_at
        if isinstance(event, OutageEvent):
            effect = self._apply_outage(recorded, event)
        elif self._is_next_report(recorded):
            state.apply(recorded)
            effect = FoldEffect.CHANGED
        else:
            effect = FoldEffect.REFOLD
        if effect is FoldEffect.REFOLD:
            return effect
        self._track(recorded)
        if effect is FoldEffect.UNCHANGED and before == (state.closing, state.first_event_at, state.detected_at):
            return FoldEffect.UNCHANGED
        self._incident = None
        return FoldEffect.CHANGED

    def is_ended_by(self, event: OutageEvent) -> bool:
        """Return whether a restoration ends anything that is down or degraded, as far as it is known."""
        lines = (self._state.lines.get((event.service, region)) for region in event.regions)
        return any(line is not None and is_ended_by(line.signals, event) for line in lines)

    def is_active(self, event: OutageEvent) -> bool:
        """Return whether the signal of an event is active in its service and any of its regions."""
        lines = (self._state.lines.get((event.service, region)) for region in event.regions)
        return any(line is not None and signal_of(event) in line.signals for line in lines)

    def last_report_of(self, event: OutageEvent) -> datetime | None:
        """Return when the signal of an event was last reported, in its service and regions."""
        times = [self._times[key] for region in event.regions if (key := (event.service, region)) in self._times]
        return max(
            (line.by_signal[signal_of(event)] for line in times if signal_of(event) in line.by_signal), default=None
        )

    def exceeds(self, most: int, event: OutageEvent) -> bool:
        """Return whether the incident has more than `most` outages (a service in a region) once an event is applied."""
        count = len(self._times)
        # Which of them are new matters near the limit only.
        return (
            count + len(event.regions) > most
            and count + sum((event.service, region) not in self._times for region in event.regions) > most
        )

    def _is_next_report(self, recorded: Recorded) -> bool:
        """Return whether a person's event is later than all people's events (a closing: than all events)."""
        event = recorded.event
        if self._last_report is not None and sort_key(event) <= self._last_report:
            return False
        closes = isinstance(event, IncidentClosed) or self._state.closing is not None
        return not closes or self._is_last(event.occurred_at)

    def _is_last(self, at: datetime) -> bool:
        return self._last_at is None or at > self._last_at

    def _apply_outage(self, recorded: Recorded, event: OutageEvent) -> FoldEffect:
        at, state = event.occurred_at, self._state
        if state.closing is not None and not self._is_last(at):
            return FoldEffect.REFOLD
        # The order of receipt decides about starts from ahead of our clock, which may have been set back meanwhile.
        if at > recorded.received_at and self._last_received_at and recorded.received_at < self._last_received_at:
            return FoldEffect.REFOLD
        keys = [(event.service, region) for region in event.regions]
        if all(key not in self._times or at > self._times[key].last_at for key in keys):
            before = [state.impaired.get(key) for key in keys]
            state.apply(recorded)
            is_same = before == [state.impaired.get(key) for key in keys]
            return FoldEffect.UNCHANGED if is_same else FoldEffect.CHANGED
        for key in keys:
            if key not in self._times or not continues_outage(state.lines[key], self._times[key], event):
                return FoldEffect.REFOLD
        state.record_receipt(recorded)
        for key in keys:
            if state.lines[key].absorb_signal(event, recorded.received_at):
                # The levels stay, so the effect is UNCHANGED; only the evidence names another event.
                self._incident = None
        return FoldEffect.UNCHANGED

    def _track(self, recorded: Recorded) -> None:
        event, at = recorded.event, recorded.event.occurred_at
        self._services.add(event.service)
        self.weight += 1
        if self._last_at is None or at > self._last_at:
            self._last_at = at
        if self._last_received_at is None or recorded.received_at > self._last_received_at:
            self._last_received_at = recorded.received_at
        if not isinstance(event, OutageEvent):
            report = sort_key(event)
            self._last_report = report if self._last_report is None else max(report, self._last_report)
            return
        for region in event.regions:
            key = event.service, region
            if key not in self._times:
                self._times[key] = SignalTimes(at)
            self._times[key].track_signal(event)
