"""Correlation: find the incident of an event, by the name it gives or by service group and time."""

import hashlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import accumulate, groupby

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.domain.events.model import OPENING, Event, MaintenanceAnnounced, OutageEvent, Recorded
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.incident import Impairment
from incident_engine.domain.incidents.signals import Signal, apply_signal, in_order, is_ended_by, voided_starts


@dataclass(frozen=True, slots=True)
class IncidentWindow:
    """The time that an incident covers. `last_at` is None while anything is impaired."""

    case_id: str
    group: str
    first_at: datetime
    last_at: datetime | None
    closed: bool = False
    has_no_start: bool = False
    """Only ends have been reported so far. Their beginnings may still arrive, late."""

    def accepts(self, occurred_at: datetime, window: timedelta) -> bool:
        """Return whether an event at an instant belongs to this incident."""
        if self.closed or (occurred_at < self.first_at - window and not self.has_no_start):
            return False
        return self.last_at is None or occurred_at <= self.last_at + window


def matching(incidents: Iterable[IncidentWindow], occurred_at: datetime, window: timedelta) -> list[IncidentWindow]:
    """Return the incidents of a group that accept an event at an instant, the latest first."""
    accepting = [incident for incident in incidents if incident.accepts(occurred_at, window)]
    return sorted(accepting, key=lambda incident: (incident.first_at, incident.case_id), reverse=True)


_FRESH = timedelta(days=1)
"""For how long after its restoration an open incident takes harm and figures that do not name it."""


def unclosed(incidents: Iterable[IncidentWindow], event: Event) -> list[str]:
    """Return the ids of a group's incidents that had begun and are not closed, the latest first.

    A person's event about a service, some time after its restoration, concerns the incident that is still handled.
    Harm and figures can begin another incident, so they concern it only for a day.
    """
    at = event.occurred_at
    if opens(event):
        incidents = [i for i in incidents if i.last_at is None or at <= i.last_at + _FRESH]
    started = [incident for incident in incidents if not incident.closed and incident.first_at <= at]
    return [i.case_id for i in sorted(started, key=lambda i: (i.first_at, i.case_id), reverse=True)]


def correlate(
    event: Event, candidates: Collection[IncidentWindow], window: timedelta, ends: Callable[[str], bool]
) -> str | None:
    """Return the id of the open incident for an event that names no incident; None if there is no such incident.

    `candidates` are the incidents of the event's service group. The latest that matches takes the event. A
    restoration goes to the latest candidate of which it ends something (`ends(id)`); without one, to the latest. If
    none matches, a person's event goes to the latest incident that is not closed.
    """
    if len(candidates) == 1 and event.type == EventType.OUTAGE_STARTED:  # the usual case of a storm, at its least cost
        (only,) = candidates
        return only.case_id if only.accepts(event.occurred_at, window) else None
    is_end = event.type == EventType.OUTAGE_RESTORED
    if is_end:  # two restorations do not belong together: an incident without a start takes late starts only
        candidates = [replace(candidate, has_no_start=False) for candidate in candidates]
    ids = [candidate.case_id for candidate in matching(candidates, event.occurred_at, window)]
    if not ids and not isinstance(event, OutageEvent):
        ids = unclosed(candidates, event)
    if is_end and len(ids) > 1:
        return next(filter(ends, ids), ids[0])
    return ids[0] if ids else None


def new_incident_id(event: Event, group: str, zone: tzinfo = UTC) -> str:
    """Return the id of the incident that begins with this event: the key it names, or local date, group and digest."""
    if event.incident is not None:
        return event.incident
    # A digest of the first event's key: replicas and replays that open the same incident give it the same id.
    digest = hashlib.sha256(f"{event.source}\0{event.id}".encode()).hexdigest()[:8]
    return f"{event.occurred_at.astimezone(zone):%Y%m%d}-{group}-{digest}"


@dataclass(slots=True)
class _HistoryIncident:
    """An incident of a history that is being split."""

    id: str
    group: str
    first_at: datetime
    last_at: datetime
    signals: dict[tuple[str, str], dict[Signal, Impairment]] = field(default_factory=lambda: defaultdict(dict))
    """The active signals by service and region."""
    closed: bool = False
    events: list[Recorded] = field(default_factory=list)

    @property
    def is_impaired(self) -> bool:
        return any(self.signals.values())  # a line whose signals have all ended stays, empty

    @property
    def window(self) -> IncidentWindow:
        last_at = None if self.is_impaired else self.last_at
        return IncidentWindow(self.id, self.group, self.first_at, last_at, self.closed)

    def add(self, recorded: Recorded, voided: frozenset[str]) -> None:
        event = recorded.event
        self.events.append(recorded)
        if event.type == EventType.INCIDENT_CLOSED:
            self.closed = True
        if not isinstance(event, OutageEvent):
            return
        self.last_at = max(self.last_at, event.occurred_at)
        for region in event.regions:
            if region not in voided:
                apply_signal(self.signals[event.service, region], event)
        if event.type != EventType.OUTAGE_RESTORED:
            self.closed = False


