"""The case of an event: a stored one, or one that the event opens."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from incident_engine.common.errors import Problem
from incident_engine.common.validation import nearest
from incident_engine.domain.events.model import Event, MaintenanceAnnounced, OutageEvent
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.correlation import IncidentWindow
from incident_engine.engine.case_types import CaseType, CaseTypes
from incident_engine.engine.decision_log import Reason, log_after_commit
from incident_engine.engine.incident_cache import IncidentCache
from incident_engine.store import archive, cases
from incident_engine.store.packs import store_pack
from incident_engine.store.unit_of_work import UnitOfWork


class Router:
    """Finds the case of an event, or opens one with the packs in use now."""

    def __init__(self, case_types: CaseTypes, packs: Sequence[Pack], cache: IncidentCache) -> None:
        self._case_types = case_types
        self._cache = cache
        self._packs = packs
        self._stored: set[str] = set()
        """The content hashes of the packs that are known to be in the store."""

    def route(self, unit: UnitOfWork, event: Event, now: datetime) -> str | Problem:
        """Return the id of the event's case, opened if need be; a problem if the event names a case that is missing.

        The path of the problem begins at the event.
        """
        connection = unit.connection
        if event.incident is not None:
            is_cached = self._cache.open_incidents.get(event.incident) is not None
            if is_cached or cases.case_row(connection, event.incident) is not None:
                return event.incident
        archived = None if event.incident is None else archive.archived(connection, event.incident)
        if archived is not None:
            message = f"incident '{archived.id}' was archived in {archived.file} on {archived.archived_at:%Y-%m-%d}"
            return Problem(("incident",), message, "an incident that is not")
        case_type = self._case_types.of_event(event)
        group = case_type.group_of(event)
        if event.incident is None:
            case_id = self._correlate(connection, case_type, event, group)
            if case_id is not None:
                return case_id
        if not case_type.opens(event):
            return _no_incident(connection, event)
        case_id = case_type.new_id(event, group)
        # A key that the event names was looked for above; an id that is made of the event may be taken.
        if event.incident is not None or cases.case_row(connection, case_id) is None:
            self._open(unit, case_type, case_id, group, event.occurred_at, now)
        return case_id

    def affected_by_maintenance(self, connection: Connection, event: MaintenanceAnnounced) -> list[str]:
        """Return the open incidents that announced maintenance may affect."""
        group = self._case_types.of_event(event).group_of(event)
        return [window.case_id for window in self._cache.open_incidents.in_group(connection, group)]

    def _open(
        self, unit: UnitOfWork, case_type: CaseType, case_id: str, group: str, at: datetime, now: datetime
    ) -> None:
        # A case goes on with its packs when the rules change, so their content is stored with the first case.
        for pack in self._packs:
            if pack.content_hash not in self._stored:
                store_pack(unit.connection, pack)
                self._stored.add(pack.content_hash)
                unit.on_rollback.append(self._stored.clear)
        hashes = {pack.pack: pack.content_hash for pack in self._packs}
        cases.insert_case(unit.connection, case_id, case_type.kind, group, at=at, now=now, pack_hashes=hashes)
        self._cache.open_incidents.put(unit, IncidentWindow(case_id, group, at, at, has_no_start=True))
        log_after_commit(unit, Reason.INCIDENT_OPENED, incident=case_id, group=group)

    def _correlate(self, connection: Connection, case_type: CaseType, event: Event, group: str) -> str | None:
        def ends(case_id: str) -> bool:
            return isinstance(event, OutageEvent) and self._cache.is_ended_by(connection, case_id, event)

        return case_type.correlate(event, self._cache.open_incidents.in_group(connection, group), ends)


def _no_incident(connection: Connection, event: Event) -> Problem:
    if event.incident is not None:
        message = f"there is no incident '{event.incident}'"
        near = nearest(event.incident, cases.recent_case_ids(connection, 50))
        return Problem(("incident",), message, "the id of an incident", near)
    if event.service is None:
        message = f"'{event.type}' names neither an incident nor a service"
        return Problem(("incident",), message, "the id of an incident")
    message = f"service '{event.service}' has no open incident"
    return Problem(("service",), message, "an incident by its id, or a service that has an open one")
