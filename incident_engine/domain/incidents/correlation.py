"""Which incident an event belongs to: the one it names, else the open one of its service group within a window."""

import hashlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import accumulate, groupby

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.domain.events.model import OPENING, Event, MaintenanceAnnounced, OutageEvent, Recorded
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.fold import in_order


@dataclass(frozen=True, slots=True)
class IncidentWindow:
    """How far an incident reaches in time. `last_at` is None while anything is impaired."""

    case_id: str
    group: str
    first_at: datetime
    last_at: datetime | None
    closed: bool = False
    has_no_start: bool = False
    """Nothing is known to have begun: what has been reported are ends, whose beginnings may still come, late."""

    def accepts(self, occurred_at: datetime, window: timedelta) -> bool:
        """Return whether something that occurred then belongs to this incident."""
        if self.closed or (occurred_at < self.first_at - window and not self.has_no_start):
            return False
        return self.last_at is None or occurred_at <= self.last_at + window


def matching(spans: Iterable[IncidentWindow], occurred_at: datetime, window: timedelta) -> list[IncidentWindow]:
    """Return the incidents, among those of one group, to which something may belong; the latest first.

    What ends an outage belongs to the first of them that has this outage, anything else to the first.
    """
    found = [span for span in spans if span.accepts(occurred_at, window)]
    return sorted(found, key=lambda span: (span.first_at, span.case_id), reverse=True)


_FRESH = timedelta(days=1)
"""How long after its restoration an incident that nobody has closed takes harm and figures that do not name it."""


def unclosed(spans: Iterable[IncidentWindow], event: Event) -> list[str]:
    """Return the incidents of one group that had begun and are not closed, the latest first.

    What a person says of a service some time after its restoration is about the incident that is still handled. Harm
    and figures, with which another incident can begin, are so only for a day.
    """
    occurred_at = event.occurred_at
    if opens(event):
        spans = [span for span in spans if span.last_at is None or occurred_at <= span.last_at + _FRESH]
    begun = [span for span in spans if not span.closed and span.first_at <= occurred_at]
    return [span.case_id for span in sorted(begun, key=lambda span: (span.first_at, span.case_id), reverse=True)]


def correlate(
    event: Event, candidates: Collection[IncidentWindow], window: timedelta, is_impaired: Callable[[str], bool]
) -> str | None:
    """Return the id of the open incident to which an event belongs that names none; None if there is no such incident.

    `candidates` are the incidents of the event's service group. The latest that matches takes the event. An end belongs
    to the latest of them that `is_impaired`, given its id, says it ends an outage of. If none matches, an event that is
    no monitor's belongs to the latest incident that is not closed.
    """
    if len(candidates) == 1 and event.type == EventType.OUTAGE_STARTED:  # the usual case of a storm, at its least cost
        (only,) = candidates
        return only.case_id if only.accepts(event.occurred_at, window) else None
    is_end = event.type == EventType.OUTAGE_RESTORED
    if is_end:  # an end explains no earlier end: an incident without a start takes late starts only
        candidates = [replace(candidate, has_no_start=False) for candidate in candidates]
    ids = [candidate.case_id for candidate in matching(candidates, event.occurred_at, window)]
    if not ids and not isinstance(event, OutageEvent):
        ids = unclosed(candidates, event)
    if is_end and len(ids) > 1:
        return next(filter(is_impaired, ids), ids[0])
    return ids[0] if ids else None


def new_incident_id(event: Event, group: str, zone: tzinfo = UTC) -> str:
    """Return the id of the incident that begins with this event: the key it names, or local date, group and digest."""
    if event.incident is not None:
        return event.incident
    digest = hashlib.sha256(f"{event.source}\0{event.id}".encode()).hexdigest()[:8]
    return f"{event.occurred_at.astimezone(zone):%Y%m%d}-{group}-{digest}"


@dataclass(slots=True)
class _Open:
    id: str
    group: str
    first_at: datetime
    last_at: datetime
    impaired: set[tuple[str, str, str]] = field(default_factory=set)
    closed: bool = False
    events: list[Recorded] = field(default_factory=list)

    def span(self) -> IncidentWindow:
        return IncidentWindow(self.id, self.group, self.first_at, None if self.impaired else self.last_at, self.closed)

    def add(self, recorded: Recorded) -> None:
        event = recorded.event
        self.events.append(recorded)
        if event.type == EventType.INCIDENT_CLOSED:
            self.closed = True
        if not isinstance(event, OutageEvent):
            return
        self.last_at = max(self.last_at, event.occurred_at)
        signal = event.data.signal or ""
        for region in event.regions:
            if event.type != EventType.OUTAGE_RESTORED:
                self.impaired.add((event.service, region, signal))
                self.closed = False
            elif signal:
                self.impaired.discard((event.service, region, signal))
            else:
                self.impaired -= {key for key in self.impaired if key[:2] == (event.service, region)}