_RECENT = 20
"""How many of a group's latest incidents are searched, beside those that are still impaired."""


@dataclass(slots=True)
class _Group:
    """The incidents of a service group in the order in which they began."""

    all: list[_HistoryIncident] = field(default_factory=list)
    impaired: dict[str, _HistoryIncident] = field(default_factory=dict)

    def track(self, incident: _HistoryIncident) -> None:
        if incident.is_impaired:
            self.impaired[incident.id] = incident
        else:
            self.impaired.pop(incident.id, None)

    def candidates(self) -> Iterable[_HistoryIncident]:
        recent = self.all[-_RECENT:]
        return ({incident.id: incident for incident in recent} | self.impaired).values()


def split(
    events: Iterable[Recorded], groups: Mapping[str, str], window: timedelta, zone: tzinfo = UTC
) -> dict[str, Sequence[Recorded]]:
    """Sort a history of events into incidents, by id in order of occurrence. `groups` maps service to group.

    Maintenance goes to every incident of its service. Raises InvalidDocumentError if an event of a person belongs to no
    incident of the history.
    """
    incidents: dict[str, _HistoryIncident] = {}
    by_group: dict[str, _Group] = defaultdict(_Group)
    problems: list[Problem] = []
    maintenance: list[Recorded] = []
    ordered = in_order(events)
    voided = voided_starts(ordered)
    for recorded in ordered:
        if isinstance(recorded.event, MaintenanceAnnounced):
            maintenance.append(recorded)
            continue
        incident = _find(recorded.event, incidents, by_group, groups, window)
        if incident is None and not opens(recorded.event):
            problems.append(_no_incident(recorded.event))
            continue
        if incident is None:
            event, group = recorded.event, group_of(recorded.event.service, groups)
            at = event.occurred_at
            incident = _HistoryIncident(new_incident_id(event, group, zone), group, at, at)
            incidents[incident.id] = incident
            by_group[incident.group].all.append(incident)
        incident.add(recorded, voided.get(recorded.key, frozenset()))
        by_group[incident.group].track(incident)
    if problems:
        raise InvalidDocumentError(problems)
    maintenance.sort(key=lambda recorded: recorded.event.service or "")
    # Last, since maintenance counts by the time that an incident covers in the end, not by its order.
    by_service = groupby(maintenance, key=lambda recorded: recorded.event.service)
    announced = {service: _Announced(list(windows)) for service, windows in by_service}
    for incident in incidents.values():
        for service in {recorded.event.service for recorded in incident.events} & set(announced):
            incident.events += announced[service].within(incident.first_at, incident.window.last_at)
    return {incident.id: incident.events for incident in incidents.values()}


_AHEAD = timedelta(days=7)
"""How far after an incident's end maintenance windows are still kept."""


class _Announced:
    """Finds the maintenance windows of one service by time."""

    def __init__(self, maintenance: Sequence[Recorded]) -> None:
        windows = [
            (r.event.data.start, r.event.data.end, r) for r in maintenance if isinstance(r.event, MaintenanceAnnounced)
        ]
        windows.sort(key=lambda window: window[:2])
        self._recorded = [recorded for _, _, recorded in windows]
        self._starts = [start for start, _, _ in windows]
        self._latest_ends = list(accumulate((end for _, end, _ in windows), max))

    def within(self, start: datetime, end: datetime | None) -> list[Recorded]:
        """Return the windows that may matter from `start` to some days after `end`; an end of None is open."""
        first = bisect_right(self._latest_ends, start)
        last = len(self._starts) if end is None else bisect_left(self._starts, end + _AHEAD)
        return self._recorded[first:last]


def opens(event: Event) -> bool:
    """Return whether an incident can begin with an event."""
    return isinstance(event, OPENING) and (event.service is not None or event.incident is not None)


def _no_incident(event: Event) -> Problem:
    subject = event.incident or event.service or "no service"
    text = f"event '{event.id}' of '{event.source}' ({event.type}, {subject}) belongs to no incident of this history"
    return Problem((), text, "an incident that the history has, or a service with an open one at that time")


def group_of(service: str | None, groups: Mapping[str, str]) -> str:
    """Return the group of a service; a service without one is its own group."""
    return groups.get(service, service) if service else "unassigned"


def _find(
    event: Event,
    incidents: Mapping[str, _HistoryIncident],
    by_group: Mapping[str, _Group],
    groups: Mapping[str, str],
    window: timedelta,
) -> _HistoryIncident | None:
    if event.incident is not None:
        return incidents.get(event.incident)

    def ends(incident_id: str) -> bool:
        signals = incidents[incident_id].signals
        return isinstance(event, OutageEvent) and any(
            is_ended_by(signals.get((event.service, region), {}), event) for region in event.regions
        )

    candidates = [incident.window for incident in by_group[group_of(event.service, groups)].candidates()]
    incident_id = correlate(event, candidates, window, ends)
    return None if incident_id is None else incidents[incident_id]
