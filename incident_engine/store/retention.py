"""Closed incidents, and what may keep one of them from being archived."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, or_, select

from incident_engine.domain.response.step import StepState
from incident_engine.store.deliveries import DeliveryState
from incident_engine.store.tables import archived_incidents, cases, deliveries, steps, timers

_TO_COME = (StepState.PENDING, StepState.AWAITING)
_UNDER_WAY = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.HELD)


@dataclass(frozen=True, slots=True)
class Ended:
    """A closed incident."""

    id: str
    closed_at: datetime


def ended(connection: Connection, before: datetime, after: Ended | None, limit: int) -> list[Ended]:
    """Return incidents closed before an instant, the first closed first, from after another on."""
    query = select(cases.c.id, cases.c.closed_at).where(
        cases.c.closed_at < before, cases.c.id.not_in(select(archived_incidents.c.id))
    )
    if after is not None:
        later = cases.c.closed_at > after.closed_at
        query = query.where(or_(later, and_(cases.c.closed_at == after.closed_at, cases.c.id > after.id)))
    rows = connection.execute(query.order_by(cases.c.closed_at, cases.c.id).limit(limit))
    return [Ended(row.id, row.closed_at) for row in rows]


def has_open_step(connection: Connection, case_id: str) -> bool:
    """Return whether a step is still to come, waits for an approval, or is to be completed by a person."""
    open_ones = or_(
        steps.c.state.in_(_TO_COME), and_(steps.c.state == StepState.STARTED, steps.c.awaits == "completion")
    )
    query = select(steps.c.id).where(steps.c.case_id == case_id, open_ones).limit(1)
    return connection.scalar(query) is not None


def has_delivery_under_way(connection: Connection, case_id: str) -> bool:
    """Return whether a message is still to be delivered."""
    query = select(deliveries.c.id).where(deliveries.c.case_id == case_id, deliveries.c.state.in_(_UNDER_WAY))
    return connection.scalar(query.limit(1)) is not None


def has_timer(connection: Connection, case_id: str) -> bool:
    """Return whether the incident is to be looked at again by itself."""
    return connection.scalar(select(timers.c.due_at).where(timers.c.case_id == case_id)) is not None
