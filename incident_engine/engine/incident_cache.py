"""The incidents on which the writer works, kept folded in memory; the events on disk are the truth.

Only the writer's transactions use it. What a transaction took in is forgotten when it is rolled back.
"""

from collections import OrderedDict
from collections.abc import Iterable

from sqlalchemy import Connection

from incident_engine.domain.events.model import MaintenanceAnnounced, Recorded
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.incidents.incremental import FoldEffect, IncrementalFold
from incident_engine.store.events import EventRow, Key, append_all, event_row, events_of, known_events
from incident_engine.store.unit_of_work import UnitOfWork

_EVENTS = 300_000
"""How many events the incidents that are kept may have in all (about 300 bytes each)."""
_INCIDENTS = 2_000


class IncidentCache:
    """Appends events, and knows what each incident is after them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, IncrementalFold] = OrderedDict()
        self._weight = 0
        self._unwritten: dict[Key, EventRow] = {}

    def known(self, connection: Connection, keys: Iterable[Key]) -> dict[Key, str | None]:
        """Return those of the events that have been appended, each with its incident (None: of no incident)."""
        wanted = list(keys)
        here = {key: self._unwritten[key].case_id for key in wanted if key in self._unwritten}
        return here | known_events(connection, [key for key in wanted if key not in here])

    def incident(self, connection: Connection, case_id: str) -> Incident:
        """Return what is known of a stored incident."""
        return self._standing(connection, case_id).incident

    def append(self, unit: UnitOfWork, recorded: Recorded, case_id: str | None) -> bool:
        """Take an event in; return whether its incident has changed. It is written by `flush` at the latest."""
        if not self._unwritten:
            unit.on_rollback.append(self._unwritten.clear)
        if case_id is None or isinstance(recorded.event, MaintenanceAnnounced):
            self._write(recorded, case_id)
            self.forget_all()  # it may bear on any incident of its service
            unit.on_rollback.append(self.forget_all)
            return True
        unit.on_rollback.append(lambda: self.forget(case_id))
        standing = self._kept.get(case_id)
        if standing is None:
            self._write(recorded, case_id)
            return True
        before = standing.incident
        bearing = standing.apply(recorded)
        self._write(recorded, case_id)
        if bearing is FoldEffect.UNCLEAR:
            self.forget(case_id)
            return self._standing(unit.connection, case_id).incident != before
        self._weight += 1
        return bearing is FoldEffect.SOME

    def is_changing(self, case_id: str) -> bool:
        """Return whether an incident has events that are not written yet."""
        return any(row.case_id == case_id for row in self._unwritten.values())

    def flush(self, connection: Connection) -> None:
        """Write what has been appended."""
        if self._unwritten:
            rows, self._unwritten = list(self._unwritten.values()), {}
            append_all(connection, rows)

    def forget(self, case_id: str) -> None:
        """Fold an incident anew when it is asked for next."""
        standing = self._kept.pop(case_id, None)
        if standing is not None:
            self._weight -= standing.weight

    def forget_all(self) -> None:
        """Fold every incident anew when it is asked for next."""
        self._kept.clear()
        self._weight = 0

    def _write(self, recorded: Recorded, case_id: str | None) -> None:
        self._unwritten[recorded.key] = event_row(recorded, case_id)

    def _standing(self, connection: Connection, case_id: str) -> IncrementalFold:
        standing = self._kept.get(case_id)
        if standing is None:
            self.flush(connection)
            standing = IncrementalFold(case_id, events_of(connection, case_id))
            self._kept[case_id] = standing
            self._weight += standing.weight
            self._make_room()
        self._kept.move_to_end(case_id)
        return standing

    def _make_room(self) -> None:
        while len(self._kept) > 1 and (self._weight > _EVENTS or len(self._kept) > _INCIDENTS):
            _, oldest = self._kept.popitem(last=False)
            self._weight -= oldest.weight
