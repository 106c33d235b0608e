"""Queries of the pages, the API and the metrics. They run outside of the writer's transaction."""

from collections.abc import Collection
from datetime import datetime, tzinfo
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, func, select

from incident_engine.domain.grading.assessment_document import to_local_iso
from incident_engine.store.quarantine import QuarantineState
from incident_engine.store.tables import assessments, attempts, cases, deliveries, events, quarantine, steps


def incident_rows(
    connection: Connection, zone: tzinfo, *, closed: bool | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    """Return a page of incidents: the open ones first, each group the worst and the latest first.

    `closed` selects only closed (True) or open (False) ones. Shape: `{"id", "state": "open" | "restored" | "closed",
    "level", "group", "services": [id], "regions": [code], "occurred_at", "restored_at", "opened_at", "closed_at"}`;
    instants are ISO 8601 in the zone's time, or None.
    """
    query = select(cases).order_by(
        cases.c.closed_at.is_not(None), cases.c.severity.desc(), cases.c.opened_at.desc(), cases.c.id
    )
    if closed is not None:
        query = query.where(cases.c.closed_at.is_not(None) if closed else cases.c.closed_at.is_(None))
    rows = connection.execute(query.limit(limit).offset(offset)).mappings()
    return [_incident(row, zone) for row in rows]


def incident_count(connection: Connection, *, closed: bool | None) -> int:
    """Return the number of incidents; `closed` as for `incident_rows`."""
    query = select(func.count()).select_from(cases)
    if closed is not None:
        query = query.where(cases.c.closed_at.is_not(None) if closed else cases.c.closed_at.is_(None))
    return int(connection.scalar(query) or 0)


def incident_row(connection: Connection, case_id: str, zone: tzinfo) -> dict[str, Any] | None:
    """Return one incident in the shape of `incident_rows`; None if there is no such incident."""
    row = connection.execute(select(cases).where(cases.c.id == case_id)).mappings().one_or_none()
    return None if row is None else _incident(row, zone)


def step_rows(connection: Connection, case_id: str, zone: tzinfo) -> list[dict[str, Any]]:
    """Return an incident's steps in the order of their due instants.

    Shape: the columns of `steps` except `case_id`, with instants in ISO 8601 in the zone's time.
    """
    query = select(steps).where(steps.c.case_id == case_id).order_by(steps.c.due_at, steps.c.id)
    return [_to_json(row, zone, without=("case_id",)) for row in connection.execute(query).mappings()]


def delivery_rows(connection: Connection, case_id: str, zone: tzinfo) -> list[dict[str, Any]]:
    """Return an incident's deliveries in the order in which they were made.

    Shape: the columns of `deliveries` except `case_id`, and `attempts` as a list of `{"number", "started_at",
    "ended_at", "outcome", "detail"}`.
    """
    query = select(deliveries).where(deliveries.c.case_id == case_id).order_by(deliveries.c.created_at, deliveries.c.id)
    rows = [
        _to_json(row, zone, without=("case_id", "attempts")) | {"attempts": []}
        for row in connection.execute(query).mappings()
    ]
    by_id = {row["id"]: row for row in rows}
    attempt_query = (
        select(attempts)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .where(deliveries.c.case_id == case_id)
        .order_by(attempts.c.seq)
    )
    for attempt in connection.execute(attempt_query).mappings():
        by_id[attempt["delivery_id"]]["attempts"].append(_to_json(attempt, zone, without=("seq", "delivery_id")))
    return rows


def event_rows(connection: Connection, case_id: str, zone: tzinfo) -> list[dict[str, Any]]:
    """Return an incident's events in order of occurrence.

    Shape: the event in the native format (docs/events.md), and `received_at`.
    """
    query = (
        select(events.c.document, events.c.occurred_at, events.c.received_at)
        .where(events.c.case_id == case_id)
        .order_by(events.c.occurred_at, events.c.seq)
    )
    return [
        row.document
        | {"occurred_at": to_local_iso(row.occurred_at, zone), "received_at": to_local_iso(row.received_at, zone)}
        for row in connection.execute(query)
    ]


def quarantine_rows(
    connection: Connection, zone: tzinfo, state: str | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    """Return a page of quarantined reports in a state (None: any), the latest first.

    Shape: the columns of `quarantine` except `seq`.
    """
    query = (
        select(quarantine)
        .where(*_in_state(state))
        .order_by(quarantine.c.last_received_at.desc(), quarantine.c.seq.desc())
    )
    rows = connection.execute(query.limit(limit).offset(offset)).mappings()
    return [_to_json(row, zone, without=("seq",)) for row in rows]


def quarantine_count(connection: Connection, state: str | None = QuarantineState.WAITING) -> int:
    """Return the number of quarantined reports in a state (None: any)."""
    return int(connection.scalar(select(func.count()).select_from(quarantine).where(*_in_state(state))) or 0)


def _in_state(state: str | None) -> tuple[ColumnElement[bool], ...]:
    return () if state is None else (quarantine.c.state == state,)


def open_incidents_by_level(connection: Connection) -> dict[str | None, int]:
    """Return the number of open incidents by level; None stands for below the lowest."""
    query = select(cases.c.level, func.count()).where(cases.c.closed_at.is_(None)).group_by(cases.c.level)
    return {row[0]: row[1] for row in connection.execute(query)}


def worst_open_verdicts(connection: Connection, limit: int) -> list[int]:
    """Return the `seq` of the latest assessment by each pack of the `limit` worst open incidents.

    Among equally severe incidents, the latest to begin count.
    """
    worst = (
        select(cases.c.id)
        .where(cases.c.closed_at.is_(None))
        .order_by(cases.c.severity.desc(), cases.c.first_at.desc())
        .limit(limit)
        .subquery()
    )
    latest = (
        select(func.max(assessments.c.seq))
        .where(assessments.c.case_id.in_(select(worst.c.id)))
        .group_by(assessments.c.case_id, assessments.c.pack)
    )
    return list(connection.scalars(latest))


def verdicts(connection: Connection, numbers: Collection[int]) -> dict[int, dict[str, Any]]:
    """Return assessments by `seq`: the document of each (see `assessment_document`), and its case as `incident`."""
    query = select(assessments.c.seq, assessments.c.case_id, assessments.c.document)
    rows = connection.execute(query.where(assessments.c.seq.in_(numbers))) if numbers else ()
    return {row.seq: row.document | {"incident": row.case_id} for row in rows}


def _incident(row: RowMapping, zone: tzinfo) -> dict[str, Any]:
    # A case without services is known by its harm alone, and there is nothing that could be restored.
    open_state = "restored" if row["last_at"] is not None and row["services"] else "open"
    state = "closed" if row["closed_at"] is not None else open_state
    return {
        "id": row["id"],
        "state": state,
        "level": row["level"],
        "group": row["service_group"],
        "services": row["services"],
        "regions": row["regions"],
        "occurred_at": to_local_iso(row["first_at"], zone),
        "restored_at": to_local_iso(row["last_at"], zone) if state != "open" and row["services"] else None,
        "opened_at": to_local_iso(row["opened_at"], zone),
        "closed_at": to_local_iso(row["closed_at"], zone),
    }


def _to_json(row: RowMapping, zone: tzinfo, without: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: to_local_iso(value, zone) if isinstance(value, datetime) else value
        for name, value in row.items()
        if name not in without
    }