_RECENT = 20
"""How many of a group's latest incidents are searched, beside those that are still impaired."""


@dataclass(slots=True)
class _Group:
    """The incidents of a service group in the order in which they began."""

    all: list[_Open] = field(default_factory=list)
    impaired: dict[str, _Open] = field(default_factory=dict)

    def note(self, incident: _Open) -> None:
        if incident.impaired:
            self.impaired[incident.id] = incident
        else:
            self.impaired.pop(incident.id, None)

    def candidates(self) -> Iterable[_Open]:
        recent = self.all[-_RECENT:]
        return ({incident.id: incident for incident in recent} | self.impaired).values()


def split(
    events: Iterable[Recorded], groups: Mapping[str, str], window: timedelta, zone: tzinfo = UTC
) -> dict[str, Sequence[Recorded]]:
    """Sort a history of events into incidents, by id in order of occurrence. `groups` maps service to group.

    Maintenance goes to every incident of its service. Raises InvalidDocumentError for what a person says of an
    incident that is not there.
    """
    known: dict[str, _Open] = {}
    by_group: dict[str, _Group] = defaultdict(_Group)
    problems: list[Problem] = []
    maintenance: list[Recorded] = []
    for recorded in in_order(events):
        if isinstance(recorded.event, MaintenanceAnnounced):
            maintenance.append(recorded)
            continue
        incident = _find(recorded.event, known, by_group, groups, window)
        if incident is None and not opens(recorded.event):
            problems.append(_no_incident(recorded.event))
            continue
        if incident is None:
            incident = _begin(recorded.event, groups, zone)
            known[incident.id] = incident
            by_group[incident.group].all.append(incident)
        incident.add(recorded)
        by_group[incident.group].note(incident)
    if problems:
        raise InvalidDocumentError(problems)
    announced = {service: _Announced(list(of)) for service, of in _by_service(maintenance)}
    for incident in known.values():
        for service in {recorded.event.service for recorded in incident.events} & set(announced):
            last_at = None if incident.impaired else incident.last_at
            incident.events += announced[service].within(incident.first_at, last_at)
    return {incident.id: incident.events for incident in known.values()}


def _by_service(maintenance: Sequence[Recorded]) -> Iterator[tuple[str | None, Iterator[Recorded]]]:
    ordered = sorted(maintenance, key=lambda recorded: recorded.event.service or "")
    return groupby(ordered, key=lambda recorded: recorded.event.service)


_AHEAD = timedelta(days=7)
"""How far beyond an incident's end maintenance is looked for that was to be expected while it lasted."""


class _Announced:
    """One service's maintenance windows, to be found by the time on which they bear."""

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
    about = event.incident or event.service or "no service"
    said = f"event '{event.id}' of '{event.source}' ({event.type}, {about}) belongs to no incident of this history"
    return Problem((), said, "an incident that the history has, or a service with an open one at that time")


def group_of(service: str | None, groups: Mapping[str, str]) -> str:
    """Return the group of a service; a service without one is its own group."""
    return groups.get(service, service) if service else "unassigned"


def _find(
    event: Event,
    known: Mapping[str, _Open],
    by_group: Mapping[str, _Group],
    groups: Mapping[str, str],
    window: timedelta,
) -> _Open | None:
    if event.incident is not None:
        return known.get(event.incident)

    def is_impaired(incident_id: str) -> bool:
        impaired = known[incident_id].impaired
        return any(service == event.service and region in event.regions for service, region, _ in impaired)

    candidates = [incident.span() for incident in by_group[group_of(event.service, groups)].candidates()]
    incident_id = correlate(event, candidates, window, is_impaired)
    return None if incident_id is None else known[incident_id]


def _begin(event: Event, groups: Mapping[str, str], zone: tzinfo) -> _Open:
    group = group_of(event.service, groups)
    return _Open(new_incident_id(event, group, zone), group, event.occurred_at, event.occurred_at)
