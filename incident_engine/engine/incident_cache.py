"""The caches of the writer's transactions: folded incidents, events not yet written, windows of open incidents.

The events on disk are the truth. Changes by a transaction that is rolled back are dropped with it.
"""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from incident_engine.domain.events.effect import RECORDED, Effect, EffectReason, EventEffect
from incident_engine.domain.events.model import Event, MaintenanceAnnounced, OutageEvent, Recorded
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.incident import Impairment, Incident
from incident_engine.domain.incidents.incremental import FoldEffect, IncrementalFold
from incident_engine.domain.response.effects import lines_of, outage_effect
from incident_engine.engine.cache_sync import CacheSync
from incident_engine.engine.case_types import CaseTypes
from incident_engine.engine.open_incidents import OpenIncidents
from incident_engine.store import cases
from incident_engine.store.events import EventRow, Key, StoredEvent, append_all, event_row, events_of, known_events
from incident_engine.store.unit_of_work import UnitOfWork

_MAX_EVENTS = 300_000
"""Events of all cached incidents together; an event takes about 300 bytes."""
_MAX_INCIDENTS = 2_000
_FEW_REGIONS = 34
"""China's provincial units."""
_BEGINNINGS = (EventType.OUTAGE_STARTED, EventType.OUTAGE_DEGRADED)
_REPETITION = EventEffect(Effect.NONE, EffectReason.DOWN_ALREADY)


def _first_effect(event: Event) -> EventEffect:
    """Return the effect of an event on a case of which nothing is impaired."""
    if not isinstance(event, OutageEvent):
        return RECORDED
    is_end = event.type == EventType.OUTAGE_RESTORED
    after = {} if is_end else dict.fromkeys(lines_of(event), Impairment.DOWN)
    return outage_effect(event, {}, after, was_impaired=False, has_changed=False)


