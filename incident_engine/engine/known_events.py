"""Events under keys that are known already: repeats, contradictions, and alerts that are back.

Alertmanager names an alert by its fingerprint and start. An alert that it resolved and that fires again with the old
start is another outage under a key that is known: each such outage has ids of its own, `KEY/again/1` and so on.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from incident_engine.common.errors import Conflict
from incident_engine.domain.events.content import conflicts
from incident_engine.domain.events.fields import INSTANT
from incident_engine.domain.events.model import EVENT, Event, OutageEvent, Repeats, wire_json
from incident_engine.domain.events.types import EventType
from incident_engine.engine.incident_cache import IncidentCache
from incident_engine.store.events import Key, StoredEvent

RESOLVED = "/resolved"
"""The end of the id of an alert's end; before it stands the id of its start."""
_OUTAGES_AT_ONCE = 8
"""Outages of one alert whose keys are looked up with one statement."""


class _AlertOutage(NamedTuple):
    """One outage of an alert: its number (0: the first), its case, and its times as the monitor told them."""

    number: int
    case_id: str | None
    started_at: datetime
    ended_at: datetime | None


@dataclass(slots=True)
class KnownEvents:
    """Tells the new events of one request from those that are known."""

    cache: IncidentCache
    connection: Connection
    repeats: Repeats
    stored: dict[Key, StoredEvent]
    """The events of the request that had been appended before it."""
    resolved: frozenset[Key] = frozenset()
    """The starts of the alerts that the request reports as resolved."""
    taken: dict[Key, tuple[str | None, Event]] = field(default_factory=dict)
    """The events of the request that were appended, as they were sent, with their cases."""
    moved: dict[Key, OutageEvent] = field(default_factory=dict)
    """The known starts that the request maps to another service or other regions than before."""

    def add(self, event: Event, case_id: str | None) -> None:
        """Remember an event of the request that was appended."""
        self.taken[event.source, event.id] = case_id, event

    def case_of(self, event: Event) -> str | None:
        """Return the case of a known event."""
        key = event.source, event.id
        return self.taken[key][0] if key in self.taken else self.stored[key].case_id

    def is_known(self, event: Event) -> bool:
        """Return whether an event with this key has been appended before."""
        key = event.source, event.id
        return key in self.taken or key in self.stored

    def conflicts(self, event: Event) -> list[Conflict]:
        """Return where an event with a known key contradicts the known one; none if it repeats it.

        The end of an alert that was resolved before is no contradiction: it may be of a later outage.
        """
        if self.repeats is Repeats.ALERTS and event.id.endswith(RESOLVED):
            return []
        stored = self._earlier(event)
        if stored is None:
            return []
        problems = conflicts(stored, event, self.repeats)
        if problems and isinstance(stored, OutageEvent):
            self.moved[event.source, event.id] = stored
        return problems

    def as_started(self, event: Event) -> Event:
        """Return an alert's event with the service and regions of its start, which its end must match to end it."""
        start = self.moved.get((event.source, event.id.removesuffix(RESOLVED))) if self.moved else None
        if start is None or not isinstance(event, OutageEvent):
            return event
        return event.model_copy(update={"service": start.service, "regions": start.regions})

    def alert_is_back(self, event: Event) -> list[OutageEvent]:
        """Return the events of a further outage that an alert with a known key reports, or of its end; none: a repeat.

        A firing alert of which the end is known is down again, since that end: the monitor never saw it work. A
        resolved alert ends at its latest end. Messages about earlier times change nothing.
        """
        if self.repeats is not Repeats.ALERTS or not isinstance(event, OutageEvent):
            return []
        key = event.source, event.id
        if event.id.endswith(RESOLVED):
            return self._ended_again(event)
        if key in self.resolved or self._is_active(self.case_of(event), event):
            return []
        last = self._last_outage(event.source, event.id)
        if last is None or last.ended_at is None or self._is_stale(event, last, last.ended_at):
            return []
        return [_started_again(event, event.id, last.number + 1, last.ended_at)]

    def _ended_again(self, event: OutageEvent) -> list[OutageEvent]:
        name, ended_at = event.id.removesuffix(RESOLVED), event.occurred_at
        last = self._last_outage(event.source, name)
        if last is None or ended_at < last.started_at or (last.ended_at is not None and ended_at <= last.ended_at):
            return []
        if last.ended_at is None:
            return [_renamed(event, f"{name}/again/{last.number}{RESOLVED}", ended_at)]
        # It fired again without our knowledge.
        number = last.number + 1
        started = event.model_copy(update={"type": EventType.OUTAGE_STARTED})
        end = _renamed(event, f"{name}/again/{number}{RESOLVED}", ended_at)
        return [_started_again(started, name, number, last.ended_at), end]

    def _is_stale(self, event: OutageEvent, last: _AlertOutage, ended_at: datetime) -> bool:
        """Return whether a firing alert is older than its last end, by its own times or by later reports."""
        expires_at = (event.data.model_extra or {}).get("ends_at")
        if isinstance(expires_at, str) and INSTANT.validate_python(expires_at) <= ended_at:
            return True
        # An alert that began again since then has a later start: this message is from before.
        reported_at = last.case_id and self.cache.last_report_of(self.connection, last.case_id, event)
        return bool(reported_at and reported_at > ended_at)

    def _is_active(self, case_id: str | None, event: OutageEvent) -> bool:
        # Of an archived case nothing is active, and its events have lost their content.
        return case_id is None or self.cache.is_active(self.connection, case_id, event)

    def _earlier(self, event: Event) -> Event | None:
        """Return the known event with the key of an event; None if it is plainly the same, or archived."""
        key = event.source, event.id
        if key in self.taken:
            return self.taken[key][1]
        text = self.stored[key].document
        if text == wire_json(event):
            return None
        document = json.loads(text)
        if "type" not in document or (self.repeats is Repeats.ALERTS and _is_same_alert(document, event)):
            return None
        return EVENT.validate_python(document)

    def _last_outage(self, source: str, start_id: str) -> _AlertOutage | None:
        """Return the last known outage of an alert by the id of its first start; None if that was archived."""
        last: _AlertOutage | None = None
        number = 0
        while True:
            names = {n: f"{start_id}/again/{n}" if n else start_id for n in range(number, number + _OUTAGES_AT_ONCE)}
            wanted = [(source, name + end) for name in names.values() for end in ("", RESOLVED)]
            outages = self.cache.appended(self.connection, wanted)
            for number, start in names.items():
                row = outages.get((source, start))
                started_at = _occurred_at(row)
                if row is None or started_at is None:
                    return last
                last = _AlertOutage(
                    number, row.case_id, started_at, _occurred_at(outages.get((source, start + RESOLVED)))
                )
            number += 1


