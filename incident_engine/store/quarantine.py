"""The table of quarantined reports, which could not become events."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete

from incident_engine.store.dialect import fetch, upsert
from incident_engine.store.events import IDS_AT_ONCE
from incident_engine.store.tables import quarantine


def put_in_quarantine(
    connection: Connection, source: str, key: str, reason: str, detail: str, document: Any, now: datetime
) -> bool:
    """Store a report, or count up if it is there already. Return whether it is new."""
    statement = upsert(connection.dialect.name, quarantine).values(
        source=source,
        key=key,
        reason=reason,
        detail=detail,
        document=document,
        first_received_at=now,
        last_received_at=now,
        times=1,
    )
    times = connection.scalar(
        statement.on_conflict_do_update(
            index_elements=["source", "key"],
            set_={
                "times": quarantine.c.times + 1,
                "last_received_at": statement.excluded.last_received_at,
                "reason": statement.excluded.reason,
                "detail": statement.excluded.detail,
            },
        ).returning(quarantine.c.times)
    )
    return bool(times == 1)


def is_anything_in_quarantine(connection: Connection) -> bool:
    """Return whether any report is quarantined."""
    # Asked before each release: the quarantine is nearly always empty, and this is cheaper than the deletion.
    return bool(fetch(connection, "SELECT 1 FROM quarantine LIMIT 1"))


def release_from_quarantine(connection: Connection, source: str, keys: Iterable[str]) -> None:
    """Remove the reports with these keys, as far as they are there."""
    ordered = list(keys)
    for start in range(0, len(ordered), IDS_AT_ONCE):
        part = ordered[start : start + IDS_AT_ONCE]
        connection.execute(delete(quarantine).where(quarantine.c.source == source, quarantine.c.key.in_(part)))
