"""The tables of deliveries and attempts: deliveries are claimed with a lease, and their outcome is recorded."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, or_, select, tuple_, update

from incident_engine.common import failpoints
from incident_engine.domain.response.delivery_outcome import (
    Consequences,
    DeliveredStep,
    DeliveryState,
    StepDelivery,
    after_answer,
    after_attempt,
    after_postponement,
    has_consequences,
)
from incident_engine.domain.response.step import StepState
from incident_engine.store.claims import Choice, Choose, ClaimedDelivery
from incident_engine.store.prepared import Prepared, insert_row, update_row
from incident_engine.store.tables import attempts, deliveries, events, steps

_MAX_CORRECTION = timedelta(minutes=1)
"""A clock that goes back by less was corrected, or the clocks of two replicas differ."""
_MAX_CONSIDERED = 200
"""The number of due deliveries that are considered for a choice at most."""


def is_due(connection: Connection, now: datetime) -> bool:
    """Return whether any delivery is to be attempted now."""
    earliest = earliest_due(connection)
    return earliest is not None and earliest <= now


def earliest_due(connection: Connection) -> datetime | None:
    """Return the instant at which the next delivery is due, or loses its lease; None if there is none."""
    instant: datetime | None = _EARLIEST.value(connection)
    return instant


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
    """Lease the chosen due deliveries until `lease_until`; after the lease they are due again.

    Postponed deliveries are due at their new instants. `under_way` holds the attempts (delivery and number) that this
    process is making; their leases are extended.
    """
    # Their lease runs out only if the clock was set forward. An attempt that another replica has repeated differs.
    if under_way:
        connection.execute(
            update(deliveries)
            .where(
                tuple_(deliveries.c.id, deliveries.c.attempts).in_(under_way),
                deliveries.c.state == DeliveryState.SENDING,
            )
            .values(due_at=lease_until)
        )
    # Few rows are read while their endpoints take them all. If some must wait, they must not hide those behind them.
    due = _due(connection, now, 2 * limit)
    if len(due) == 2 * limit and not are_open(due):
        due = _due(connection, now, max(limit, _MAX_CONSIDERED))
    choice = choose(due, limit)
    for delivery in (delivery for batch in choice.batches for delivery in batch):
        lease = {"state": DeliveryState.SENDING, "due_at": lease_until, "attempts": delivery.attempt}
        update_row(connection, deliveries, delivery.id, lease)
        attempt = {"delivery_id": delivery.id, "number": delivery.attempt, "started_at": now}
        insert_row(connection, attempts, attempt)
    for instant in sorted(set(choice.later.values())):
        postponed = [name for name, until in choice.later.items() if until == instant]
        connection.execute(update(deliveries).where(deliveries.c.id.in_(postponed)).values(due_at=instant))
    for delivery in (delivery for delivery in due if delivery.id in choice.unreachable):
        policy = partial(after_postponement, delivery_id=delivery.id, now=now)
        _apply_policy(connection, delivery.step_id, policy, now, delivery.contact)
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
    """Record the outcome of an attempt and its consequences for the step and for other channels.

    Returns False if the lease was lost meanwhile: then the attempt is recorded, and another replica decides the rest.
    """
    failpoints.reach(failpoints.Point.BEFORE_RECORD)
    key = {"this_id": delivery.id, "this_attempt": delivery.attempt}
    _END_ATTEMPT.run(connection, {**key, "ended_at": now, "outcome": outcome, "detail": detail})
    changes = {"state": state, "due_at": retry_at, "ended_at": None if retry_at else now}
    is_ours = _END_DELIVERY.run(connection, {**key, **changes}) == 1
    if is_ours and has_consequences(state, delivery.attempt, fallback_after):
        policy = partial(after_attempt, delivery_id=delivery.id, now=now)
        _apply_policy(connection, delivery.step_id, policy, now, delivery.contact)
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


def _apply_policy(
    connection: Connection,
    step_id: str,
    policy: Callable[[DeliveredStep], Consequences],
    now: datetime,
    contact: str | None = None,
) -> int:
    """Read a step with its deliveries (to one contact, or all), and write the consequences that a policy decides on.

    Returns the number of cancelled deliveries.
    """
    if contact is None:
        rows = _STEP_AND_DELIVERIES.rows(connection, step=step_id)
    else:
        rows = _STEP_AND_DELIVERIES_TO.rows(connection, step=step_id, contact=contact)
    if not rows:
        return 0
    first = rows[0]
    step = DeliveredStep(
        StepState(first.step_state),
        awaits=first.awaits,
        fulfils=first.fulfils,
        parent_id=first.parent_id,
        deliveries=[
            StepDelivery(row.id, row.contact, row.position, DeliveryState(row.state), row.attempts, row.due_at)
            for row in rows
            if row.id is not None
        ],
        other_states=frozenset(DeliveryState(row.state) for row in rows if row.id is None),
    )
    consequences = policy(step)
    cancelled = {"state": DeliveryState.CANCELLED, "due_at": None, "ended_at": now}
    count = sum(_CHANGE_UNTRIED.run(connection, {"this_id": name, **cancelled}) for name in consequences.cancelled)
    due_now = {"state": DeliveryState.PENDING, "due_at": now, "ended_at": None}
    for name in consequences.due_now:
        _CHANGE_UNTRIED.run(connection, {"this_id": name, **due_now})
    if consequences.step_state is not None:
        _END_STEP.run(connection, {"this_id": step_id, "state": consequences.step_state, "completed_at": now})
    return count


_STATE = [steps.c.state.label("step_state"), steps.c.awaits, steps.c.fulfils, steps.c.parent_id, deliveries.c.state]
_DETAILS = [deliveries.c[name] for name in ("id", "contact", "position", "attempts", "due_at")]
_IS_TO_CONTACT = deliveries.c.contact == bindparam("contact")
_OF_STEP = deliveries.c.step_id == bindparam("step")
_STEP_AND_DELIVERIES = Prepared(
    select(*_DETAILS, *_STATE).join_from(deliveries, steps, steps.c.id == deliveries.c.step_id).where(_OF_STEP)
)
# An audience may have a hundred contacts: of all others the states are enough, so their rows are one for each state.
_STEP_AND_DELIVERIES_TO = Prepared(
    select(*(case((_IS_TO_CONTACT, column)).label(column.name) for column in _DETAILS), *_STATE)
    .distinct()
    .join_from(deliveries, steps, steps.c.id == deliveries.c.step_id)
    .where(_OF_STEP)
)


# The conditions are repeated: another replica may have claimed the delivery or ended the step meanwhile.
_CHANGE_UNTRIED = Prepared(
    update(deliveries).where(
        deliveries.c.id == bindparam("this_id"),
        deliveries.c.state == DeliveryState.PENDING,
        deliveries.c.attempts == 0,
    ),
    ("state", "due_at", "ended_at"),
)
_END_STEP = Prepared(
    update(steps).where(steps.c.id == bindparam("this_id"), steps.c.state == StepState.STARTED),
    ("state", "completed_at"),
)


def is_sending(connection: Connection) -> bool:
    """Return whether any delivery is being attempted."""
    query = select(deliveries.c.id).where(deliveries.c.state == DeliveryState.SENDING).limit(1)
    return connection.scalar(query) is not None


def release_all(connection: Connection, now: datetime) -> int:
    """Make the deliveries due that a dead process was sending. Return their number."""
    released = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.due_at.is_not(None),  # always true of these; the database uses the index of due deliveries
            deliveries.c.state == DeliveryState.SENDING,
        )
        .values(state=DeliveryState.PENDING, due_at=now)
    )
    return released.rowcount


def is_set_back(connection: Connection, now: datetime) -> bool:
    """Return whether the clock was set back since the newest event was received: its instant is in the future now."""
    received_at = connection.scalar(select(events.c.received_at).order_by(events.c.seq.desc()).limit(1))
    return received_at is not None and received_at > now + _MAX_CORRECTION


def set_back(connection: Connection, now: datetime, lease_until: datetime) -> None:
    """Correct the instants of deliveries after the clock was set back to `now`; else they would wait for the old time.

    Repeats, and deliveries that were written in the present future, are due at once. No lease is longer than a new one.
    """
    is_waiting = (deliveries.c.state == DeliveryState.PENDING) & (deliveries.c.due_at > now)
    connection.execute(
        update(deliveries)
        .where(is_waiting, or_(deliveries.c.attempts > 0, deliveries.c.created_at > now))
        .values(due_at=now)
    )
    if connection.dialect.name != "sqlite":
        return  # other replicas' leases go by their own clocks
    connection.execute(
        update(deliveries)
        .where(deliveries.c.state == DeliveryState.SENDING, deliveries.c.due_at > lease_until)
        .values(due_at=lease_until)
    )


def cancel(connection: Connection, step_ids: Collection[str], now: datetime) -> int:
    """Cancel the fallbacks of steps that a person has answered. Return the number of cancelled deliveries."""
    policy = partial(after_answer, now=now)
    return sum(_apply_policy(connection, step_id, policy, now) for step_id in step_ids)


def insert_deliveries(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Store deliveries to be made."""
    for row in rows:
        insert_row(connection, deliveries, row)