def _is_same_alert(document: Mapping[str, Any], event: Event) -> bool:
    """Return whether an alert is the stored one with other words, as most repeats are; its key has its start."""
    if not isinstance(event, OutageEvent) or document["type"] != event.type or document["service"] != event.service:
        return False
    return set(document["regions"]) == set(event.regions) and document["data"].get("signal") == event.data.signal


def _occurred_at(row: StoredEvent | None) -> datetime | None:
    document: Mapping[str, str] = {} if row is None else json.loads(row.document)
    return INSTANT.validate_python(document["occurred_at"]) if "occurred_at" in document else None


def _renamed(event: OutageEvent, name: str, at: datetime) -> OutageEvent:
    return event.model_copy(update={"id": name, "occurred_at": at})


def _started_again(event: OutageEvent, name: str, number: int, at: datetime) -> OutageEvent:
    return _renamed(event, f"{name}/again/{number}", at)


def resolved_alerts(events: Iterable[Event | None], repeats: Repeats) -> frozenset[Key]:
    """Return the keys of the starts of the alerts whose ends are among the events of a request."""
    if repeats is not Repeats.ALERTS:
        return frozenset()
    return frozenset(
        (event.source, event.id.removesuffix(RESOLVED))
        for event in events
        if event is not None and event.type == EventType.OUTAGE_RESTORED and event.id.endswith(RESOLVED)
    )
