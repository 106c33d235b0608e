"""Which incident an event belongs to, among those in the store."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from incident_engine.common.errors import Problem
from incident_engine.common.validation import nearest
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import Event, MaintenanceAnnounced, OutageEvent
from incident_engine.domain.events.types import ITSELF, EventType
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.correlation import (
    IncidentWindow,
    group_of,
    matching,
    new_incident_id,
    opens,
    unclosed,
)
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.values import NEVER
from incident_engine.engine.decision_log import Reason, log_after_commit
from incident_engine.engine.incident_cache import IncidentCache
from incident_engine.engine.open_incidents import OpenIncidents
from incident_engine.store import archive as archives
from incident_engine.store import cases
from incident_engine.store.events import events_of
from incident_engine.store.packs import store_pack
from incident_engine.store.unit_of_work import UnitOfWork


class Router:
    """Finds the incident of an event, or opens one with the packs in force now."""

    def __init__(self, settings: Settings, packs: Mapping[str, Pack], ledger: IncidentCache) -> None:
        self._cache = ledger
        self.open_incidents = OpenIncidents()
        self._groups = settings.groups
        self._window = settings.intake.window
        self._zone = settings.bank.zone
        self._packs = packs
        self._stored: set[str] = set()

    def route(self, unit: UnitOfWork, event: Event, now: datetime) -> str | Problem:
        """Return the incident's id; a problem (its path begins at the event) if the event names what is not there."""
        connection = unit.connection
        if event.incident is not None and self._is_known(connection, event.incident):
            return event.incident
        gone = None if event.incident is None else archives.archived(connection, event.incident)
        if gone is not None:
            said = f"incident '{gone.id}' was archived in {gone.file} on {gone.archived_at:%Y-%m-%d}"
            return Problem(("incident",), said, "an incident that is not")
        group = group_of(event.service, self._groups)
        found = None if event.incident is not None else self._correlated(connection, event, group)
        if found is not None:
            return found
        if not opens(event):
            return _no_incident(connection, event)
        case_id = new_incident_id(event, group, self._zone)
        if cases.case_row(connection, case_id) is None:
            self._open(unit, case_id, group, event.occurred_at, now)
        return case_id

    def affected_by_maintenance(self, connection: Connection, event: MaintenanceAnnounced) -> list[str]:
        """Return the open incidents on which announced maintenance may bear."""
        return [span.case_id for span in self.open_incidents.of(connection, group_of(event.service, self._groups))]

    def widen(self, unit: UnitOfWork, case_id: str, event: OutageEvent) -> None:
        """Store how far the incident reaches with this event, for those that are routed after it."""
        at, span = event.occurred_at, self.open_incidents.get(case_id)
        begins = event.type != EventType.OUTAGE_RESTORED
        if begins and span is not None and span.last_at is None and span.first_at <= at and not span.has_no_start:
            return
        incident = self._cache.incident(unit.connection, case_id)
        if not begins and incident.is_down:
            return
        reach: dict[str, Any] = {"last_at": None if incident.is_down else incident.restored_at or at}
        if begins:
            reach |= {"first_at": incident.occurred_at or at, "services": list(incident.services)}
            reach["closed_at"] = incident.closing.at if incident.closing else None
        cases.update_case(unit.connection, case_id, reach)
        self.open_incidents.update(unit, case_id, reach)

    def _is_known(self, connection: Connection, case_id: str) -> bool:
        return self.open_incidents.get(case_id) is not None or cases.case_row(connection, case_id) is not None

    def _open(self, unit: UnitOfWork, case_id: str, group: str, at: datetime, now: datetime) -> None:
        for content_hash, pack in self._packs.items():
            if content_hash not in self._stored:
                store_pack(unit.connection, pack)
                self._stored.add(content_hash)
                unit.on_rollback.append(self._stored.clear)
        hashes = {pack.pack: content_hash for content_hash, pack in self._packs.items()}
        cases.insert_case(unit.connection, case_id, group, at, now, hashes)
        self.open_incidents.put(unit, IncidentWindow(case_id, group, at, at, has_no_start=True))
        log_after_commit(unit, Reason.INCIDENT_OPENED, incident=case_id, group=group)

    def _correlated(self, connection: Connection, event: Event, group: str) -> str | None:
        spans = self.open_incidents.of(connection, group)
        if len(spans) == 1 and event.type == EventType.OUTAGE_STARTED:  # the others' long way comes to the same
            (only,) = spans
            return only.case_id if only.accepts(event.occurred_at, self._window) else None
        if event.type == EventType.OUTAGE_RESTORED:
            spans = [
                replace(span, has_no_start=False) for span in spans
            ]  # only a beginning, however late, explains an end
        names = [span.case_id for span in matching(spans, event.occurred_at, self._window)]
        if not names and not isinstance(event, OutageEvent):
            names = unclosed(spans, event)
        if len(names) > 1 and isinstance(event, OutageEvent) and event.type == EventType.OUTAGE_RESTORED:
            for name in names:
                if self._cache.incident(connection, name).is_impaired(event.service, event.regions):
                    return name
        return names[0] if names else None


def not_to_be_closed(connection: Connection, case_id: str, at: datetime, observation: timedelta) -> Problem | None:
    """Return why an incident cannot be closed at `at`: it ends when the system serves normally again (Art. 42).

    That has shown itself once everything has worked for the time of observation.
    """
    known = [recorded for recorded in events_of(connection, case_id) if recorded.event.occurred_at <= at]
    incident = fold(case_id, known)
    if incident.closing is not None and incident.closing.by != ITSELF:
        said = f"incident '{case_id}' was closed at {incident.closing.at.isoformat()} by {incident.closing.by}"
        return Problem(("type",), said, "an incident that is open")
    if not incident.is_down:
        ended = incident.restored_at
        if ended is None or at >= ended + observation:
            return None
        until = ended + observation
        said = f"incident '{case_id}' is under observation until {until.isoformat()} (closing.observation)"
        return Problem(("occurred_at",), said, "a closing from then on")
    where = ", ".join(f"{o.service} in {o.region}" for o in incident.outages if o.intervals[-1].end == NEVER)
    return Problem(("type",), f"incident '{case_id}' is still impaired: {where}", "outage.restored for these first")


def _no_incident(connection: Connection, event: Event) -> Problem:
    if event.incident is not None:
        said = f"there is no incident '{event.incident}'"
        near = nearest(event.incident, cases.recent_case_ids(connection, 50))
        return Problem(("incident",), said, "the id of an incident", near)
    if event.service is None:
        said = f"'{event.type}' names neither an incident nor a service"
        return Problem(("incident",), said, "the id of an incident")
    said = f"service '{event.service}' has no open incident"
    return Problem(("service",), said, "an incident by its id, or a service that has an open one")
