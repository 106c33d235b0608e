"""Counts and instants for the review of a period."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, func, select

from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.store.tables import cases, deliveries, steps


def incidents_between(connection: Connection, start: datetime, end: datetime) -> list[str]:
    """Return the ids of the incidents that began in [start, end), the earliest first."""
    query = (
        select(cases.c.id)
        .where(cases.c.first_at >= start, cases.c.first_at < end)
        .order_by(cases.c.first_at, cases.c.id)
    )
    return list(connection.scalars(query))


def deliveries_by_state(connection: Connection, case_id: str) -> dict[str, int]:
    """Return the number of a case's deliveries in each state."""
    query = select(deliveries.c.state, func.count()).where(deliveries.c.case_id == case_id).group_by(deliveries.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def first_delivered_at(connection: Connection, case_id: str, audiences: Collection[str]) -> datetime | None:
    """Return the instant of the first delivery to one of these audiences; None if nothing was delivered."""
    delivered_at: datetime | None = connection.scalar(
        select(func.min(deliveries.c.ended_at))
        .join(steps, steps.c.id == deliveries.c.step_id)
        .where(
            deliveries.c.case_id == case_id,
            deliveries.c.state == DeliveryState.DELIVERED,
            steps.c.audience.in_(audiences),
        )
    )
    return delivered_at
