"""Claiming deliveries and recording how they went: claim with a lease, send, record."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from incident_engine.response.plan import StepState
from incident_engine.store.tables import attempts, deliveries, steps


class DeliveryState(StrEnum):
    """How far a delivery has come."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours to attempt until its lease ends."""

    id: str
    step_id: str
    incident_id: str
    contact: str
    channel: str
    address: str | None
    locale: str
    subject: str
    body: str
    created_at: datetime
    attempt: int


_FIELDS = tuple(name for name in Claimed.__slots__ if name != "attempt")


def claim(
    connection: Connection, now: datetime, lease_until: datetime, limit: int, under_way: Collection[str] = ()
) -> list[Claimed]:
    """Take the deliveries that are due, with a lease; one whose lease has run out is due again.

    What this process has `under_way` (its lease ran out only because the clock was set forward) keeps a lease.
    """
    if under_way:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.id.in_(under_way), deliveries.c.state == DeliveryState.SENDING)
            .values(due_at=lease_until)
        )
    rows = connection.execute(
        select(deliveries)
        .where(deliveries.c.due_at.is_not(None), deliveries.c.due_at <= now)
        .order_by(deliveries.c.due_at, deliveries.c.created_at)
        .limit(limit)
    )
    found = rows.mappings().all()
    claimed = [Claimed(**{name: row[name] for name in _FIELDS}, attempt=row["attempts"] + 1) for row in found]
    for delivery in claimed:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.id == delivery.id)
            .values(state=DeliveryState.SENDING, due_at=lease_until, attempts=delivery.attempt)
        )
        connection.execute(insert(attempts).values(delivery_id=delivery.id, number=delivery.attempt, started_at=now))
    return claimed


def record(
    connection: Connection,
    delivery: Claimed,
    state: DeliveryState,
    outcome: str,
    detail: str,
    now: datetime,
    retry_at: datetime | None,
) -> bool:
    """Record how an attempt went. Return False if the lease was lost meanwhile and somebody else decides."""
    connection.execute(
        update(attempts)
        .where(attempts.c.delivery_id == delivery.id, attempts.c.number == delivery.attempt)
        .values(ended_at=now, outcome=outcome, detail=detail)
    )
    changed = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id == delivery.id,
            deliveries.c.state == DeliveryState.SENDING,
            deliveries.c.attempts == delivery.attempt,
        )
        .values(state=state, due_at=retry_at, ended_at=None if retry_at else now)
    )
    if changed.rowcount and retry_at is None:
        _end_step(connection, delivery.step_id, now)
    return bool(changed.rowcount)


def release_all(connection: Connection, now: datetime) -> int:
    """Make due at once what a process that is gone was sending. Return how many."""
    released = connection.execute(
        update(deliveries)
        .where(deliveries.c.state == DeliveryState.SENDING)
        .values(state=DeliveryState.PENDING, due_at=now)
    )
    return released.rowcount


def _end_step(connection: Connection, step_id: str, now: datetime) -> None:
    """A step that asks nobody for a deed ends with its last message: completed, or failed if none got through."""
    states = connection.scalars(select(deliveries.c.state).where(deliveries.c.step_id == step_id)).all()
    if any(state in (DeliveryState.PENDING, DeliveryState.SENDING) for state in states):
        return
    end = StepState.COMPLETED if DeliveryState.DELIVERED in states else StepState.FAILED
    connection.execute(
        update(steps)
        .where(steps.c.id == step_id, steps.c.state == StepState.BEGUN, steps.c.fulfils.is_(None))
        .values(state=end, completed_at=now)
    )
