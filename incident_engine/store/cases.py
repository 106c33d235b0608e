"""The table of cases: one row for each case, with its window of time, packs and latest level."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from incident_engine.domain.incidents.correlation import IncidentWindow
from incident_engine.store.prepared import Prepared, insert_row, update_row
from incident_engine.store.tables import cases


@dataclass(frozen=True, slots=True)
class CaseRow:
    """The stored facts of a case that do not follow from its events."""

    id: str
    kind: str
    pack_hashes: Mapping[str, str]
    """The content hash by name of each pack in force when the case was opened."""


def case_row(connection: Connection, case_id: str) -> CaseRow | None:
    """Return the row of a case; None if there is no such case."""
    row = _CASE.row(connection, id=case_id)
    return None if row is None else CaseRow(row.id, row.kind, row.packs)


_CASE = Prepared(select(cases.c.id, cases.c.kind, cases.c.packs).where(cases.c.id == bindparam("id")))


def service_group(connection: Connection, case_id: str) -> str:
    """Return the service group of a stored case."""
    return str(_GROUP.value(connection, id=case_id))


_GROUP = Prepared(select(cases.c.service_group).where(cases.c.id == bindparam("id")))


def closed_at(connection: Connection, case_id: str) -> datetime | None:
    """Return the instant at which a case was closed, as of its last update; None if it is open."""
    return connection.scalar(select(cases.c.closed_at).where(cases.c.id == case_id))


def recent_case_ids(connection: Connection, limit: int) -> list[str]:
    """Return the ids of the cases that were opened last."""
    return list(connection.scalars(select(cases.c.id).order_by(cases.c.opened_at.desc()).limit(limit)))


def open_windows(connection: Connection, group: str) -> list[IncidentWindow]:
    """Return the window of time of each open incident of a service group."""
    rows = _OPEN_WINDOWS.rows(connection, group=group)
    return [IncidentWindow(row.id, group, row.first_at, row.last_at, has_no_start=not row.services) for row in rows]


_OPEN_WINDOWS = Prepared(
    select(cases.c.id, cases.c.first_at, cases.c.last_at, cases.c.services).where(
        cases.c.service_group == bindparam("group"), cases.c.closed_at.is_(None)
    )
)


def insert_case(
    connection: Connection,
    case_id: str,
    kind: str,
    group: str,
    *,
    at: datetime,
    now: datetime,
    pack_hashes: Mapping[str, str],
) -> None:
    """Store a new case whose first event occurred at `at`; it keeps the packs of `pack_hashes` for good."""
    values = {
        "id": case_id,
        "kind": kind,
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
    """Store the summary of a case's latest assessment; `values` are columns of `cases`."""
    update_row(connection, cases, case_id, values)
