"""What this process keeps in memory of incidents, and other replicas have changed since.

Every change of an incident comes with an event, and events are numbered in the order in which they are committed: there
is one writer at a time. So what is newer than this process' last look is what it must forget.
"""

from functools import partial

from incident_engine.engine.incident_cache import IncidentCache
from incident_engine.engine.open_incidents import OpenIncidents
from incident_engine.store.events import cases_since, last_event
from incident_engine.store.unit_of_work import UnitOfWork


class CacheSync:
    """Compares the newest event with the one that this process saw last, at both ends of a writing transaction."""

    def __init__(self, ledger: IncidentCache, spans: OpenIncidents) -> None:
        self._ledger = ledger
        self._spans = spans
        self._seen: int | None = None

    def begin(self, unit: UnitOfWork) -> None:
        """Forget the incidents to which others have added since."""
        last = last_event(unit.connection)
        if self._seen is not None and last != self._seen:
            self._forget(unit, self._seen)
        self._seen = last

    def end(self, unit: UnitOfWork) -> None:
        """Note the events of this transaction as seen, once they are on disk."""
        unit.after_commit.append(partial(self._note, last_event(unit.connection)))

    def _forget(self, unit: UnitOfWork, seen: int) -> None:
        for case_id, group in cases_since(unit.connection, seen):
            if case_id is None or group is None:  # maintenance may bear on any incident of its service
                self._ledger.forget_all()
                continue
            self._ledger.forget(case_id)
            self._spans.forget(group)

    def _note(self, last: int) -> None:
        self._seen = last
