"""Claiming deliveries and recording how they went: claim with a lease, send, record."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, tuple_, update

from incident_engine.common import failpoints as faults
from incident_engine.domain.response.step import StepState
from incident_engine.store.prepared import Prepared, insert_row, update_row
from incident_engine.store.tables import (
    attempts,
    deliveries,
    events,
    steps,
)


class DeliveryState(StrEnum):
    """How far a delivery has come."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HELD = "held"
    """Waits for a person's approval of its words."""


class Priority(IntEnum):
    """What goes out first: notices that the law demands, then pages to be acknowledged, then all others."""

    STATUTORY = 0
    URGENT = 1
    OTHER = 2


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that is ours to attempt until its lease ends."""

    id: str
    step_id: str
    case_id: str
    contact: str
    channel: str
    address: str | None
    locale: str
    subject: str
    body: str
    created_at: datetime
    attempt: int
    priority: int = Priority.OTHER
    position: int = 0


_CORRECTED = timedelta(minutes=1)
_LOOKED_AT = 200
"""How many deliveries that are due are looked at for a choice; those that must wait leave their places to others."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to send now, each batch as one message, and until when other deliveries that are due must wait.

    For those that wait because their target does not answer, or for long, the contact's next channel is due at once.
    """

    batches: Sequence[tuple[ClaimedDelivery, ...]]
    later: Mapping[str, datetime] = field(default_factory=dict)
    unreachable: Collection[str] = ()


Choose = Callable[[Sequence[ClaimedDelivery], int], Choice]
"""From the deliveries that are due, in order, and the number of messages that may be sent, to a choice."""


def is_due(connection: Connection, now: datetime) -> bool:
    """Return whether any delivery is to be attempted now."""
    earliest = earliest_due(connection)
    return earliest is not None and earliest <= now


def earliest_due(connection: Connection) -> datetime | None:
    """Return when the next delivery is to be attempted, or has lost its lease."""
    found: datetime | None = _EARLIEST.value(connection)
    return found


_EARLIEST = Prepared(select(func.min(deliveries.c.due_at)).where(deliveries.c.due_at.is_not(None)))


def claim(
    connection: Connection,
    now: datetime,
    lease_until: datetime,
    limit: int,
    under_way: Collection[tuple[str, int]],
    choose: Choose,
    are_open: Callable[[Sequence[ClaimedDelivery]], bool] = lambda _: False,
) -> Choice:
    """Take the chosen ones of the deliveries that are due, with a lease; when it has run out they are due again.

    What this process has `under_way` (delivery and attempt; its lease ran out only because the clock was set forward)
    keeps a lease, unless another took it meanwhile. What must wait is due later, without an attempt.

    Twice as many as may be sent are looked at if their targets `are_open` to all of them, and many more if not.
    """
    if under_way:
        connection.execute(
            update(deliveries)
            .where(
                tuple_(deliveries.c.id, deliveries.c.attempts).in_(under_way),
                deliveries.c.state == DeliveryState.SENDING,
            )
            .values(due_at=lease_until)
        )
    due = _due(connection, now, 2 * limit)
    if len(due) == 2 * limit and not are_open(due):
        due = _due(connection, now, max(limit, _LOOKED_AT))
    choice = choose(due, limit)
    for delivery in (delivery for batch in choice.batches for delivery in batch):
        taken = {"state": DeliveryState.SENDING, "due_at": lease_until, "attempts": delivery.attempt}
        update_row(connection, deliveries, delivery.id, taken)
        attempt = {"delivery_id": delivery.id, "number": delivery.attempt, "started_at": now}
        insert_row(connection, attempts, attempt)
    for instant in sorted(set(choice.later.values())):
        waiting = [name for name, until in choice.later.items() if until == instant]
        connection.execute(update(deliveries).where(deliveries.c.id.in_(waiting)).values(due_at=instant))
    for delivery in (delivery for delivery in due if delivery.id in choice.unreachable):
        _fall_back(connection, delivery, now)
    return choice


def _due(connection: Connection, now: datetime, limit: int) -> list[ClaimedDelivery]:
    return [ClaimedDelivery(*row) for row in _DUE.rows(connection, now=now, limit=limit)]


_DUE = Prepared(
    select(
        *(
            (deliveries.c.attempts + 1) if name == "attempt" else deliveries.c[name]
            for name in ClaimedDelivery.__slots__
        )
    )
    .where(deliveries.c.due_at.is_not(None), deliveries.c.due_at <= bindparam("now"))
    .order_by(deliveries.c.priority, deliveries.c.due_at, deliveries.c.created_at)
    .limit(bindparam("limit"))
)


def record(
    connection: Connection,
    delivery: ClaimedDelivery,
    state: DeliveryState,
    outcome: str,
    detail: str,
    now: datetime,
    retry_at: datetime | None,
    *,
    fallback_after: int | None = None,
) -> bool:
    """Record how an attempt went. Return False if the lease was lost meanwhile and somebody else decides.

    Once it has failed, or after `fallback_after` failed attempts, the contact's next channel is due at once.
    """
    faults.reach(faults.Point.BEFORE_RECORD)
    which = {"this_id": delivery.id, "this_attempt": delivery.attempt}
    _END_ATTEMPT.run(connection, {**which, "ended_at": now, "outcome": outcome, "detail": detail})
    after = {"state": state, "due_at": retry_at, "ended_at": None if retry_at else now}
    is_ours = _END_DELIVERY.run(connection, {**which, **after}) == 1
    has_failed = state is DeliveryState.FAILED
    is_failing = state is DeliveryState.PENDING and fallback_after is not None and delivery.attempt >= fallback_after
    if is_ours and (has_failed or is_failing):
        _fall_back(connection, delivery, now)
    if is_ours and state is DeliveryState.DELIVERED:
        _cancel_fallbacks(connection, delivery, now)
    if is_ours and retry_at is None:
        _end_step(connection, delivery.step_id, now)
    return is_ours


_END_ATTEMPT = Prepared(
    update(attempts).where(
        attempts.c.delivery_id == bindparam("this_id"), attempts.c.number == bindparam("this_attempt")
    ),
    ("ended_at", "outcome", "detail"),
)
_END_DELIVERY = Prepared(
    update(deliveries).where(
        deliveries.c.id == bindparam("this_id"),
        deliveries.c.state == DeliveryState.SENDING,
        deliveries.c.attempts == bindparam("this_attempt"),
    ),
    ("state", "due_at", "ended_at"),
)


def _cancel_fallbacks(connection: Connection, delivery: ClaimedDelivery, now: datetime) -> None:
    """What is only told need not be told the same contact again over a later channel; what is asked for must be."""
    which = {
        "this_step": delivery.step_id,
        "this_contact": delivery.contact,
        "this_place": delivery.position,
        "now": now,
    }
    _CANCEL_FALLBACKS.run(connection, {**which, "state": DeliveryState.CANCELLED, "due_at": None, "ended_at": now})


_CANCEL_FALLBACKS = Prepared(
    update(deliveries).where(
        deliveries.c.step_id.in_(
            select(steps.c.id).where(
                steps.c.id == bindparam("this_step"),
                steps.c.awaits.is_(None),
                steps.c.fulfils.is_(None),
                steps.c.parent_id.is_(None),
            )
        ),
        deliveries.c.contact == bindparam("this_contact"),
        deliveries.c.position > bindparam("this_place"),
        deliveries.c.state == DeliveryState.PENDING,
        deliveries.c.attempts == 0,
        deliveries.c.due_at > bindparam("now"),
    ),
    ("state", "due_at", "ended_at"),
)


def is_sending(connection: Connection) -> bool:
    """Return whether any delivery is being attempted."""
    query = select(deliveries.c.id).where(deliveries.c.state == DeliveryState.SENDING).limit(1)
    return connection.scalar(query) is not None


def release_all(connection: Connection, now: datetime) -> int:
    """Make due at once what a process that is gone was sending. Return how many."""
    released = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.due_at.is_not(None), deliveries.c.state == DeliveryState.SENDING
        )  # by the index of what is due
        .values(state=DeliveryState.PENDING, due_at=now)
    )
    return released.rowcount


def is_set_back(connection: Connection, now: datetime) -> bool:
    """Return whether the newest event was received in what is now the future: the clock was set back since.

    By less than a minute it was corrected, or the clocks of two replicas differ: what waits can wait so long.
    """
    received_at = connection.scalar(select(events.c.received_at).order_by(events.c.seq.desc()).limit(1))
    return received_at is not None and received_at > now + _CORRECTED


def set_back(connection: Connection, now: datetime, lease_until: datetime) -> None:
    """Put right what counts on a clock that was set back to `now`; it would wait until the clock is there again.

    What waits to be tried again, and what was written in what is now the future, is due at once; no lease is longer
    than one taken now. Leases of other replicas go by other clocks, and are left alone.
    """
    is_waiting = (deliveries.c.state == DeliveryState.PENDING) & (deliveries.c.due_at > now)
    connection.execute(
        update(deliveries)
        .where(is_waiting, or_(deliveries.c.attempts > 0, deliveries.c.created_at > now))
        .values(due_at=now)
    )
    if connection.dialect.name != "sqlite":
        return
    connection.execute(
        update(deliveries)
        .where(deliveries.c.state == DeliveryState.SENDING, deliveries.c.due_at > lease_until)
        .values(due_at=lease_until)
    )


def cancel(connection: Connection, step_ids: Collection[str], now: datetime) -> int:
    """Cancel the deliveries of steps over a contact's later channels that are not due yet and were never attempted.

    To be called when the steps are acknowledged or completed: whoever was to be reached has been. Returns how many.
    """
    cancelled = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.step_id.in_(step_ids),
            deliveries.c.state == DeliveryState.PENDING,
            deliveries.c.attempts == 0,
            deliveries.c.position > 0,
            deliveries.c.due_at > now,
        )
        .values(state=DeliveryState.CANCELLED, due_at=None, ended_at=now)
    )
    for step_id in step_ids:
        _end_step(connection, step_id, now)
    return cancelled.rowcount


def _fall_back(connection: Connection, delivery: ClaimedDelivery, now: datetime) -> None:
    """Make due at once what was to be sent later over the next channel of the same contact."""
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.step_id == delivery.step_id,
            deliveries.c.contact == delivery.contact,
            deliveries.c.position == delivery.position + 1,
            deliveries.c.state == DeliveryState.PENDING,
            deliveries.c.attempts == 0,
            deliveries.c.due_at > now,
        )
        .values(due_at=now)
    )


_TO_COME = frozenset({DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.HELD})


def _end_step(connection: Connection, step_id: str, now: datetime) -> None:
    """A step that asks nobody for a deed ends with its last message: completed, or failed if none got through."""
    made = [row.state for row in _STATES.rows(connection, step=step_id) if row.state != DeliveryState.CANCELLED]
    if not made or not _TO_COME.isdisjoint(made):
        return
    end = StepState.COMPLETED if DeliveryState.DELIVERED in made else StepState.FAILED
    _END_STEP.run(connection, {"this_id": step_id, "state": end, "completed_at": now})


_STATES = Prepared(select(deliveries.c.state).where(deliveries.c.step_id == bindparam("step")))
_END_STEP = Prepared(
    update(steps).where(
        steps.c.id == bindparam("this_id"),
        steps.c.state == StepState.STARTED,
        steps.c.fulfils.is_(None),
        steps.c.awaits.is_(None),
    ),
    ("state", "completed_at"),
)


def insert_deliveries(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Store deliveries to be made."""
    for row in rows:
        insert_row(connection, deliveries, row)