class IncidentCache:
    """Keeps what the writer needs of incidents from one transaction to the next, and appends their events."""

    def __init__(self, case_types: CaseTypes) -> None:
        self._case_types = case_types
        self.open_incidents = OpenIncidents()
        self._sync = CacheSync()
        self._folds: OrderedDict[str, IncrementalFold] = OrderedDict()
        self._weight = 0
        self._unwritten: dict[Key, EventRow] = {}

    def begin(self, unit: UnitOfWork) -> None:
        """Drop what other replicas have changed since the last transaction of this process."""
        for case_id, group in self._sync.changed_cases(unit):
            if case_id is None or group is None:  # maintenance may affect any incident of its service
                self.forget_all()
            else:
                self.forget(case_id)
                self.open_incidents.forget(group)

    def end(self, unit: UnitOfWork) -> None:
        """Mark the events of this transaction as known to this process once they are on disk."""
        self._sync.mark_seen(unit)

    def appended(self, connection: Connection, keys: Iterable[Key]) -> dict[Key, StoredEvent]:
        """Return the events of these keys that have been appended before."""
        wanted = list(keys)
        rows = {key: self._unwritten[key] for key in wanted if key in self._unwritten}
        unwritten = {key: StoredEvent(row.case_id, row.document) for key, row in rows.items()}
        return unwritten | known_events(connection, [key for key in wanted if key not in unwritten])

    def incident(self, connection: Connection, case_id: str) -> Incident:
        """Return a stored incident as its events make it."""
        return self._fold(connection, case_id).incident

    def is_ended_by(self, connection: Connection, case_id: str, event: OutageEvent) -> bool:
        """Return whether a restoration ends anything of a stored incident."""
        return self._fold(connection, case_id).is_ended_by(event)

    def is_active(self, connection: Connection, case_id: str, event: OutageEvent) -> bool:
        """Return whether the signal of an event is active in a stored incident, in its service and regions."""
        return self._fold(connection, case_id).is_active(event)

    def last_report_of(self, connection: Connection, case_id: str, event: OutageEvent) -> datetime | None:
        """Return when the signal of an event was last reported in a stored incident, in its service and regions."""
        return self._fold(connection, case_id).last_report_of(event)

    def is_full(self, connection: Connection, case_id: str, event: OutageEvent, most: int) -> bool:
        """Return whether an incident would have more than `most` outages (a service in a region) with an event."""
        fold = self._folds.get(case_id)
        if fold is None:
            # Folding costs a query; a few regions go unchecked until the update, which folds the incident anyway.
            if len(event.regions) <= _FEW_REGIONS:
                return False
            fold = self._fold(connection, case_id)
        return fold.exceeds(most, event)

    def append(self, unit: UnitOfWork, recorded: Recorded, case_id: str | None) -> tuple[bool, EventEffect]:
        """Append an event; return whether it changed its incident, and its effect. `flush` writes it.

        The effect of a person's event is RECORDED, or REOPENED: the engine knows the steps that it is about.
        """
        if not self._unwritten:  # once for each dictionary: `flush` starts a new one
            unit.on_rollback.append(self._unwritten.clear)
        if case_id is None or isinstance(recorded.event, MaintenanceAnnounced):
            self._unwritten[recorded.key] = event_row(recorded, case_id)
            self.forget_all()  # maintenance may affect any incident of its service
            unit.on_rollback.append(self.forget_all)
            return True, RECORDED
        unit.on_rollback.append(lambda: self.forget(case_id))  # a fold cannot take an event back
        was_cached = case_id in self._folds
        window = None if was_cached else self.open_incidents.get(case_id)
        if window is not None and window.has_no_start:
            # Nothing of a new case is impaired, so the event alone tells its effect; the update folds the case.
            self._unwritten[recorded.key] = event_row(recorded, case_id)
            return True, _first_effect(recorded.event)
        # A fold that is not cached costs no statement here that the update would not need anyway.
        fold = self._fold(unit.connection, case_id)
        event, was_closed, was_impaired = recorded.event, fold.is_closed, bool(fold.impaired)
        lines = lines_of(event) if isinstance(event, OutageEvent) else []
        # Its own lines alone: no event impairs or ends anything else, and an incident may have thousands.
        before = {line: fold.impaired[line] for line in lines if line in fold.impaired}
        fold_effect = fold.apply(recorded)
        self._unwritten[recorded.key] = event_row(recorded, case_id)
        has_changed = fold_effect is FoldEffect.CHANGED
        if fold_effect is FoldEffect.REFOLD:
            incident = fold.incident
            self.forget(case_id)
            fold = self._fold(unit.connection, case_id)
            has_changed = fold.incident != incident
        else:
            self._weight += 1
        if was_closed and not fold.is_closed:
            effect = EventEffect(Effect.REOPENED, EffectReason.REOPENED)
        elif not has_changed and event.type in _BEGINNINGS:
            effect = _REPETITION  # the rest of a storm: nothing to compare
        elif isinstance(event, OutageEvent):
            effect = outage_effect(event, before, fold.impaired, was_impaired=was_impaired, has_changed=has_changed)
        else:
            effect = RECORDED
        # The row of a case that was not cached may be older than the fold: then it is updated in any case.
        return has_changed or not was_cached, effect

    def widen(self, unit: UnitOfWork, case_id: str, event: OutageEvent) -> None:
        """Store the incident's window of time with this event, because later events of the transaction need it."""
        fold, at = self._fold(unit.connection, case_id), event.occurred_at
        is_start = event.type != EventType.OUTAGE_RESTORED
        if is_start and fold.open_since is not None and fold.open_since <= at:
            return  # the rest of a storm widens nothing, and the incident may have thousands of outages
        if not is_start and fold.impaired:
            return
        incident = fold.incident
        columns: dict[str, Any] = {"last_at": None if incident.is_down else incident.restored_at or at}
        fold.open_since = None
        if is_start:
            columns |= {"first_at": incident.occurred_at or at, "services": list(incident.services)}
            columns["closed_at"] = incident.closing.at if incident.closing else None
            fold.open_since = columns["first_at"] if incident.is_down else None
        cases.update_case(unit.connection, case_id, columns)
        self.open_incidents.update(unit, case_id, columns)

    def is_changing(self, case_id: str) -> bool:
        """Return whether an incident has events that are not written yet."""
        return any(row.case_id == case_id for row in self._unwritten.values())

    def flush(self, connection: Connection) -> None:
        """Write the appended events."""
        if self._unwritten:
            rows, self._unwritten = list(self._unwritten.values()), {}
            append_all(connection, rows)

    def forget(self, case_id: str) -> None:
        """Drop the fold of an incident; it is folded from the rows when it is next used."""
        fold = self._folds.pop(case_id, None)
        if fold is not None:
            self._weight -= fold.weight

    def forget_all(self) -> None:
        """Drop every fold."""
        self._folds.clear()
        self._weight = 0

    def _fold(self, connection: Connection, case_id: str) -> IncrementalFold:
        fold = self._folds.get(case_id)
        if fold is None:
            self.flush(connection)  # the events to fold are read from the rows
            row = cases.case_row(connection, case_id)
            assert row is not None, case_id  # noqa: S101 - a case is stored before its first event
            fold = self._case_types.of_kind(row.kind).fold(case_id, events_of(connection, case_id))
            self._folds[case_id] = fold
            self._weight += fold.weight
            while len(self._folds) > 1 and (self._weight > _MAX_EVENTS or len(self._folds) > _MAX_INCIDENTS):
                _, oldest = self._folds.popitem(last=False)
                self._weight -= oldest.weight
        self._folds.move_to_end(case_id)
        return fold
