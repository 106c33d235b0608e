"""Finds closed cases that may be archived, and the rows that keep one of them from it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, or_, select

from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.domain.response.step import StepState
from incident_engine.store.tables import archived_incidents, cases, deliveries, steps, timers

_NOT_STARTED = (StepState.PENDING, StepState.AWAITING)
_UNDELIVERED = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.HELD)


@dataclass(frozen=True, slots=True)
class ClosedCase:
    """A closed case, in the order of closing."""

    id: str
    closed_at: datetime


def closed_cases(connection: Connection, before: datetime, after: ClosedCase | None, limit: int) -> list[ClosedCase]:
    """Return a page of the cases that were closed before an instant, the earliest first.

    `after` is the last case of the page before. Cases that are chosen for an archive file are left out.
    """
    query = select(cases.c.id, cases.c.closed_at).where(
        cases.c.closed_at < before, cases.c.id.not_in(select(archived_incidents.c.id))
    )
    if after is not None:
        # A keyset page: cases leave the table between pages, so an offset would skip some.
        later = cases.c.closed_at > after.closed_at
        query = query.where(or_(later, and_(cases.c.closed_at == after.closed_at, cases.c.id > after.id)))
    rows = connection.execute(query.order_by(cases.c.closed_at, cases.c.id).limit(limit))
    return [ClosedCase(row.id, row.closed_at) for row in rows]


def has_open_step(connection: Connection, case_id: str) -> bool:
    """Return whether a step has not started, waits for an approval, or must still be completed by a person."""
    is_open = or_(
        steps.c.state.in_(_NOT_STARTED), and_(steps.c.state == StepState.STARTED, steps.c.awaits == "completion")
    )
    query = select(steps.c.id).where(steps.c.case_id == case_id, is_open).limit(1)
    return connection.scalar(query) is not None


def has_delivery_under_way(connection: Connection, case_id: str) -> bool:
    """Return whether a message is still to be delivered."""
    query = select(deliveries.c.id).where(deliveries.c.case_id == case_id, deliveries.c.state.in_(_UNDELIVERED))
    return connection.scalar(query.limit(1)) is not None


def has_timer(connection: Connection, case_id: str) -> bool:
    """Return whether a timer will update the case."""
    return connection.scalar(select(timers.c.due_at).where(timers.c.case_id == case_id)) is not None
