"""Which cases other replicas have changed since this process last looked.

Every change of a case comes with an event, and there is one writer at a time, so events are numbered in the order in
which they are committed. The events after the last number seen are the ones that make cached cases stale.
"""

from collections.abc import Sequence
from functools import partial

from incident_engine.store.events import cases_since, last_event
from incident_engine.store.unit_of_work import UnitOfWork


class CacheSync:
    """Compares the newest event with the last one that this process saw, at both ends of a write transaction."""

    def __init__(self) -> None:
        self._last_seen: int | None = None

    def changed_cases(self, unit: UnitOfWork) -> Sequence[tuple[str | None, str | None]]:
        """Return the cases that others have changed since, each with its service group; (None, None): maintenance."""
        last, last_seen = last_event(unit.connection), self._last_seen
        self._last_seen = last
        return () if last_seen is None or last_seen == last else cases_since(unit.connection, last_seen)

    def mark_seen(self, unit: UnitOfWork) -> None:
        """Mark the events of this transaction as seen once they are on disk."""
        unit.after_commit.append(partial(setattr, self, "_last_seen", last_event(unit.connection)))
