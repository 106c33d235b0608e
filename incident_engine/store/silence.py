"""Finds outages without a recent report, although their monitors repeat reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from incident_engine.store.tables import cases, events


@dataclass(frozen=True, slots=True)
class SilentCase:
    """A case that is down and of which nothing was heard since an instant."""

    id: str
    source: str
    services: Sequence[str]
    regions: Sequence[str]
    heard_at: datetime


def silent_cases(connection: Connection, now: datetime, silent_after: Mapping[str, timedelta]) -> list[SilentCase]:
    """Return the open cases that are down and silent for longer than one of their sources allows, the longest first.

    Every event of a case counts as a word of it, also a person's note.
    """
    by_id: dict[str, SilentCase] = {}
    repeated_at = func.coalesce(cases.c.heard_at, cases.c.opened_at)
    of_case = events.c.case_id == cases.c.id
    received_at = select(func.max(events.c.received_at)).where(of_case).scalar_subquery()
    is_down = (cases.c.closed_at.is_(None), cases.c.last_at.is_(None))
    for source, length in silent_after.items():
        limit = now - length
        reported = select(events.c.seq).where(of_case, events.c.source == source).exists()
        # The cheap condition first: it leaves few cases whose events have to be looked at.
        query = select(cases.c.id, cases.c.services, cases.c.regions, repeated_at, received_at).where(
            *is_down, repeated_at <= limit, received_at <= limit, reported
        )
        for case_id, services, regions, repeat, event in connection.execute(query):
            by_id.setdefault(case_id, SilentCase(case_id, source, services, regions, max(repeat, event)))
    return sorted(by_id.values(), key=lambda case: (case.heard_at, case.id))
