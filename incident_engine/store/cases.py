"""What the engine reads and writes within the writer's transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from incident_engine.domain.incidents.correlation import IncidentWindow
from incident_engine.store.prepared import Prepared, insert_row, update_row
from incident_engine.store.tables import (
    cases,
)


@dataclass(frozen=True, slots=True)
class CaseRow:
    """What is stored of an incident beside its events."""

    id: str
    pack_hashes: Mapping[str, str]


def case_row(connection: Connection, case_id: str) -> CaseRow | None:
    """Return an incident."""
    row = _INCIDENT.row(connection, id=case_id)
    return None if row is None else CaseRow(row.id, row.packs)


_INCIDENT = Prepared(select(cases.c.id, cases.c.packs).where(cases.c.id == bindparam("id")))


def service_group(connection: Connection, case_id: str) -> str:
    """Return the service group of a stored incident."""
    return str(_GROUP.value(connection, id=case_id))


_GROUP = Prepared(select(cases.c.service_group).where(cases.c.id == bindparam("id")))


def closed_at(connection: Connection, case_id: str) -> datetime | None:
    """Return when an incident was closed, as it was known up to now."""
    return connection.scalar(select(cases.c.closed_at).where(cases.c.id == case_id))


def recent_case_ids(connection: Connection, limit: int) -> list[str]:
    """Return the ids of the incidents opened last."""
    return list(connection.scalars(select(cases.c.id).order_by(cases.c.opened_at.desc()).limit(limit)))


def open_windows(connection: Connection, group: str) -> list[IncidentWindow]:
    """Return how far each open incident of a service group reaches."""
    rows = _OPEN_SPANS.rows(connection, group=group)
    return [IncidentWindow(row.id, group, row.first_at, row.last_at, has_no_start=not row.services) for row in rows]


_OPEN_SPANS = Prepared(
    select(cases.c.id, cases.c.first_at, cases.c.last_at, cases.c.services).where(
        cases.c.service_group == bindparam("group"), cases.c.closed_at.is_(None)
    )
)


def insert_case(
    connection: Connection, case_id: str, group: str, at: datetime, now: datetime, pack_hashes: Mapping[str, str]
) -> None:
    """Store a new incident, which keeps the packs with which it began."""
    values = {
        "id": case_id,
        "kind": "incident",
        "service_group": group,
        "opened_at": now,
        "first_at": at,
        "last_at": at,
        "severity": 0,
        "packs": dict(pack_hashes),
        "services": [],
        "regions": [],
    }
    insert_row(connection, cases, values)


def update_case(connection: Connection, case_id: str, values: Mapping[str, Any]) -> None:
    """Store what the latest assessment says of an incident."""
    update_row(connection, cases, case_id, values)
